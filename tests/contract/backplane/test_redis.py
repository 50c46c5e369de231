"""What only Redis can do to us: go away, forget, cut connections, refuse, or hold what others wrote."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

import pytest
import pytest_asyncio
import uvloop
from redis.asyncio.client import PubSub

from chatserver.backplane.port import Refused
from chatserver.backplane.redis import subscriptions
from chatserver.backplane.redis.backplane import RedisBackplane
from chatserver.backplane.redis.link import CONNECTIONS
from chatserver.backplane.redis.start import check_redis
from chatserver.commands.checks import check_redis as check_for_doctor
from chatserver.errors import BackplaneUnavailable, StartRefused
from chatserver.generation.pieces import Channel, Delta
from chatserver.generation.position import Position
from tests.contract.backplane.conftest import LIVES, on_redis
from tests.contract.backplane.test_backplane import LOG, adding
from tests.contract.backplane.test_instances import Instance, Reader, begun, end, instance_on, write
from tests.harness.redis import RedisServer, redis_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def two_instances(server: RedisServer) -> AsyncIterator[tuple[Instance, Instance]]:
    async with (
        on_redis(server) as here,
        on_redis(server) as there,
        instance_on(here) as owner,
        instance_on(there) as other,
    ):
        yield owner, other


@pytest_asyncio.fixture(loop_scope="module")
async def instances(redis) -> AsyncIterator[tuple[Instance, Instance]]:
    async with redis.client() as client:
        await client.flushall()
    async with two_instances(redis) as both:
        yield both


async def test_every_key_has_an_end(instances, redis):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    await there.backplane.take(LOG, 2)
    async with redis.client() as client:
        lives = {key: await client.ttl(key) for key in await client.keys("*")}
    assert len(lives) == 2
    assert all(0 < ttl <= LIVES.running for ttl in lives.values())


async def test_a_finished_log_stays_for_its_own_time(instances, redis):
    here, _ = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    end(feed)
    await here.sharing.settle(feed)
    async with redis.client() as client:
        assert {await client.ttl(key) for key in await client.keys("*")} <= {LIVES.ended, LIVES.ended - 1}


async def test_an_emptied_redis_is_filled_again_at_the_same_positions(instances, redis):
    here, there = instances
    feed = here.own(begun(), 1)
    async with Reader(there.following.feed(LOG)) as reader:
        write(feed, "hello")
        await reader.until("hello")
        async with redis.client() as client:
            await client.flushall()
        write(feed, " world")
        end(feed)
        await reader.until_end()
        assert (reader.text, reader.resets) == ("hello world", 0)
    history = await there.backplane.history(LOG)
    assert history is not None
    assert len(history.pieces) == feed.log.top


async def test_whoever_lost_the_generation_does_not_put_its_log_back(instances, redis):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with redis.client() as client:
        await client.flushall()
    here.running[LOG] = 2
    write(feed, "!")
    await here.fenced.wait()
    assert await there.backplane.history(LOG) is None


async def test_a_cut_subscription_is_renewed_and_what_was_missed_is_read(instances, redis):
    here, there = instances
    feed = here.own(begun(), 1)
    async with Reader(there.following.feed(LOG)) as reader:
        write(feed, "hello")
        await reader.until("hello")
        async with redis.client() as client:
            await client.client_kill_filter(_type="pubsub")
        write(feed, " world")
        await reader.until("hello world")
    assert reader.resets == 0


async def test_while_redis_is_away_local_readers_go_on_and_others_follow_later(tmp_path):
    async with redis_server(tmp_path) as server, two_instances(server) as (owner, other):
        feed = owner.own(begun(), 1)
        async with Reader(feed) as local, Reader(other.following.feed(LOG)) as remote:
            write(feed, "hello")
            await remote.until("hello")
            await server.kill()
            write(feed, " world")
            await local.until("hello world")
            with pytest.raises(BackplaneUnavailable):
                await other.backplane.history(LOG)
            assert not other.backplane.connected
            await server.start()
            end(feed)
            await remote.until_end()
        assert (remote.text, remote.resets) == ("hello world", 0)
        assert owner.backplane.connected


async def test_a_redis_that_hangs_is_unavailable_after_a_deadline(tmp_path):
    async with redis_server(tmp_path) as server, on_redis(server) as backplane:
        server.pause()
        with pytest.raises(BackplaneUnavailable):
            await backplane.history(LOG)
        server.resume()
        assert await backplane.history(LOG) is None


@pytest.mark.parametrize("key", [f"chatserver:epochs:{LOG}", f"chatserver:pieces:{LOG}"])
@pytest.mark.parametrize("command", ["set", "lpush", "hset"])
async def test_garbage_under_our_keys_is_as_good_as_no_log(instances, redis, key, command):
    here, _ = instances
    backplane = here.backplane
    await backplane.open(LOG, [Position(1, 0)])
    await backplane.append([adding(1, "a")])
    async with redis.client() as client:
        await client.delete(key)
        await client.execute_command(command, key, *(["x", "y"] if command == "hset" else ["rubbish"]))
    assert await backplane.history(LOG) is None
    assert await backplane.take(LOG, 2) is None
    assert await backplane.append([adding(2, "b")]) == [Refused.GONE]
    await backplane.open(LOG, [Position(1, 0), Position(2, 0)])
    assert await backplane.append([adding(1, "c", epoch=2)]) == [1]
    assert await backplane.history(LOG) is not None


async def test_garbage_on_a_channel_makes_a_follower_read_the_log(instances, redis):
    here, there = instances
    feed = here.own(begun(), 1)
    async with Reader(there.following.feed(LOG)) as reader:
        write(feed, "hello")
        await reader.until("hello")
        async with redis.client() as client:
            for rubbish in (b"", b"\xff", b"1.7\n{}", b'1.7\n["answer",1]', b"9" * 100_000):
                await client.publish(f"chatserver:log:{LOG}", rubbish)
        write(feed, "!")
        await reader.until("hello!")
    assert reader.resets == 0


class TestTheStart:
    async def test_takes_a_redis_that_serves(self, redis):
        await check_redis(redis.url)

    async def test_names_an_address_where_nobody_answers(self):
        with pytest.raises(StartRefused, match=r"Redis at 127.0.0.1:1 doesn't answer"):
            await check_redis("redis://127.0.0.1:1")

    async def test_names_an_address_that_is_none(self):
        with pytest.raises(StartRefused, match="isn't an address of Redis"):
            await check_redis("http://127.0.0.1")

    async def test_says_that_a_password_is_needed_and_never_shows_one(self, tmp_path):
        async with redis_server(tmp_path, "--requirepass", "right") as server:
            for url in (server.url, server.url.replace("//", "//:wrong@")):
                with pytest.raises(StartRefused, match="password") as refused:
                    await check_redis(url)
                assert "wrong" not in refused.value.detail

    async def test_says_that_a_replica_cannot_be_written(self, tmp_path, redis):
        async with redis_server(tmp_path, "--replicaof", "127.0.0.1", str(redis.port)) as replica:
            with pytest.raises(StartRefused, match="read-only replica"):
                await check_redis(replica.url)

    async def test_says_that_rights_to_channels_are_missing(self, redis: RedisServer):
        async with redis.client() as client:
            await client.execute_command(
                "ACL", "SETUSER", "poor", "on", ">poor", "~chatserver:*", "resetchannels", "+@all"
            )
        with pytest.raises(StartRefused, match="lacks rights"):
            await check_redis(redis.url.replace("//", "//poor:poor@"))


async def test_the_doctor_tells_what_a_start_would_refuse(redis):
    found = await asyncio.to_thread(check_for_doctor, redis.url)
    assert found.good
    finding = await asyncio.to_thread(check_for_doctor, "redis://:secret@127.0.0.1:1")
    assert "doesn't answer" in finding.found
    assert "CHATSERVER_REDIS_URL" in finding.remedy


async def test_a_script_that_redis_forgot_is_loaded_again(redis):
    async with RedisBackplane.open_at(redis.url, LIVES) as backplane, redis.client() as client:
        assert await backplane.history("gen_none") is None
        await client.script_flush()
        assert await backplane.history("gen_none") is None


async def test_a_reader_that_redis_cuts_off_for_its_backlog_catches_up(tmp_path):
    limit = ("--client-output-buffer-limit", "pubsub 64kb 32kb 1")
    async with redis_server(tmp_path, *limit) as server, two_instances(server) as (owner, other):
        feed = owner.own(begun(), 1)
        async with Reader(other.following.feed(LOG)) as reader:
            write(feed, "hello")
            await reader.until("hello")
            for _ in range(20):
                write(feed, "x" * 100)
                feed.add(Delta(Channel.ANSWER, "y" * 60_000))
            end(feed)
            await reader.until_end()
        assert reader.text == feed.log.text(Channel.ANSWER)
        assert reader.resets == 0


async def _lose_while_pinging(server: RedisServer) -> None:
    ping, torn = PubSub.ping, asyncio.Event()

    async def torn_ping(pubsub: PubSub) -> None:
        if not torn.is_set():
            torn.set()
            pubsub.connection._writer.transport.abort()
        await ping(pubsub)

    with (
        mock.patch.object(subscriptions, "_PING_EVERY", 0.01),
        mock.patch.object(PubSub, "ping", torn_ping),
    ):
        async with on_redis(server) as backplane:
            await torn.wait()
            heard: asyncio.Queue[str | None] = asyncio.Queue()
            with backplane.listen("topic", heard.put_nowait):
                assert await heard.get() is None
                backplane.publish("topic", "hello")
                while await heard.get() != "hello":
                    pass


# The client doesn't close what was torn out of its hands.
@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")
async def test_a_connection_that_ends_while_it_is_written_to_is_opened_anew(redis):
    def on_uvloop() -> None:
        # The server's event loop: it tells the end of a connection in another way than asyncio's own.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(_lose_while_pinging(redis), 10))

    await asyncio.to_thread(on_uvloop)


async def test_many_steps_at_once_share_a_few_connections(instances, redis):
    here, _ = instances
    await asyncio.gather(*(here.backplane.history(f"gen_{n}") for n in range(200)))
    async with redis.client() as client:
        ours = [one for one in await client.client_list() if one["name"] == "chatserver"]
    # Both instances also listen.
    assert len(ours) <= 2 * (CONNECTIONS + 1)


async def test_one_log_that_nobody_can_ask_the_store_about_holds_up_no_other(instances, redis):
    here, there = instances
    lost, kept = here.own(begun(), 1), here.own(begun("gen_2"), 1)
    for feed in (lost, kept):
        write(feed, "hello")
        await here.sharing.settle(feed)
    here.store_away = True
    async with redis.client() as client:
        await client.delete(f"chatserver:epochs:{LOG}")
    write(lost, " you")
    write(kept, " you")
    await asyncio.wait_for(here.sharing.settle(kept), 5)
    here.store_away = False
    await asyncio.wait_for(here.sharing.settle(lost), 5)
    async with Reader(there.following.feed(LOG)) as reader:
        await reader.until("hello you")
