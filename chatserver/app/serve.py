"""One serving process: from its socket to its exit code."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import structlog
import uvicorn
import uvloop

from chatserver.app.application import build_application
from chatserver.app.assembling import assemble
from chatserver.app.background import Background
from chatserver.app.demo import Demo
from chatserver.app.http_connection import Door
from chatserver.app.listening import address_of, allow_descriptors, copies_of, listen
from chatserver.app.parent import Parent
from chatserver.app.parts import Parts
from chatserver.app.socket_connection import SocketConnection
from chatserver.chat.idempotency import forget_old_keys
from chatserver.settings import Settings
from chatserver.telemetry.logs import set_up_logging
from chatserver.telemetry.loop import LoopLag

#: The part of the grace that is kept for the end itself, and its seconds at least and at most.
_LAST_PART, _LAST_PART_LEAST_S, _LAST_PART_MOST_S = 1 / 3, 1.0, 5.0
#: The shares of that part after which connections that don't take their last words are cut, and calls that
#: still run are cancelled. The rest is for saving what runs.
_CUT_AFTER, _CANCEL_AFTER = 1 / 2, 3 / 4
#: Seconds an idle connection is kept; longer than proxies keep theirs.
_KEEP_ALIVE = 75
#: Objects made and not freed before the youngest are looked through: the loop stands still for a millisecond
#: or two then, and for 20,000 it was ten to forty. What costs is how often older ones are looked through.
_COLLECT_AFTER, _OLDER_AFTER, _OLDEST_AFTER = 2_000, 200, 50

#: Seconds that answers of an earlier process wait for a model server to come back.
_MODELS_COME_BACK_S = 60

log = structlog.get_logger()


def serve(settings: Settings, *, demo: bool) -> int:
    set_up_logging(settings.log.format, settings.log.level)
    listener = listen(settings.server.host, settings.server.port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve_on(listener, settings, demo=demo))


async def serve_on(
    listener: socket.socket, settings: Settings, *, demo: bool, parent: Parent | None = None
) -> int:
    """Serve on a socket until told to stop; gives the exit code."""
    allow_descriptors(settings.limits.sockets)
    with ExitStack() as told:
        async with assemble(settings) as parts:
            server = Server(parts, parent)
            # Until all is closed: a signal that nobody hears kills.
            told.enter_context(_told_to(server.stop))
            return await _serve_until_told(listener, parts, server, parent, demo=demo)


async def _serve_until_told(
    listener: socket.socket, parts: Parts, server: "Server", parent: Parent | None, *, demo: bool
) -> int:
    async with Background(server.stop) as background, Demo(parts.fleet) as stand_in:
        background.start("model servers", parts.fleet.watch())
        background.start("queue", parts.engine.rounds())
        background.start("doubts", parts.clear_doubts())
        background.start("checkpoints", parts.checkpoints.run())
        background.start("idempotency keys", forget_old_keys(parts.store.writer, parts.clock))
        background.start("loop lag", LoopLag(parts.metrics.loop_lag).run())
        if parts.serving_lock is not None:
            background.start("database lock", parts.serving_lock.keep())
        for name, work in parts.sharing.items():
            background.start(name, work())
        if demo:
            await stand_in.look()
            background.start("simulated model", stand_in.watch())
        if parts.fleet.answering:
            await parts.take_up()
        else:
            background.once("take up", _take_up_later(parts))
        _spare_collector()
        if parent is None:
            log.info("serving", address=address_of(listener))
        else:
            background.once("parent", parent.obey(parts.metrics, server.stop))
            parent.ready()
        await server.serve(sockets=copies_of(listener))
    return 1 if background.failed else 0


@contextmanager
def _told_to(stop: Callable[[], None]) -> Iterator[None]:
    """Stop at the signals that end a process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _take_up_later(parts: Parts) -> None:
    """Wait for a model server: after a power cut ours may be back before they are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_MODELS_COME_BACK_S):
            await parts.fleet.some_answer()
    await parts.take_up()


def _spare_collector() -> None:
    """Leave what was made at start out of garbage collection, and collect less often.

    Tokens make many objects and no cycles; at the default threshold the collector took 5 % of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, _OLDER_AFTER, _OLDEST_AFTER)


