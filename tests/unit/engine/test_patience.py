import pytest
import structlog

from chatserver.engine import patience
from chatserver.engine.patience import Patience
from chatserver.errors import StoreUnavailable
from tests.unit.clock import MovedClock


class Store:
    """Answers at the so-many-th time it is asked; time passes with every question."""

    def __init__(self, clock: MovedClock, refusals: int, seconds: float) -> None:
        self.clock = clock
        self.refusals = refusals
        self.seconds = seconds

    async def ask(self) -> str:
        self.clock.move(self.seconds)
        self.refusals -= 1
        if self.refusals >= 0:
            raise StoreUnavailable
        return "here"


async def test_it_asks_until_there_is_an_answer_and_says_so_sparsely() -> None:
    clock = MovedClock()
    with structlog.testing.capture_logs() as lines:
        assert await Patience(clock).ask("end", Store(clock, 10, 13).ask) == "here"
    assert [(line["event"], line.get("since_s", line.get("after_s"))) for line in lines] == [
        ("store_unavailable", 0),
        ("store_unavailable", 65),
        ("store_back", 130),
    ]


async def test_all_who_wait_share_one_line() -> None:
    clock = MovedClock()
    patient = Patience(clock)
    with structlog.testing.capture_logs() as lines:
        for refusals in (1, 0):
            await patient.ask("end", Store(clock, refusals, 0).ask)
    assert [line["event"] for line in lines] == ["store_unavailable", "store_back"]


async def test_another_error_is_no_reason_to_wait() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Patience(MovedClock()).ask("end", fail)


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = patience._pauses()
    found = [next(pauses) for _ in range(40)]
    assert all(patience._FIRST_S / 2 <= pause <= patience._LONGEST_S for pause in found)
    assert min(found[-10:]) >= patience._LONGEST_S / 2
