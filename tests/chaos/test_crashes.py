"""A server that is killed in the middle of its work: what it accepted is answered, once, for every reader."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle

import pytest

from tests.harness.client import CALL_S, Client, Json, visitor_of, wait_for_some
from tests.harness.readers import TRANSPORTS, Moment, Transport, read_through, read_whole
from tests.harness.received import Received
from tests.harness.service import Service, module_service

_TURNS, _WORK = 50, 50
_SLOTS = 90
_TOKENS = 45
#: Characters after which an answer counts as begun.
_BEGUN = 10
_SETTINGS = {"ollama.slots": _SLOTS, "store.checkpoint_ms": 20}
_SIMULATOR = ("--rate", "40", "--parallel", str(_SLOTS))

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Whoever asks again gets the same words, or other ones.
same_words = module_service(_SETTINGS, *_SIMULATOR)
other_words = module_service(_SETTINGS, *_SIMULATOR, "--diverge")

Record = Callable[[str, object], None]
#: When the crash comes.
Condition = Callable[[list[Received]], bool]


async def test_a_hundred_answers_survive_a_crash_in_their_middle(
    same_words: Service, rng: random.Random, record_property: Record
) -> None:
    await _crash(same_words, rng, record_property, _in_the_middle(rng))


async def test_they_do_so_where_a_model_says_something_else_the_second_time(
    other_words: Service, rng: random.Random, record_property: Record
) -> None:
    await _crash(other_words, rng, record_property, _in_the_middle(rng))


async def test_an_end_that_was_read_is_the_end_after_a_crash_too(
    other_words: Service, rng: random.Random, record_property: Record
) -> None:
    ends = rng.randrange(1, _SLOTS // 2)
    await _crash(other_words, rng, record_property, lambda readings: _ended(readings) >= ends)


def _in_the_middle(rng: random.Random) -> Condition:
    characters = _SLOTS * _TOKENS * rng.uniform(1, 3)
    return lambda readings: sum(len(received.answer) for received in readings) >= characters


def _ended(readings: Iterable[Received]) -> int:
    return sum(received.end is not None for received in readings)


async def _crash(service: Service, rng: random.Random, record: Record, condition: Condition) -> None:
    async with visitor_of(service.url) as client, asyncio.TaskGroup() as group:
        conversations = await asyncio.gather(*(client.begin() for _ in range(_TURNS)))
        readings = [Received(generation) for generation in await _accept(client, conversations)]
        moment = Moment(lambda: condition(readings))
        reading = [
            group.create_task(read_through(client, received, _ways(rng), moment.look))
            for received in readings
        ]
        await moment.wait()
        await service.server.kill()
        begun = sum(received.taken > 0 for received in readings)
        record("before the crash", f"{begun} begun, {_ended(readings)} ended")
        assert begun >= _SLOTS // 2
        await service.server.restart()

        await asyncio.gather(*reading)
        for received in readings:
            await _check_completed(client, received, rng.choice(TRANSPORTS))
        await _check_nothing_else(client, conversations, readings)
        assert (await service.seen(in_flight=0))["waiting"] == 0


def _ways(rng: random.Random) -> Iterator[Transport]:
    return cycle(rng.sample(TRANSPORTS, len(TRANSPORTS)))


async def _accept(client: Client, conversations: list[str]) -> list[str]:
    """Begin all at once: turns, work that somebody waits for, and work that may take its time."""
    content = f"Number {{}}. [[tokens={_TOKENS}]]"
    turns = await asyncio.gather(
        *(client.send(conversation, content.format(n)) for n, conversation in enumerate(conversations))
    )
    lanes = ("interactive", "background", "background")
    work = await asyncio.gather(
        *(client.hand_in(content.format(-n), priority=lanes[n % 3]) for n in range(_WORK))
    )
    return [turn["generation"]["id"] for turn in turns] + work


async def _check_completed(client: Client, received: Received, transport: Transport) -> None:
    assert received.end is not None
    assert (received.end["reason"], received.end["error"]) == ("completed", None)
    assert received.end["usage"]["completion_tokens"] == _TOKENS
    # Who had read something of the lost attempt had to forget it, once.
    assert received.resets in ([], ["position_unknown"])
    kept = await client.generation(received.generation)
    assert (kept["status"], kept["result"]) == ("completed", received.answer)
    assert kept["attempts"] <= 2
    again = await read_whole(client, received.generation, transport)
    assert (again.answer, again.end) == (received.answer, received.end)


async def _check_nothing_else(client: Client, conversations: list[str], readings: list[Received]) -> None:
    """There are these generations and no others, each with its text in its place."""
    cursor = ""
    found: list[Json] = []
    while cursor is not None:
        page = await client.call("GET", f"/generations{f'?cursor={cursor}' if cursor else ''}")
        found += page["items"]
        cursor = page["next_cursor"]
    texts = {received.generation: received.answer for received in readings}
    assert {item["id"]: item["result"] for item in found} == texts
    assert len(found) == len(texts) == _TURNS + _WORK
    for conversation in conversations:
        _, answer = await client.messages(conversation)
        assert (answer["content"], answer["status"]) == (texts[answer["generation"]], "completed")


async def test_three_crashes_in_a_row_end_an_answer_with_the_text_so_far(
    other_words: Service, rng: random.Random
) -> None:
    service, client = other_words, other_words.client
    conversation = await client.begin()
    turn = Received((await client.send(conversation, "Long. [[tokens=8000]]"))["generation"]["id"])
    work = Received(await client.hand_in("Long, too. [[tokens=8000]]"))
    moments = [Moment(partial(_has_begun, (turn, work), attempt)) for attempt in (1, 2, 3)]
    async with asyncio.TaskGroup() as group:
        for received in (turn, work):
            look = partial(_look_at_all, moments)
            group.create_task(read_through(client, received, _ways(rng), look))
        for moment in moments:
            await moment.wait()
            # The second commit from here on has text of both.
            await _commits(service, 2)
            await service.server.restart()

    for received, status in ((turn, "failed"), (work, "dead")):
        assert received.end is not None
        assert (received.end["reason"], received.end["error"]["code"]) == ("interrupted", "interrupted")
        assert received.resets == ["position_unknown"] * 3
        # What was saved of the last attempt, and nothing of those before. The crash cut the reader off, too.
        saved, shown = received.answer, received.forgotten[2]
        assert len(saved) > _BEGUN
        assert saved.startswith(shown) or shown.startswith(saved)
        assert len(set(received.forgotten)) == 3
        kept = await client.generation(received.generation)
        assert (kept["status"], kept["attempts"], kept["result"]) == (status, 3, received.answer)
        for transport in TRANSPORTS:
            again = await read_whole(client, received.generation, transport)
            assert (again.answer, again.end) == (received.answer, received.end)
    _, answer = await client.messages(conversation)
    assert (answer["status"], answer["content"]) == ("failed", turn.answer)
    # It is over: a new turn may follow it.
    following = await client.send(conversation, "And now? [[tokens=3]]")
    await read_whole(client, following["generation"]["id"])


def _has_begun(readings: Iterable[Received], attempt: int) -> bool:
    return all(
        received.started and received.started["attempt"] == attempt and len(received.answer) > _BEGUN
        for received in readings
    )


def _look_at_all(moments: Iterable[Moment], received: Received) -> bool:
    return any(moment.look(received) for moment in moments)


async def _commits(service: Service, count: int) -> None:
    """Wait for so many commits."""
    wanted = await _committed(service) + count
    async with asyncio.timeout(CALL_S):
        # Nobody announces them; each look takes a while.
        while await _committed(service) < wanted:
            pass


async def _committed(service: Service) -> float:
    figures = (await service.client.http.get("/metrics")).text
    lines = dict(line.rsplit(" ", 1) for line in figures.splitlines() if not line.startswith("#"))
    return float(lines["chatserver_commit_seconds_count"])


async def test_a_cancel_that_was_answered_outlives_a_crash(other_words: Service) -> None:
    service, client = other_words, other_words.client
    generations = [await client.ask(f"{n} [[tokens=8000]]") for n in range(12)]
    await service.seen(in_flight=len(generations))
    cancels = [asyncio.create_task(client.cancel(generation)) for generation in generations]
    await wait_for_some(cancels, 1)
    await service.server.kill()
    answers = await asyncio.gather(*cancels, return_exceptions=True)
    await service.server.restart()

    for generation, answer in zip(generations, answers, strict=True):
        if isinstance(answer, BaseException):
            await client.cancel(generation)
        received = await read_whole(client, generation)
        assert received.end is not None
        assert received.end["reason"] == "cancelled"
        kept = await client.generation(generation)
        assert (kept["status"], kept["result"]) == ("cancelled", received.answer)
        if not isinstance(answer, BaseException):
            assert kept["attempts"] == 1
