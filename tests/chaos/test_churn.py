"""People who come and go for three quarters of a minute, in every way: nothing of them stays."""

import random
from collections.abc import Callable

import pytest

from loadtests.churn import VISITS, churn
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SECONDS = 45
#: Seconds until as many are there as will be, and what is kept for a while is as much as it gets.
_WARM_UP_S = 15
_SLOTS = 16
#: Bytes of memory a visit: garbage in cycles is only collected now and then. A log alone that stayed is more.
_MOST_BYTES = 4 * 1024
#: The part of what is held on average by which it may seem to have grown; what is left in the end is exact.
_MOST_SHARE = 1 / 2

service = module_service(
    {"ollama.slots": _SLOTS, "generation.keep_finished_s": 2, "store.readers": 1},
    "--rate",
    "1000",
    "--parallel",
    str(_SLOTS),
)


async def test_nothing_grows(
    service: Service, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    churned = await churn(service.url, service.server.pid, rng, _SECONDS, _SLOTS)
    visits = churned.visits_from(_WARM_UP_S)
    growth = {name: churned.growth(name, _WARM_UP_S) for name in ("tasks", "sockets", "files")}
    bytes_each = churned.growth("memory", _WARM_UP_S) / visits
    record_property("visits", dict(churned.visits))
    record_property("growth", {name: round(more, 1) for name, more in growth.items()})
    record_property("bytes more a visit", round(bytes_each))
    assert churned.left == {}
    assert churned.visits.keys() == VISITS.keys()
    assert bytes_each <= _MOST_BYTES
    for name, more in growth.items():
        assert more <= _MOST_SHARE * churned.mean(name, _WARM_UP_S), name
