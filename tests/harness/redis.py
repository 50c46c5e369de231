"""A real Redis for tests: on a free port, in a folder of its own, ended by its own id."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from tests.harness.ports import free_port

_START_S = 10


@dataclass
class RedisServer:
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: asyncio.subprocess.Process | None = None
    reader: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server isn't installed; on Debian: apt-get install redis-server"
        self.process = await asyncio.create_subprocess_exec(
            program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", *self.options),
            stdout=asyncio.subprocess.PIPE,
        )
        ready = self.process.stdout
        assert ready is not None
        async with asyncio.timeout(_START_S):
            while b"Ready to accept connections" not in (line := await ready.readline()):
                assert line, "redis-server ended before it was ready"
        # Read on, so that it never waits for us.
        self.reader = asyncio.create_task(_read_away(ready), name="redis output")

    async def kill(self) -> None:
        """End it at once; what it had in memory is gone."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        self.process = None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        async with Redis.from_url(self.url) as client:
            yield client


@asynccontextmanager
async def redis_server(folder: Path, *options: str) -> AsyncIterator[RedisServer]:
    server = RedisServer(folder, free_port(), options)
    await server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.resume()
            await server.kill()


async def _read_away(output: asyncio.StreamReader) -> None:
    while await output.readline():
        pass
