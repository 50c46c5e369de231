import asyncio
import gc

from chatserver.engine.carrying import Carried
from chatserver.errors import StoreUnavailable


async def test_a_refusal_that_nobody_waits_for_any_more_is_no_error() -> None:
    refused, told = asyncio.Event(), []

    async def work() -> None:
        await refused.wait()
        raise StoreUnavailable

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    try:
        asking = asyncio.create_task(Carried().carry(work()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        # It remembers where it was cancelled, and so the work.
        del asking
        refused.set()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert told == []


async def test_what_nobody_waits_for_any_more_is_carried_through_and_waited_for_in_the_end() -> None:
    go, done = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        done.append("done")

    carried = Carried()
    asking = asyncio.create_task(carried.carry(work()))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    settling = asyncio.create_task(carried.settle())
    await asyncio.sleep(0)
    assert not settling.done()
    go.set()
    await settling
    assert done == ["done"]