class Server(uvicorn.Server):
    """uvicorn, told to stop only when the readers are done: it closes its socket as soon as it is told."""

    def __init__(self, parts: Parts, parent: Parent | None = None) -> None:
        super().__init__(_config(parts, parent))
        parts.metrics.watch_sockets(lambda: len(self.server_state.connections))
        self._parts = parts
        self._draining: asyncio.Task[None] | None = None
        #: A second signal: no more waiting.
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Begin to drain; asked again, hurry."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="drain")
        else:
            self._hurry.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to whoever started this: they come before it serves, and after."""
        yield

    async def _drain(self) -> None:
        grace = self._parts.settings.server.grace_s
        try:
            await self._let_go(grace)
        except Exception:
            log.exception("drain_failed")
        finally:
            # Whatever went wrong before, a process that was told to end does.
            asyncio.get_running_loop().call_later(_CUT_AFTER * _last_part(grace), self._cut)
            self.should_exit = True

    async def _let_go(self, grace: float) -> None:
        engine, readers = self._parts.engine, self._parts.readers
        log.info("draining", running=engine.running, readers=len(readers))
        engine.drain()
        readers.drain()
        if self._parts.peers.alone:
            await self._wait_for_readers(max(0.0, grace - _last_part(grace)))
        readers.finish(elsewhere=not self._parts.peers.alone)
        if not self._parts.peers.alone:
            await self._hand_over(grace)

    async def _wait_for_readers(self, patience: float) -> None:
        """Let those stay who read what is made here: nobody else can go on with it."""
        waits = [
            asyncio.create_task(self._all_done(), name="drain: all done"),
            asyncio.create_task(self._hurry.wait(), name="drain: second signal"),
        ]
        done, _ = await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if waits[0] not in done:
            running, readers = self._parts.engine.running, len(self._parts.readers)
            log.info("grace_over", running=running, readers=readers)

    async def _hand_over(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._parts.hand_over()
        except TimeoutError:
            # The others find out by the lease.
            log.warning("not_handed_over")

    def _cut(self) -> None:
        """Cut who hasn't taken its last words: uvicorn would wait for a peer that doesn't read."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _all_done(self) -> None:
        await self._parts.engine.finish()
        await self._parts.readers.gone()


def _last_part(grace: float) -> float:
    """Give the seconds that are kept of the grace, so that the process is gone when it is over."""
    return min(max(_LAST_PART * grace, _LAST_PART_LEAST_S), _LAST_PART_MOST_S)


def _config(parts: Parts, parent: Parent | None) -> uvicorn.Config:
    settings = parts.settings
    return uvicorn.Config(
        build_application(parts, parent.figures if parent else parts.metrics.figures),
        lifespan="off",
        # Called like the class that uvicorn asks for.
        http=Door(settings.limits, parts.metrics),  # type: ignore[arg-type]
        ws=SocketConnection,
        # Deflate costs 40 KiB a connection, and tokens are too small to gain by it.
        ws_per_message_deflate=False,
        ws_max_size=settings.limits.message_bytes,
        ws_ping_interval=settings.streams.websocket_heartbeat_s,
        ws_ping_timeout=settings.streams.pong_timeout_s,
        timeout_keep_alive=_KEEP_ALIVE,
        # A request that was sent ahead is begun by the one before it, and would be logged as its caller's.
        reset_contextvars=True,
        # Waited for as it is, so it needn't be whole.
        timeout_graceful_shutdown=_CANCEL_AFTER * _last_part(settings.server.grace_s),  # type: ignore[arg-type]
        proxy_headers=bool(settings.server.trusted_proxies),
        forwarded_allow_ips=list(settings.server.trusted_proxies),
        server_header=False,
        access_log=False,
        log_config=None,
    )
