import pytest

from chatserver.settings import describe, load, share_of
from chatserver.settings.shares import DIVIDED
from tests.unit.settings.test_rules import SHARED


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_all_shares_together_are_the_whole(workers: int) -> None:
    settings = load(None, {}, {**SHARED, "server.workers": workers, "ollama.slots": 7}).settings
    each = [share_of(settings, worker) for worker in range(1, workers + 1)]
    for name in DIVIDED:
        section, _, key = name.partition(".")
        parts = [getattr(getattr(one, section), key) for one in each]
        assert sum(parts) == getattr(getattr(settings, section), key)
        assert max(parts) - min(parts) <= 1
    assert {one.limits.turn_bytes for one in each} == {settings.limits.turn_bytes}


def test_what_is_divided_is_said_beside_the_setting() -> None:
    rows = describe(load(None, {}, {**SHARED, "server.workers": 3, "limits.connections": 9000}))
    values = {row.name: row.value for row in rows}
    assert values["limits.connections"] == "9000 (3000 for each worker)"
    assert values["ollama.slots"] == "4 (1 or 2 for each worker)"
    assert values["limits.turn_bytes"] == "65536"


def test_one_process_has_it_all() -> None:
    values = {row.name: row.value for row in describe(load(None, {}, {}))}
    assert values["limits.connections"] == "10000"
