"""Kill -9 again and again, at any moment, while answers are saved in parts and talks are summed up."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from loadtests.crashes import Kept, crash
from tests.harness.postgres import Postgres
from tests.harness.processes import on_postgres

#: Of each, a server on a file and one on PostgreSQL.
_TIMES = 10


async def test_nothing_that_was_accepted_is_lost_or_half_written(
    tmp_path: Path, postgres: Postgres, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    address = postgres.address(postgres.create())
    both = (Kept(tmp_path), Kept(tmp_path / "beside", address, on_postgres(address)))
    # Beside each other, for each waits for its start most of the time.
    for crashed in await asyncio.gather(*(crash(kept, _TIMES, rng) for kept in both)):
        told = {name: value for name, value in vars(crashed).items() if name != "faults"}
        record_property("crashes", told)
        assert crashed.faults == []
        assert crashed.accepted >= crashed.crashes == _TIMES
        assert crashed.summaries > 0
        # They did come when it matters.
        assert crashed.in_summaries > 0
        assert crashed.in_answers > 0
