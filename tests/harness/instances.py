"""Several servers that share a PostgreSQL, a Redis and simulated models."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.client import Client, client_of
from tests.harness.postgres import Postgres
from tests.harness.processes import Process, on_postgres, running, server, simulator
from tests.harness.redis import RedisServer, redis_server

#: Seconds until an instance that gives no sign of life counts as dead: short, for tests wait for it.
LEASE_S = 1
_GRACE_S = 5


@dataclass(frozen=True)
class Cluster:
    servers: Sequence[Process]
    #: One of the same user for each server.
    clients: Sequence[Client]
    redis: RedisServer
    simulator: Process


@asynccontextmanager
async def cluster_of(
    folder: Path,
    postgres: Postgres,
    count: int,
    settings: Mapping[str, Any],
    simulator_options: Sequence[str],
) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        model_server = await stack.enter_async_context(running(simulator(*simulator_options)))
        redis = await stack.enter_async_context(redis_server(folder))
        given = {
            **on_postgres(postgres.address(postgres.create())),
            "store.redis_url": redis.url,
            "store.lease_s": LEASE_S,
            "server.grace_s": _GRACE_S,
            **settings,
        }
        servers = [
            await stack.enter_async_context(running(server(folder / "data", model_server.url, given)))
            for _ in range(count)
        ]
        clients = [await stack.enter_async_context(client_of(each.url)) for each in servers]
        yield Cluster(servers, clients, redis, model_server)
