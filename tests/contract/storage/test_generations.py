import asyncio
from dataclasses import replace

import pytest

from chatserver.errors import Invalid, NotFound
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.pieces import Fault, Usage
from chatserver.generation.position import Position
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.lifecycle import Claim
from tests.contract.storage.store import ALICE, BOB, NOW, finish, work


async def test_handed_in_work_is_a_generation_without_a_conversation(store) -> None:
    command = work(metadata={"case": [1, "ü"]})
    accepted = await store.submit(command)
    generation = await store.generations.get(ALICE, command.generation_id)
    assert accepted.generation == generation
    assert accepted.message is None
    assert (generation.status, generation.epoch, generation.lane) == (Status.QUEUED, 0, Lane.BACKGROUND)
    assert (generation.conversation, generation.message, generation.change) == (None, None, None)
    assert (generation.request, generation.metadata) == (command.request, {"case": [1, "ü"]})
    assert (generation.expires_at, generation.created_at) == (NOW + 60_000, NOW)
    assert (generation.result, generation.thinking, generation.tool_calls, generation.final) == (
        None,
        None,
        [],
        None,
    )
    assert store.commits == [[]]


async def test_with_an_owner_it_runs_at_once(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    assert (generation.status, generation.epoch, generation.attempts) == (Status.RUNNING, 1, 1)
    assert generation == await store.generations.find(generation.id)


async def test_all_that_is_known_at_the_end_is_kept(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    calls = [{"function": {"name": "look", "arguments": {"at": "ü"}}}]
    end = finish(
        generation,
        "The text",
        status=Status.DEAD,
        reason=Reason.UPSTREAM_TRUNCATED,
        thinking="Well",
        tool_calls=calls,
        usage=Usage(10, 20),
        timings={"total_ms": 7},
        error=Fault("no_done", "It stopped."),
        context={"left_out": 2},
        final=Position(1, 9),
    )
    assert await store.submit(end)
    ended = await store.generations.get(ALICE, generation.id)
    assert (ended.status, ended.reason, ended.ended_at) == (
        Status.DEAD,
        Reason.UPSTREAM_TRUNCATED,
        NOW + 1000,
    )
    assert (ended.result, ended.thinking, ended.tool_calls) == ("The text", "Well", calls)
    assert (ended.usage, ended.timings, ended.context) == (
        Usage(10, 20),
        {"total_ms": 7},
        {"left_out": 2},
    )
    assert (ended.error, ended.final, ended.sha256) == (
        Fault("no_done", "It stopped."),
        Position(1, 9),
        end.sha256,
    )


async def test_the_text_of_an_answer_is_its_messages(store) -> None:
    accepted = await store.turn(await store.conversation())
    assert accepted.generation.result is None
    await store.submit(finish(accepted.generation, "The text"))
    ended = await store.generations.get(ALICE, accepted.generation.id)
    assert ended.result == "The text"


async def test_an_answer_may_be_empty(store) -> None:
    accepted = await store.turn(await store.conversation())
    await store.submit(finish(accepted.generation, ""))
    assert (await store.generations.get(ALICE, accepted.generation.id)).result == ""


async def test_another_ones_generation_is_not_there(store) -> None:
    generation = await store.work(principal=BOB)
    for missing in (generation.id, new_id(GENERATION)):
        with pytest.raises(NotFound):
            await store.generations.get(ALICE, missing)
    assert await store.generations.find(generation.id) == generation
    assert await store.generations.find(new_id(GENERATION)) is None


async def test_pages_show_the_callers_own_newest_first(store) -> None:
    made = [await store.work() for _ in range(5)]
    await store.work(principal=BOB)
    first = await store.generations.page(ALICE, None, 3, None)
    second = await store.generations.page(ALICE, None, 3, first.next)
    # A list doesn't show what was asked, which may be long, so it doesn't read it.
    assert [*first.items, *second.items] == [replace(each, request={}) for each in made[::-1]]
    assert second.next is None


async def test_pages_can_be_of_one_status(store) -> None:
    waiting = [await store.work() for _ in range(3)]
    await store.work(owner="me", claimed=True)
    page = await store.generations.page(ALICE, Status.QUEUED, 2, None)
    rest = await store.generations.page(ALICE, Status.QUEUED, 2, page.next)
    assert [each.id for each in (*page.items, *rest.items)] == [each.id for each in waiting[::-1]]
    assert (await store.generations.page(ALICE, Status.FAILED, 2, None)).items == ()


async def test_a_cursor_that_was_not_given_out_is_refused(store) -> None:
    for cursor in ("", "x", new_id("msg")):
        with pytest.raises(Invalid) as refusal:
            await store.generations.page(ALICE, None, 2, cursor)
        assert refusal.value.facts == {"field": "cursor"}


async def test_what_has_not_ended_is_listed_oldest_first(store) -> None:
    queued = await store.work()
    running = (await store.turn(await store.conversation())).generation
    ended = await store.work(owner="me", claimed=True, principal=BOB)
    await store.submit(finish(ended))
    taken = await store.work(principal=BOB)
    assert await store.submit(Claim(taken.id, "me", 0, NOW))
    listed = await store.generations.unfinished("", 50)
    assert [generation.id for generation in listed] == [queued.id, running.id, taken.id]
    assert await store.generations.unfinished("", 2) == listed[:2]
    assert await store.generations.unfinished(listed[1].id, 2) == listed[2:]
    assert listed[0] == queued


async def test_a_burst_of_work_is_one_group(store) -> None:
    results = await asyncio.gather(*(store.work() for _ in range(50)))
    assert store.groups == [50]
    assert len({generation.id for generation in results}) == 50
