"""The witness of a storm sees what it is there to see: here it is done on purpose."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatserver.backplane.port import Appending
from chatserver.backplane.redis.backplane import Lifetimes, RedisBackplane
from chatserver.generation.pieces import Channel, Delta
from chatserver.generation.position import Position
from tests.chaos.storm.witness import Witness, witness_of
from tests.harness.redis import RedisServer, redis_server

_LIVES = Lifetimes(running=60, ended=30)
_LOG = "gen_1"
#: What no script of ours does.
_OPEN = "redis.call('SET', 'chatserver:epochs:gen_1', '{0}')"
_APPEND = "redis.call('PUBLISH', 'chatserver:log:gen_1', '{0}\\n[\"answer\",\"{1}\"]')"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def witness(redis: RedisServer) -> AsyncIterator[Witness]:
    async with witness_of(redis, str) as witness:
        yield witness


def _adding(n: int) -> list[Appending]:
    return [Appending(_LOG, 1, n, [Delta(Channel.ANSWER, "a")])]


async def _crimes(witness: Witness, redis: RedisServer, *steps: str) -> str:
    async with redis.client() as client:
        for step in steps:
            await client.eval(step, 0)
    await witness.caught_up()
    return "\n".join(witness.forget())


async def test_what_one_owner_writes_in_order_is_no_crime(witness: Witness, redis: RedisServer) -> None:
    async with RedisBackplane.open_at(redis.url, _LIVES) as owner:
        await owner.open(_LOG, [Position(1, 0)])
        for n in (1, 2, 2, 3):
            await owner.append(_adding(n))
    assert await _crimes(witness, redis) == ""


async def test_two_owners_of_one_epoch(witness: Witness, redis: RedisServer) -> None:
    async with (
        RedisBackplane.open_at(redis.url, _LIVES) as owner,
        RedisBackplane.open_at(redis.url, _LIVES) as other,
    ):
        await owner.open(_LOG, [Position(1, 0)])
        await owner.append(_adding(1))
        await other.append(_adding(2))
    assert "write under 1" in await _crimes(witness, redis)


async def test_an_owner_that_writes_after_its_time(witness: Witness, redis: RedisServer) -> None:
    steps = (_OPEN.format("1.0"), _OPEN.format("1.0 2.0"), _APPEND.format("1.1", "a"))
    assert "writes under 1 after 2" in await _crimes(witness, redis, ";".join(steps))


async def test_two_pieces_at_one_position(witness: Witness, redis: RedisServer) -> None:
    begin = f"redis.call('DEL', 'chatserver:epochs:gen_1'); {_OPEN.format('1.0')}"
    steps = (begin, _APPEND.format("1.1", "a"), begin, _APPEND.format("1.1", "b"))
    assert "two pieces at (1, 1)" in await _crimes(witness, redis, ";".join(steps))


async def test_a_piece_that_is_missing(witness: Witness, redis: RedisServer) -> None:
    steps = (_OPEN.format("1.0"), _APPEND.format("1.2", "a"))
    assert "(1, 2) is appended after piece 0" in await _crimes(witness, redis, ";".join(steps))
