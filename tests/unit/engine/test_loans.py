import asyncio

import pytest

from chatserver.engine.loans import Loans, SlotNeededError
from chatserver.engine.slots import Slot
from chatserver.upstream.client import Deadlines, OllamaClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


def slot(model: str = "m") -> Slot:
    return Slot(OllamaClient("http://127.0.0.1:1", Deadlines(1, 1, 1)), model)


async def hold(loans: Loans, lent: Slot, has: asyncio.Event) -> None:
    async with loans.lend(lent):
        has.set()
        await asyncio.Event().wait()


async def test_whoever_has_a_slot_that_is_called_in_is_stopped() -> None:
    loans, has = Loans(), asyncio.Event()
    holding = asyncio.create_task(hold(loans, slot(), has))
    await has.wait()
    assert not loans.call_in("another")
    assert loans.call_in("m")
    assert not loans.call_in("m")
    with pytest.raises(SlotNeededError):
        await holding


async def test_all_of_them_can_be_called_in() -> None:
    loans, events = Loans(), [asyncio.Event() for _ in range(3)]
    holding = [asyncio.create_task(hold(loans, slot(), has)) for has in events]
    for has in events:
        await has.wait()
    loans.call_in_all()
    ended = await asyncio.gather(*holding, return_exceptions=True)
    assert [type(each) for each in ended] == [SlotNeededError] * 3


async def test_who_gives_it_back_in_time_is_left_alone() -> None:
    loans = Loans()
    async with loans.lend(slot()):
        pass
    assert not loans.call_in("m")


async def test_another_timeout_is_no_call() -> None:
    with pytest.raises(TimeoutError):
        async with Loans().lend(slot()), asyncio.timeout(0):
            await asyncio.Event().wait()
