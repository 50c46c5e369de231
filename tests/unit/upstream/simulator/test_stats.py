import asyncio

from chatserver.upstream.simulator.stats import Stats


async def test_waiting_ends_when_the_numbers_are_as_wanted() -> None:
    stats = Stats()
    waiter = asyncio.create_task(stats.wait_for({"served": 2}, 60))
    await asyncio.sleep(0)
    stats.ended("served")
    await asyncio.sleep(0)
    assert not waiter.done()
    stats.ended("served")
    await waiter


async def test_waiting_ends_with_its_time() -> None:
    await Stats().wait_for({"served": 1}, 0)


def test_only_the_last_bodies_are_kept_and_only_their_beginning() -> None:
    stats = Stats()
    for number in range(600):
        stats.keep("/api/chat", b"%d" % number)
    stats.keep("/api/chat", b"x" * 100_000)
    assert [entry["body"] for entry in stats.last_requests(3)][:2] == [598, 599]
    assert len(stats.last_requests(1)[0]["body"]) == 65_536
    assert len(stats.last_requests(10_000)) == 500
    assert stats.last_requests(0) == []


def test_the_snapshot_has_every_outcome() -> None:
    stats = Stats()
    stats.ended("cancelled")
    assert {"served": 0, "cancelled": 1, "faulted": 0, "refused": 0}.items() <= stats.snapshot().items()
