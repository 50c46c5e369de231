"""Two servers that share PostgreSQL and Redis, and one that is alone, before one simulated model server."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.conversations import ask, begin, events, questions
from loadtests.load import Job, Outcome, put_load
from loadtests.servers import SIMULATOR, chatserver, simulator
from tests.harness.postgres import running_postgres
from tests.harness.processes import on_postgres
from tests.harness.redis import RedisServer, redis_server

#: The servers, by the names under which figures call them: two that share, and one that doesn't.
HERE, ELSEWHERE, ALONE = "here", "elsewhere", "alone"
REDIS = "redis"

#: Time for the readers to come before the first token does.
_FIRST_TOKEN_MS = 6_000
#: Seconds that streams may take longer than their tokens do.
_PATIENCE = 60
#: Seconds over which the readers come.
_SPREAD_S = 3


@dataclass(frozen=True)
class Instances:
    addresses: Mapping[str, str]
    pids: Mapping[str, int]
    redis: RedisServer
    #: Tokens a second of each answer.
    rate: float

    async def ask(self, at: str, answers: int, tokens: int) -> Sequence[str]:
        """Ask one server; gives the generations, whose first tokens take their time."""
        address = self.addresses[at]
        conversations = await begin(address, answers)
        return await ask(address, conversations, questions(answers, tokens))

    async def read(self, at: str, generations: Sequence[str], tokens: int, readers: int = 1) -> Outcome:
        """Have so many readers of each answer read it to its end through one server."""
        address = self.addresses[at]
        host, _, port = address.partition(":")
        requests = [events(address, generation) for generation in generations for _ in range(readers)]
        deadline = _FIRST_TOKEN_MS / 1000 + tokens / self.rate + _PATIENCE
        return await put_load(Job(host, int(port), requests, "\n\n", deadline, _SPREAD_S), self.pids)

    async def commands(self) -> int:
        """Count the commands that Redis has carried out."""
        async with self.redis.client() as client:
            return int((await client.info("stats"))["total_commands_processed"])


@asynccontextmanager
async def instances(seed: int, rate: float) -> AsyncIterator[Instances]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        postgres = stack.enter_context(running_postgres())
        redis = await stack.enter_async_context(redis_server(folder))
        model_server, upstream = await stack.enter_async_context(simulator(seed, rate, _FIRST_TOKEN_MS))
        shared = {**on_postgres(postgres.address(postgres.create())), "store.redis_url": redis.url}
        alone = on_postgres(postgres.address(postgres.create()))
        addresses, pids = {}, {SIMULATOR: model_server.pid}
        for name, settings in ((HERE, shared), (ELSEWHERE, shared), (ALONE, alone)):
            server = chatserver(folder / name, upstream, settings)
            child, addresses[name] = await stack.enter_async_context(server)
            pids[name] = child.pid
        assert redis.process is not None
        pids[REDIS] = redis.process.pid
        yield Instances(addresses, pids, redis, rate)
