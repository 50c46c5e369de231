"""Long-poll: one question, one answer, at once when there is news, else when the wait is over."""

import asyncio
from collections.abc import Sequence

from starlette.responses import Response

from chatserver.transports.bell import Bell
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Encoded, Opener, Source


async def poll(open_source: Opener, wait: float, readers: Readers) -> Response:
    """Answer with what follows a position; `wait` is in seconds."""
    bell = Bell()
    with open_source(bell.ring) as source:
        with readers.reading("longpoll", bell.ring, awaited=source.expects_more):
            events = await _wait_for_events(source, wait, bell, readers)
        if source.expects_more:
            readers.asks_again()
        return _answer(events, source)


async def _wait_for_events(source: Source, wait: float, bell: Bell, readers: Readers) -> Sequence[Encoded]:
    queued: Sequence[Encoded] = ()
    expected_more = source.expects_more
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        # Never cut short: a reader of the store would be told that nothing is there.
        events = await source.read()
        if events and events[0].type == "queued":
            # A place in the queue is worth telling, but no reason to answer.
            queued = events
        elif events or source.ended or readers.over:
            return events or queued
        if expected_more and not source.expects_more:
            # What is missing comes after the next start.
            return queued
        try:
            async with asyncio.timeout_at(deadline):
                await bell.wait()
        except TimeoutError:
            return queued


def _answer(events: Sequence[Encoded], source: Source) -> Response:
    body = b'{"events":[%b],"after":"%b","ended":%b}' % (
        b",".join([event.json for event in events]),
        source.after.encode(),
        b"true" if source.ended else b"false",
    )
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
