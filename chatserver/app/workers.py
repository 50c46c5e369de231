"""Several processes on one port: their parent opens the socket, starts them, and again those that die."""

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import structlog
import uvloop

from chatserver.app.channel import All, Ask, Channel, Ready, Start, Tell, Told
from chatserver.app.listening import address_of, listen
from chatserver.settings import Settings, share_of
from chatserver.telemetry.logs import set_up_logging
from chatserver.telemetry.summing import Family, Figures, lasting, rendered, total

#: Seconds before a worker that died is started again: at once if it had worked for long, else ever later.
_WORKED_S = 60.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
#: Seconds in which a worker tells its figures; after that its last ones count.
_TELL_S = 2.0
#: Seconds after its grace in which a worker has to be gone.
_OVERDUE_S = 5.0

log = structlog.get_logger()


def serve_with_workers(settings: Settings, *, demo: bool) -> int:
    set_up_logging(settings.log.format, settings.log.level)
    listener = listen(settings.server.host, settings.server.port)
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Workers(settings, listener, demo=demo).run())


class Worker:
    """One process, as its parent meets it."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.process = process
        self.channel = channel
        #: It serves, or has ended without.
        self.settled = asyncio.Event()
        self.ready = False
        #: What it told last.
        self.figures: Figures = []
        self.told = asyncio.Event()

    @classmethod
    async def start(cls, number: int, listener: socket.socket, start: Start) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "chatserver.app.worker", str(listener.fileno()), str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listener.fileno(), theirs.fileno()),
                # Ctrl-C reaches all processes of a terminal; here the parent passes it on, once.
                start_new_session=True,
            )
        channel = await Channel.over(ours)
        channel.send(start)
        return cls(number, process, channel)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Workers:
    def __init__(self, settings: Settings, listener: socket.socket, *, demo: bool) -> None:
        self._settings = settings
        self._listener = listener
        self._demo = demo
        self._living: dict[int, Worker] = {}
        self._tasks = asyncio.TaskGroup()
        #: The first worker serves, so that nothing keeps the others from it.
        self._begun = False
        self._stopping = asyncio.Event()
        #: The exit code: not 0 where the server couldn't be started, or one failed to end as it should.
        self._code = 0
        #: What those have counted that have ended, and how often one was started again.
        self._counted: Figures = []
        self._restarts = 0
        #: Seconds that were waited before each was started again the last time.
        self._delays: dict[int, float] = {}
        self._asking = asyncio.Lock()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        async with self._tasks:
            # What keeps the server from starting is told once, by the first one alone.
            first = await self._start(1)
            await first.settled.wait()
            self._begun = first.ready
            if self._begun:
                workers = range(2, self._settings.server.workers + 1)
                started = [first, *[await self._start(number) for number in workers]]
                self._tasks.create_task(self._tell_ready(started), name="all ready")
        return self._code

    async def _tell_ready(self, started: Sequence[Worker]) -> None:
        for worker in started:
            await worker.settled.wait()
        if not self._stopping.is_set():
            log.info("serving", address=address_of(self._listener), workers=len(started))

    def _stop(self) -> None:
        """Have all drain; asked again, hurry."""
        if not self._stopping.is_set():
            self._stopping.set()
            patience = self._settings.server.grace_s + _OVERDUE_S
            asyncio.get_running_loop().call_later(patience, self._kill)
        for worker in self._living.values():
            worker.signal(signal.SIGTERM)

    def _kill(self) -> None:
        for worker in self._living.values():
            log.error("worker_overdue", worker=worker.number)
            worker.signal(signal.SIGKILL)

    async def _start(self, number: int) -> Worker:
        start = Start(number, share_of(self._settings, number), self._demo)
        worker = await Worker.start(number, self._listener, start)
        self._living[number] = worker
        self._tasks.create_task(self._keep(worker), name=f"worker {number}")
        return worker

    async def _keep(self, worker: Worker) -> None:
        """Look after a worker until it has ended; then put another in its place, unless all are to end."""
        began = asyncio.get_running_loop().time()
        if self._stopping.is_set():
            worker.signal(signal.SIGTERM)
        code = await self._attend(worker)
        if self._stopping.is_set() or not self._begun:
            # One that is told to stop before it serves just ends.
            if code and (worker.ready or not self._stopping.is_set()):
                self._code = max(code, 1)
            return
        worked = asyncio.get_running_loop().time() - began > _WORKED_S
        before = self._delays.get(worker.number, 0.0)
        delay = 0.0 if worked else min(max(2 * before, _FIRST_DELAY_S), _LONGEST_DELAY_S)
        self._delays[worker.number] = delay
        log.error("worker_ended", worker=worker.number, code=code, again_in_s=delay)
        if not await self._stopped_within(delay):
            self._restarts += 1
            await self._start(worker.number)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _attend(self, worker: Worker) -> int:
        """Do what a worker asks for until it has ended; gives its exit code."""
        while (message := await worker.channel.receive()) is not None:
            match message:
                case Ready():
                    worker.ready = True
                    worker.settled.set()
                    log.info("worker_ready", worker=worker.number, pid=worker.process.pid)
                case Told(figures):
                    worker.figures = figures
                    worker.told.set()
                case Ask():
                    self._tasks.create_task(self._answer(worker), name="figures of all")
        code = await worker.process.wait()
        del self._living[worker.number]
        self._counted = total([self._counted, lasting(worker.figures)])
        worker.channel.close()
        worker.settled.set()
        worker.told.set()
        return code

    async def _answer(self, asking: Worker) -> None:
        """Let a worker have the figures of all; one that doesn't answer counts as it was."""
        async with self._asking:
            asked = self._serving
            for worker in asked:
                worker.told.clear()
                worker.channel.send(Tell())
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    for worker in asked:
                        await worker.told.wait()
            each = [worker.figures for worker in self._serving]
            asking.channel.send(All(rendered(total([self._counted, *each, self._own()]))))

    @property
    def _serving(self) -> list[Worker]:
        return [worker for worker in self._living.values() if worker.ready]

    def _own(self) -> Figures:
        serving, restarts = "chatserver_workers", "chatserver_workers_restarted"
        return [
            Family(serving, "gauge", "Processes that serve.", {(serving, ()): len(self._serving)}),
            Family(
                restarts,
                "counter",
                "Processes that were started again.",
                {(f"{restarts}_total", ()): self._restarts},
            ),
        ]
