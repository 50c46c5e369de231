"""`python -m tests.chaos.long`: hundreds of faults, and a table of what became of the answers."""

import asyncio
import json
import random
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

from tests.chaos.storm.arena import Arena, arena_of
from tests.chaos.storm.faults import FAULTS
from tests.chaos.storm.storm import Aftermath, Blow, Storm, schedule
from tests.chaos.storm.table import table_of, tally

_KEPT = Path(__file__).parents[2] / "loadtests" / "reports"

_HEAD = """# {faults} faults, {turns} answers

`make chaos`, seed {seed}, {instances} instances with a lease of one second, {minutes} minutes, {day}.
{double} of the faults were followed by a second one before they were over, and count for the first.

After each fault every answer had ended once, each of its two readers had the text that is stored, and of
{pieces} shared pieces none was out of order or written by two owners of one epoch. In the end there were no
more of these than before the first fault, by the instance that holds most: {rest}.
Every process ended with 0 and had logged no error of its own.

Where the model itself failed, answers that say so aren't completed. The longest wait is the longest that
somebody who had asked saw nothing new; a client takes 2.5 s to notice that its server is silent.

"""


def main() -> int:
    arguments = _arguments()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chatserver-chaos-") as folder:
        return 0 if asyncio.run(_run(arguments, Path(folder))) else 1


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tests.chaos.long", description="Let faults fall, and report.")
    add = parser.add_argument
    add("--faults", metavar="N", type=int, default=300, help="how many (%(default)s)")
    add("--minutes", metavar="N", type=float, default=600, help="begin none after so many (%(default)s)")
    add("--instances", type=int, default=3, choices=range(2, 5), help="how many (%(default)s)")
    add("--seed", metavar="S", type=int, default=random.randrange(2**32), help="that of a run to have again")
    add("--only", metavar="WORDS", default="", help="only faults whose name has these words")
    add("--logs", metavar="FOLDER", type=Path, help="where to keep what the instances said")
    add("--keep", action="store_true", help=f"keep the result in {_KEPT.parent.name}/{_KEPT.name}")
    return parser.parse_args()


async def _run(arguments: Namespace, folder: Path) -> bool:
    """Give whether all went well."""
    rng = random.Random(arguments.seed)
    begun = time.monotonic()
    async with arena_of(folder, arguments.instances, arguments.seed) as arena:
        storm = Storm(arena, rng)
        try:
            await storm.begin()
            well = True
            for n, blow in enumerate(islice(_blows(arguments.only, rng), arguments.faults)):
                if time.monotonic() - begun > 60 * arguments.minutes:
                    break
                well &= await _blow(storm, n, blow)
            rest = await storm.end()
        finally:
            print(f"\n{table_of(tally(storm.aftermaths))}")
            if arguments.logs:
                _keep_logs(arena, arguments.logs)
    if well and arguments.keep:
        minutes = (time.monotonic() - begun) / 60
        _keep(arguments, storm.aftermaths, minutes, asdict(rest), arena.witness.pieces)
    return well


def _blows(only: str, rng: random.Random) -> Iterator[Blow]:
    chosen = [fault for fault in FAULTS if only and only in fault.name]
    return cycle(map(Blow, chosen)) if chosen else schedule(rng)


async def _blow(storm: Storm, n: int, blow: Blow) -> bool:
    before = time.monotonic()
    print(f"{n + 1:4} {blow}", end=" ", flush=True)
    try:
        said = _line(await storm.blow(blow))
    except Exception:  # noqa: BLE001 - whatever it is, the next fault may show more
        said = f"BROKEN\n{traceback.format_exc()}"
    print(f"{time.monotonic() - before:.1f} s: {said}", flush=True)
    return "BROKEN" not in said


def _line(aftermath: Aftermath) -> str:
    return (
        f"{aftermath.completed}/{aftermath.unstopped} of {aftermath.turns}, {aftermath.resets} resets, "
        f"longest wait {aftermath.longest_wait_s:.1f} s"
    )


def _keep(
    arguments: Namespace, aftermaths: Sequence[Aftermath], minutes: float, rest: dict[str, int], pieces: int
) -> None:
    rows = tally(aftermaths)
    head = _HEAD.format(
        faults=len(aftermaths),
        turns=rows["all"].turns,
        seed=arguments.seed,
        instances=arguments.instances,
        minutes=round(minutes),
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        double=rows["all"].double,
        pieces=pieces,
        rest=", ".join(f"{count} {name}" for name, count in rest.items() if name != "instances"),
    )
    (_KEPT / "chaos.md").write_text(head + table_of(rows))
    figures = {"seed": arguments.seed, "faults": {name: asdict(row) for name, row in rows.items()}}
    (_KEPT / "chaos.json").write_text(json.dumps(figures, indent=1) + "\n")


def _keep_logs(arena: Arena, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for instance in arena.instances:
        (folder / f"{instance.name}.log").write_text("\n".join(instance.process.lines))


if __name__ == "__main__":
    sys.exit(main())
