import asyncio

import pytest

from chatserver.app.background import Background


class Watcher:
    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.told.set()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def die() -> None:
    raise ValueError


async def return_at_once() -> None:
    """What runs in the background has no end; one that ends is as bad as one that dies."""


@pytest.mark.parametrize("work", [die, return_at_once])
async def test_no_task_ends_unnoticed(work) -> None:
    watcher = Watcher()
    async with Background(watcher) as background:
        background.start("good", for_ever())
        background.start("bad", work())
        await asyncio.wait_for(watcher.told.wait(), 5)
        assert background.failed
    assert watcher.times == 1


async def test_at_the_end_all_are_stopped_and_that_is_no_failure() -> None:
    watcher, stopped = Watcher(), []

    async def clean_up() -> None:
        try:
            await for_ever()
        finally:
            stopped.append(1)

    async with Background(watcher) as background:
        for _ in range(3):
            background.start("good", clean_up())
        await asyncio.sleep(0)
    assert len(stopped) == 3
    assert (background.failed, watcher.times) == (False, 0)


async def test_a_task_that_stops_badly_at_the_end_harms_nobody() -> None:
    watcher = Watcher()

    async def stop_badly() -> None:
        try:
            await for_ever()
        finally:
            raise ValueError

    async with Background(watcher) as background:
        background.start("bad", stop_badly())
        await asyncio.sleep(0)
    assert watcher.times == 0


async def test_tasks_can_be_told_apart_by_their_names() -> None:
    async with Background(lambda: None) as background:
        background.start("queue", for_ever())
        assert "queue" in [task.get_name() for task in asyncio.all_tasks()]
