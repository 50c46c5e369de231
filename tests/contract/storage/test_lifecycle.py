import asyncio

import pytest

from chatserver.errors import IllegalMove, NotFound
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.pieces import Channel
from chatserver.generation.states import Reason, Status
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.lifecycle import BeginAttempt, Cancel, Claim, Claimed
from tests.contract.storage.store import ALICE, BOB, NOW, finish


async def test_a_claim_makes_a_waiting_generation_run(store) -> None:
    generation = await store.work()
    assert await store.submit(Claim(generation.id, "me", 0, NOW + 9)) == Claimed(1, 1, cancel=False)
    running = await store.generations.get(ALICE, generation.id)
    assert (running.status, running.epoch, running.attempts) == (Status.RUNNING, 1, 1)
    assert (running.owner, running.started_at) == ("me", NOW + 9)


async def test_who_takes_over_gets_a_newer_epoch(store) -> None:
    generation = await store.work(owner="old", claimed=True)
    assert await store.submit(Claim(generation.id, "new", 1, NOW + 9)) == Claimed(2, 2, cancel=False)
    running = await store.generations.get(ALICE, generation.id)
    assert (running.owner, running.epoch, running.started_at) == ("new", 2, NOW)


async def test_of_many_who_claim_at_once_one_wins(store) -> None:
    generation = await store.work()
    claims = [store.submit(Claim(generation.id, f"{n}", 0, NOW)) for n in range(5)]
    results = await asyncio.gather(*claims)
    assert results == [Claimed(1, 1, cancel=False), None, None, None, None]
    assert store.groups[-1] == 5
    assert (await store.generations.get(ALICE, generation.id)).owner == "0"


async def test_several_are_claimed_in_one_transaction(store) -> None:
    waiting = [await store.work() for _ in range(3)]
    results = await asyncio.gather(*(store.submit(Claim(each.id, "me", 0, NOW)) for each in waiting))
    assert results == [Claimed(1, 1, cancel=False)] * 3
    assert store.groups[-1] == 3


async def test_what_has_ended_can_not_be_claimed(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    await store.submit(finish(generation))
    assert await store.submit(Claim(generation.id, "me", 1, NOW)) is None


async def test_what_was_deleted_can_be_neither_claimed_nor_tried_nor_ended(store) -> None:
    conversation = await store.conversation()
    generation = (await store.turn(conversation)).generation
    await store.submit(DeleteConversation(ALICE, conversation.id))
    for command in (
        Claim(generation.id, "me", 1, NOW),
        BeginAttempt(generation.id, 1, 2),
        finish(generation),
    ):
        with pytest.raises(NotFound):
            await store.submit(command)


async def test_a_claim_is_a_change_of_the_answer_and_of_its_generation(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation, claimed=False)
    await store.submit(Claim(accepted.generation.id, "me", 0, NOW))
    changes = await store.conversations.changes(ALICE, conversation.id, 5, 10)
    assert [(change.kind, change.number, change.item.status) for change in changes] == [
        ("message", 6, Status.RUNNING),
        ("generation", 7, Status.RUNNING),
    ]
    assert store.commits[-1] == [(conversation.id, 7)]


async def test_a_further_attempt_is_counted_under_the_same_epoch(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    assert await store.submit(BeginAttempt(generation.id, 1, 2)) is True
    again = await store.generations.get(ALICE, generation.id)
    assert (again.epoch, again.attempts) == (1, 2)


async def test_who_was_taken_over_from_begins_and_ends_nothing(store) -> None:
    conversation = await store.conversation()
    generation = (await store.turn(conversation, owner="old", claimed=True)).generation
    await store.submit(Claim(generation.id, "new", 1, NOW))
    before = await store.generations.get(ALICE, generation.id)
    assert await store.submit(BeginAttempt(generation.id, 1, 2)) is False
    assert await store.submit(finish(generation, "Too late")) is False
    assert await store.generations.get(ALICE, generation.id) == before
    assert (await store.conversations.get(ALICE, conversation.id)).change == 7


async def test_an_end_is_final(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    ends = [store.submit(finish(generation, "One")), store.submit(finish(generation, "Two"))]
    assert await asyncio.gather(*ends) == [True, False]
    assert await store.submit(finish(generation, "Three")) is False
    assert await store.submit(BeginAttempt(generation.id, 1, 2)) is False
    assert (await store.generations.get(ALICE, generation.id)).result == "One"


async def test_a_claim_or_an_end_whose_answer_got_lost_is_one_when_it_is_asked_for_again(store) -> None:
    conversation = await store.conversation()
    generation = (await store.turn(conversation, claimed=False)).generation
    claim = Claim(generation.id, "me", 0, NOW)
    assert await store.submit(claim) == await store.submit(claim) == Claimed(1, 1, cancel=False)
    end = finish(generation, epoch=1)
    assert await asyncio.gather(store.submit(end), store.submit(end)) == [True, True]
    assert await store.submit(end) is True
    assert await store.submit(claim) is None
    assert (await store.conversations.get(ALICE, conversation.id)).change == 9


async def test_an_end_fills_the_answer_and_removes_its_checkpoints(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation)
    generation = accepted.generation
    await store.submit(Checkpoint((Part(generation.id, 1, 1, 0, Channel.ANSWER, "Hel"),)))
    await store.submit(finish(generation, "Hello."))
    _, answer = (await store.messages.branch(ALICE, conversation.id, None, None, 10)).items
    assert (answer.content, answer.status, answer.change) == ("Hello.", Status.COMPLETED, 6)
    assert await store.generations.text_so_far(generation.id) is None
    assert store.commits[-1] == [(conversation.id, 7)]


async def test_a_claim_and_an_end_that_wait_together_follow_each_other(store) -> None:
    generation = await store.work()
    claimed, ended = await asyncio.gather(
        store.submit(Claim(generation.id, "me", 0, NOW)),
        store.submit(finish(generation, epoch=1)),
    )
    assert claimed is not None
    assert ended is True


async def test_an_end_needs_ownership(store) -> None:
    generation = await store.work()
    with pytest.raises(IllegalMove):
        await store.submit(finish(generation, status=Status.CANCELLED, reason=Reason.CANCELLED))


async def test_nothing_ends_as_running(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    with pytest.raises(IllegalMove):
        await store.submit(finish(generation, status=Status.RUNNING))
    assert (await store.generations.get(ALICE, generation.id)).result is None


async def test_a_cancel_is_seen_by_who_claims(store) -> None:
    generation = await store.work()
    cancelled = await store.submit(Cancel(generation.id, ALICE, NOW))
    assert (cancelled.cancel, cancelled.status) == (True, Status.QUEUED)
    assert await store.generations.get(ALICE, generation.id) == cancelled
    assert await store.submit(Claim(generation.id, "me", 0, NOW)) == Claimed(1, 1, cancel=True)


async def test_a_cancel_of_what_has_ended_changes_nothing(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    await store.submit(finish(generation))
    ended = await store.generations.get(ALICE, generation.id)
    assert await store.submit(Cancel(generation.id, ALICE, NOW)) == ended
    assert not ended.cancel


async def test_another_ones_generation_can_not_be_cancelled(store) -> None:
    generation = await store.work()
    theirs, missing = await asyncio.gather(
        store.submit(Cancel(generation.id, BOB, NOW)),
        store.submit(Cancel(new_id(GENERATION), ALICE, NOW)),
        return_exceptions=True,
    )
    assert isinstance(theirs, NotFound)
    assert isinstance(missing, NotFound)
    assert not (await store.generations.get(ALICE, generation.id)).cancel
