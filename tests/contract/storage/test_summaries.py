import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import delete, select

from chatserver.errors import NotFound
from chatserver.storage.summaries import SetSummary
from chatserver.storage.tables import conversations, summaries
from tests.contract.storage.store import ALICE, BOB, NOW, Store, chore, save

_ALL = select(summaries)


def by_hand(conversation, text: str, principal=ALICE) -> SetSummary:
    return SetSummary(principal, conversation, text, NOW)


async def talk(store: Store, turns: int):
    """A conversation of so many answered turns, and its messages."""
    conversation = await store.conversation()
    said = []
    for number in range(turns):
        accepted = await store.answered(conversation, f"Question {number}")
        said += [accepted.message.id, accepted.generation.message]
    return conversation, said


async def test_the_summary_that_reaches_farthest_down_a_branch_is_found(store) -> None:
    conversation, said = await talk(store, 4)
    assert await store.summaries.on_branch(conversation.id, said[-1]) is None
    first = save(conversation, said[1], "One", None)
    assert await store.submit(first)
    second = save(conversation, said[3], "Two", first.summary.id)
    assert await store.submit(second)
    assert await store.summaries.on_branch(conversation.id, said[-1]) == second.summary
    assert await store.summaries.on_branch(conversation.id, said[3]) == second.summary
    assert await store.summaries.on_branch(conversation.id, said[2]) == first.summary
    assert await store.summaries.on_branch(conversation.id, said[0]) is None


async def test_a_summary_counts_only_on_branches_that_have_its_message(store) -> None:
    conversation, said = await talk(store, 3)
    old = save(conversation, said[1], "Old", None)
    await store.submit(old)
    await store.submit(save(conversation, said[4], "Of what is replaced", old.summary.id))
    edited = await store.answered(conversation, "Edited", parent=said[1])
    found = await store.summaries.on_branch(conversation.id, edited.message.id)
    assert found == old.summary
    begun_anew = await store.answered(conversation, "Anew", parent=None)
    assert await store.summaries.on_branch(conversation.id, begun_anew.message.id) is None


async def test_of_two_versions_for_one_message_the_newer_counts(store) -> None:
    conversation, said = await talk(store, 1)
    first = save(conversation, said[1], "One", None)
    await store.submit(first)
    second = save(conversation, said[1], "Two", first.summary.id)
    await store.submit(second)
    assert (await store.summaries.on_branch(conversation.id, said[1])).text == "Two"


async def test_a_summary_is_not_kept_when_another_was_written_meanwhile(store) -> None:
    conversation, said = await talk(store, 3)
    mine = await store.submit(by_hand(conversation.id, "Mine"))
    assert not await store.submit(save(conversation, said[1], "Late", None))
    assert await store.summaries.on_branch(conversation.id, said[-1]) == mine
    assert await store.submit(save(conversation, said[1], "Next", mine.id))
    assert (await store.summaries.on_branch(conversation.id, said[-1])).text == "Next"


async def test_of_two_that_are_written_at_once_one_is_kept(store) -> None:
    conversation, said = await talk(store, 2)
    both = [save(conversation, said[1], name, None) for name in "AB"]
    assert await asyncio.gather(*map(store.submit, both)) == [True, False]


async def test_a_summary_of_a_conversation_that_is_gone_is_not_kept(store) -> None:
    conversation, said = await talk(store, 1)
    gone = replace(conversation, id="conv_missing")
    assert not await store.submit(save(gone, said[1], "Gone", None))


async def test_one_set_by_hand_takes_the_place_of_the_valid_one(store) -> None:
    conversation, said = await talk(store, 3)
    made = save(conversation, said[3], "Made", None)
    await store.submit(made)
    mine = await store.submit(by_hand(conversation.id, "Mine"))
    assert (mine.message, mine.text, mine.by_hand) == (said[3], "Mine", True)
    assert await store.summaries.on_branch(conversation.id, said[-1]) == mine


