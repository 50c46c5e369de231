"""A minute of faults of all kinds; `make chaos` has hundreds of them."""

import asyncio
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tests.chaos.storm.arena import arena_of
from tests.chaos.storm.storm import Storm, schedule

_FAULTS = 10
#: Seconds after which no further fault is begun: on a slow machine it takes long to start a process.
_ENOUGH_S = 40


async def test_every_answer_survives_a_storm(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    clock = asyncio.get_running_loop().time
    async with arena_of(tmp_path, rng.randint(2, 4), rng.randrange(1000)) as arena:
        storm = Storm(arena, rng)
        await storm.begin()
        begun = clock()
        for blow in islice(schedule(rng), _FAULTS):
            if clock() - begun < _ENOUGH_S:
                await storm.blow(blow)
        await storm.end()
    record_property("faults", [str(one.blow) for one in storm.aftermaths])
    record_property("answers", sum(one.turns for one in storm.aftermaths))
