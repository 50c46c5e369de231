"""Where a storm takes place: a model, and instances with networks of their own to Redis and PostgreSQL."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.storm.witness import Witness, witness_of
from tests.harness.client import Client, client_of
from tests.harness.instances import LEASE_S
from tests.harness.postgres import Postgres, running_postgres
from tests.harness.processes import DidNotStart, Process, on_postgres, running, server, simulator
from tests.harness.redis import RedisServer, redis_server
from tests.harness.relay import Relay, relay_to

SLOTS = 8
_SETTINGS = {
    "ollama.slots": SLOTS,
    "ollama.first_token_timeout_s": 2,
    "ollama.stall_timeout_s": 2,
    "store.lease_s": LEASE_S,
    "store.checkpoint_ms": 200,
    "store.readers": 2,
    "streams.sse_heartbeat_s": 1,
    "server.grace_s": 5,
    "generation.retry_first_delay_s": 0.2,
    # Logs of what has ended shall go while others are still being made.
    "generation.keep_finished_s": 20,
}
_TOKENS_A_SECOND = 40
#: Seconds before a process that didn't start is started again.
_START_AGAIN_S = 0.5


@dataclass
class Instance:
    name: str
    process: Process
    client: Client
    to_redis: Relay
    to_postgres: Relay
    #: Something is being done to it, or it is on its way back.
    struck: bool = False

    def __repr__(self) -> str:
        return self.name


@dataclass
class Arena:
    folder: Path
    instances: Sequence[Instance]
    redis: RedisServer
    postgres: Postgres
    database: str
    model: Process
    witness: Witness

    @contextmanager
    def strike(self, rng: random.Random, *wished: Instance) -> Iterator[Instance]:
        """Choose an instance to do something to: one of those wished, if nothing is done to it yet."""
        free = [one for one in wished if not one.struck] or [one for one in self.instances if not one.struck]
        chosen = rng.choice(free)
        chosen.struck = True
        try:
            yield chosen
        finally:
            chosen.struck = False

    async def restart_redis(self, *, emptied: bool) -> None:
        """Start it after it was killed, with what it had saved or with nothing."""
        if emptied:
            shutil.rmtree(self.redis.folder / "appendonlydir", ignore_errors=True)
        await self.witness.detached()
        with contextmanager(_all_closed)(self.instances):
            await self.redis.start()
            await self.witness.attach(emptied=emptied)

    async def model_faults(self, *faults: str) -> None:
        async with httpx.AsyncClient(base_url=self.model.url, trust_env=False) as http:
            (await http.put("/_sim/faults", json=list(faults))).raise_for_status()

    def rows(self, query: str) -> list[list[str]]:
        return self.postgres.sql(query, self.database)


def _all_closed(instances: Sequence[Instance]) -> Iterator[None]:
    """Let nobody in before the witness is there."""
    for instance in instances:
        instance.to_redis.closed = True
    try:
        yield
    finally:
        for instance in instances:
            instance.to_redis.closed = False


@asynccontextmanager
async def arena_of(folder: Path, count: int, seed: int) -> AsyncIterator[Arena]:
    async with AsyncExitStack() as stack:
        options = (
            "--rate",
            _TOKENS_A_SECOND,
            "--parallel",
            count * SLOTS,
            "--seed",
            seed % 1000,
            "--diverge",
        )
        model = await stack.enter_async_context(running(simulator(*map(str, options))))
        redis = await stack.enter_async_context(redis_server(folder, "--appendonly", "yes"))
        # Written before it is confirmed, so that a killed server has it.
        postgres = stack.enter_context(running_postgres(durable=True))
        database = postgres.create()
        #: Whose connection comes from which port.
        names: dict[int, str] = {}
        witness = await stack.enter_async_context(witness_of(redis, lambda port: names.get(port, "")))
        start = partial(_instance, folder, model.url, redis.port, postgres, database, names=names)
        instances = [await stack.enter_async_context(start(name=name)) for name in "abcd"[:count]]
        yield Arena(folder, instances, redis, postgres, database, model, witness)


@asynccontextmanager
async def _instance(
    folder: Path,
    model: str,
    redis: int,
    postgres: Postgres,
    database: str,
    *,
    names: dict[int, str],
    name: str,
) -> AsyncIterator[Instance]:
    def connected(port: int) -> None:
        # One that was started anew is another owner.
        names[port] = f"{name}-{process.pid}"

    async with relay_to(redis, connected) as to_redis, relay_to(postgres.port) as to_postgres:
        given: dict[str, Any] = {
            **_SETTINGS,
            **on_postgres(postgres.address(database, port=to_postgres.port)),
            "store.redis_url": f"redis://127.0.0.1:{to_redis.port}/0",
        }
        process = server(folder / name, model, given)
        async with running(process), client_of(process.url) as client:
            yield Instance(name, process, client, to_redis, to_postgres)


async def begin_again(instance: Instance) -> None:
    """Start its process on the same port, as often as it takes; it may be running, and is killed then."""
    async with asyncio.timeout(60):
        while True:
            try:
                await instance.process.restart()
            except DidNotStart:
                # Another fault hides the database: whoever supervises it tries again.
                await asyncio.sleep(_START_AGAIN_S)
            else:
                return