async def test_one_set_by_hand_takes_the_place_of_one_that_was_written_a_moment_ago(store) -> None:
    conversation, said = await talk(store, 2)
    mine = by_hand(conversation.id, "Mine")
    made = save(conversation, said[1], "Made", None)
    results = await asyncio.gather(store.submit(made), store.submit(mine))
    assert results[0]
    assert await store.summaries.on_branch(conversation.id, said[-1]) == results[1]


async def test_one_set_by_hand_before_there_is_any_stands_for_no_message_and_counts_on_all_branches(
    store,
) -> None:
    conversation, said = await talk(store, 2)
    mine = await store.submit(by_hand(conversation.id, "Mine"))
    assert mine.message is None
    assert await store.summaries.on_branch(conversation.id, said[0]) == mine
    departed = await store.summaries.departed(conversation.id, said[2], 10)
    assert (departed.base, departed.count) == (mine, 3)
    made = save(conversation, said[1], "Made", mine.id)
    await store.submit(made)
    assert await store.summaries.on_branch(conversation.id, said[-1]) == made.summary


async def test_versions_set_by_hand_do_not_pile_up(store) -> None:
    conversation, said = await talk(store, 2)
    made = save(conversation, said[1], "Made", None)
    await store.submit(made)
    for number in range(5):
        await store.submit(by_hand(conversation.id, f"Mine {number}"))
    assert len(await store.database.rows(_ALL)) == 2
    assert (await store.summaries.on_branch(conversation.id, said[-1])).text == "Mine 4"


async def test_only_its_owner_sets_a_summary_by_hand(store) -> None:
    conversation = await store.conversation()
    for principal, target in ((BOB, conversation.id), (ALICE, "conv_missing")):
        with pytest.raises(NotFound):
            await store.submit(by_hand(target, "Mine", principal))


async def test_watchers_are_told_of_a_summary(store) -> None:
    conversation, _said = await talk(store, 1)
    before = (await store.conversations.get(ALICE, conversation.id)).change
    await store.submit(by_hand(conversation.id, "Mine"))
    [change] = await store.conversations.changes(ALICE, conversation.id, before, 10)
    assert (change.kind, change.number) == ("conversation", before + 1)
    assert store.commits[-1] == [(conversation.id, before + 1)]


async def test_what_has_left_the_window_is_read_oldest_first_and_no_more_than_asked_for(store) -> None:
    conversation, said = await talk(store, 5)
    departed = await store.summaries.departed(conversation.id, said[5], 4)
    assert departed.count == 6
    assert [one.content for one in departed.said] == [
        "Question 0",
        "Answer to Question 0",
        "Question 1",
        "Answer to Question 1",
    ]
    assert [(one.id, one.depth) for one in departed.said] == [(said[n], n + 1) for n in range(4)]
    assert (departed.base, departed.newest) == (None, None)
    made = save(conversation, said[3], "Made", None)
    await store.submit(made)
    departed = await store.summaries.departed(conversation.id, said[5], 4)
    assert (departed.base, departed.newest, departed.count) == (made.summary, made.summary.id, 2)
    assert departed.said[-1].id == said[5]
    departed = await store.summaries.departed(conversation.id, said[3], 4)
    assert (departed.count, departed.said) == (0, ())


async def test_answers_without_text_are_nothing_to_summarise(store) -> None:
    conversation, _said = await talk(store, 1)
    empty = await store.turn(conversation, "Unanswered")
    departed = await store.summaries.departed(conversation.id, empty.generation.message, 9)
    assert [one.content for one in departed.said] == ["Question 0", "Answer to Question 0", "Unanswered"]


async def test_summaries_go_with_their_conversation(store) -> None:
    conversation, said = await talk(store, 1)
    await store.submit(save(conversation, said[1], "Made", None))
    await store.submit(chore(conversation))
    await store.database.write(lambda connection: connection.execute(delete(conversations)))
    assert await store.database.rows(_ALL) == []
