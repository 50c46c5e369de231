import asyncio
import random
from contextlib import suppress
from functools import partial

import pytest

from chatserver.access.visitors import LOCAL
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Ending
from chatserver.generation.position import START
from chatserver.generation.states import Reason
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.readers import Readers
from chatserver.transports.sources import GenerationSource
from chatserver.transports.sse import EventStream
from tests.unit.asgi import Event, Http, call
from tests.unit.works import Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = {"accept": "text/event-stream"}
STALLED = "[[fault=stall]] [[tokens=8]]"


def events_of(works: Works, generation: str, after: str = "", **headers: str) -> Http:
    query = f"?after={after}" if after else ""
    return Http(
        works.app, "GET", f"/api/v1/generations/{generation}/events{query}", headers={**STREAM, **headers}
    )


async def whole(http: Http) -> list[Event]:
    async with http:
        await http.begin()
        assert http.status == 200
        return [event async for event in http.events()]


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def listening() -> list[str]:
    """The tasks that wait for a client's going."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "sse disconnect"]


async def test_a_stream_says_hello_tells_the_log_and_closes(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    events = await whole(events_of(works, generation))
    assert names(events) == ["hello", "started", *["delta"] * (len(events) - 3), "end"]
    assert (repr(events[0].data), events[0].id) == ("{'heartbeat': 15}", None)
    assert all(event.id == event.data["id"] and event.name == event.data["type"] for event in events[1:])
    text = "".join(event.data.get("text", "") for event in events)
    assert text == (await works.record(generation)).result


async def test_the_answer_is_for_one_reader_and_not_to_be_kept_or_changed_on_the_way(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    async with events_of(works, generation) as http:
        await http.begin()
        assert (http.header("content-type") or "").startswith("text/event-stream")
        assert http.header("cache-control") == "no-store, no-transform"
        assert http.header("x-accel-buffering") == "no"
        assert http.header("content-length") is None


async def test_whoever_gives_a_position_back_gets_what_follows_and_nothing_twice(works) -> None:
    generation = await works.accept("[[tokens=9]]", principal=LOCAL)
    await works.ended(generation)
    events = await whole(events_of(works, generation))
    log = works.feed(generation).log
    for n in range(1, log.top):
        position = str(log.position_of(n))
        for reader in (
            events_of(works, generation, position),
            events_of(works, generation, **{"last-event-id": position}),
        ):
            later = await whole(reader)
            assert "reset" not in names(later)
            told = "".join(event.data.get("text", "") for event in later)
            assert told == "".join(getattr(piece, "text", "") for _, piece in log.since(n))
    assert events[-1].id == str(log.position)


async def test_the_header_of_a_browser_wins_over_its_address(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    final = (await works.ended(generation)).position
    reader = events_of(works, generation, str(final), **{"last-event-id": "1.1"})
    assert names(await whole(reader))[-1] == "end"


async def test_from_the_final_position_there_is_nothing(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    final = (await works.ended(generation)).position
    answer = await call(
        works.app, "GET", f"/api/v1/generations/{generation}/events?after={final}", headers=STREAM
    )
    assert (answer.status, answer.body) == (204, b"")


async def test_a_position_nobody_knows_gets_a_reset_and_the_whole(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    await works.ended(generation)
    events = await whole(events_of(works, generation, "7.7"))
    assert names(events)[:3] == ["hello", "reset", "started"]
    assert events[1].data["reason"] == "position_unknown"
    assert names(events)[-1] == "end"


@pytest.mark.parametrize(
    "after", ["x", "1", "1.", "1.2.3", "-1.2", "01.2", "1.2%20", "1.1%0A", "9" * 20 + ".1", "9" * 65]
)
async def test_a_malformed_position_is_refused_by_name(works, after) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    answer = await call(
        works.app, "GET", f"/api/v1/generations/{generation}/events?after={after}", headers=STREAM
    )
    assert (answer.status, answer.json["field"]) == (422, "after")


async def test_a_malformed_header_is_refused_too(works) -> None:
    generation = await works.accept("[[tokens=4]]", principal=LOCAL)
    answer = await call(
        works.app,
        "GET",
        f"/api/v1/generations/{generation}/events",
        headers={**STREAM, "last-event-id": "x" * 5000},
    )
    assert (answer.status, answer.json["code"]) == (422, "malformed_position")


async def test_silence_is_filled_with_heartbeats_without_a_position(tmp_path) -> None:
    async with working(tmp_path, streams__sse_heartbeat_s=0.01) as works:
        generation = await works.accept("[[fault=slow-first-token]]", principal=LOCAL)
        async with events_of(works, generation) as http:
            await http.begin()
            assert await http.event() == Event("hello", {"heartbeat": 0.01}, None)
            # On a busy machine some come before the run has begun.
            events = [await http.event() for _ in range(6)]
            heartbeats = [event for event in events if event and event.name != "started"]
            assert heartbeats in ([Event("heartbeat", {}, None)] * 5, [Event("heartbeat", {}, None)] * 6)
        works.engine.cancel(generation)
        await works.idle()


async def test_one_that_waits_is_told_its_place_and_then_the_log(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        blocking = await works.accept(STALLED)
        generation = await works.accept("[[tokens=2]]", principal=LOCAL)
        async with events_of(works, generation) as http:
            await http.begin()
            await http.event()
            queued = await http.event()
            assert queued == Event(
                "queued", {"type": "queued", "generation": generation, "position": 1, "eta_ms": None}, None
            )
            works.engine.cancel(blocking)
            assert [event.name async for event in http.events()][-1] == "end"
        await works.idle()


async def test_a_client_that_goes_leaves_nothing_behind_and_the_run_goes_on(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    for events_seen in range(1, 4):
        async with events_of(works, generation) as http:
            await http.begin()
            for _ in range(events_seen):
                await http.event()
            assert works.feed(generation).readers == 1
            http.hang_up()
            await http.returned()
    assert works.feed(generation).readers == 0
    assert len(works.parts.readers) == 0
    await asyncio.sleep(0)
    assert listening() == []
    assert not works.feed(generation).log.ended
    works.engine.cancel(generation)
    await works.idle()


async def test_a_client_that_takes_nothing_and_goes_leaves_nothing_behind(works) -> None:
    generation = await works.accept("[[tokens=50]]", principal=LOCAL)
    async with events_of(works, generation) as http:
        await http.begin()
        http.pause()
        await works.ended(generation)
        http.hang_up()
        http.resume()
        await http.returned()
    assert works.feed(generation).readers == 0


async def test_hundreds_of_readers_that_come_and_go_leave_nothing_behind(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    await works.answering(generation)

    async def glance() -> None:
        async with events_of(works, generation) as http:
            await http.begin()
            await http.event()

    for _ in range(5):
        await asyncio.gather(*(glance() for _ in range(40)))
    await asyncio.sleep(0)
    assert works.feed(generation).readers == 0
    assert len(works.parts.readers) == 0
    assert listening() == []
    works.engine.cancel(generation)
    await works.idle()


async def test_when_the_process_ends_streams_end(tmp_path) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept(STALLED, principal=LOCAL)
        async with events_of(works, generation) as http:
            await http.begin()
            await http.event()
            works.parts.readers.finish()
            assert "end" not in [event.name async for event in http.events()]
            assert http.complete
        assert names(await whole(events_of(works, generation))) == ["hello"]


async def test_too_many_streams_are_refused_before_they_begin(tmp_path) -> None:
    async with working(tmp_path, limits__connections=1) as works:
        generation = await works.accept(STALLED, principal=LOCAL)
        async with events_of(works, generation) as http:
            await http.begin()
            answer = await call(works.app, "GET", f"/api/v1/generations/{generation}/events", headers=STREAM)
            assert (answer.status, answer.json["code"]) == (503, "full")
        assert names(await first(events_of(works, generation))) == ["hello"]
        works.engine.cancel(generation)
        await works.idle()


async def test_a_server_without_an_outlet_is_sent_the_same(works) -> None:
    generation = await works.accept("[[tokens=9]]", principal=LOCAL)
    events = await whole(events_of(works, generation).without_outlet())
    assert "".join(event.data.get("text", "") for event in events) == (await works.record(generation)).result


@pytest.mark.parametrize("seed", range(20))
async def test_whenever_the_socket_is_full_each_piece_comes_once_and_in_order(seed) -> None:
    chance = random.Random(seed)
    feed = Feed("gen_1")
    feed.begin(1, 0)
    readers = Readers(1, Metrics())
    stream = EventStream(partial(GenerationSource, feed, START), heartbeat=60, readers=readers)
    said = [f"{number} " for number in range(60)]
    async with Http(stream, "GET", "/") as http:
        for text in said:
            chance.choice([http.pause, http.resume, lambda: None])()
            feed.add(Delta(Channel.ANSWER, text))
            for _ in range(chance.choice([0, 0, 1, 2, 5])):
                await asyncio.sleep(0)
        http.resume()
        feed.add(Ending(Reason.COMPLETED, ""))
        await http.begin()
        hello, *deltas, end = [event async for event in http.events()]
    assert (hello.name, end.name, end.id) == ("hello", "end", "1.61")
    assert "".join(event.data["text"] for event in deltas) == "".join(said)
    places = [int((event.id or "").split(".")[1]) for event in deltas]
    assert places == sorted(set(places))


async def test_a_draining_server_lets_a_reader_go_with_what_it_has_when_the_rest_comes_elsewhere() -> None:
    feed = Feed("gen_1")
    feed.begin(1, 0)
    readers = Readers(1, Metrics())
    stream = EventStream(partial(GenerationSource, feed, START), heartbeat=60, readers=readers)
    async with Http(stream, "GET", "/") as http:
        await http.begin()
        await http.event()
        readers.drain()
        feed.add(Delta(Channel.ANSWER, "last"))
        # In the same step, so that one look finds both.
        feed.park()
        assert names([event async for event in http.events()]) == ["delta"]


async def first(http: Http) -> list[Event]:
    async with http:
        await http.begin()
        event = await http.event()
        return [event] if event else []


async def test_head_is_answered_like_get_without_a_stream(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    path = f"/api/v1/generations/{generation}/events"
    answer = await call(works.app, "HEAD", path, headers=STREAM)
    assert (answer.status, answer.body) == (200, b"")
    assert works.feed(generation).readers == 0
    works.engine.cancel(generation)
    await works.idle()


async def test_what_belongs_to_another_or_to_nobody_is_not_there(works) -> None:
    generation = await works.accept("[[tokens=2]]")
    for target in (generation, "gen_nobody", "x"):
        answer = await call(works.app, "GET", f"/api/v1/generations/{target}/events", headers=STREAM)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    with suppress(TimeoutError):
        await works.idle()
