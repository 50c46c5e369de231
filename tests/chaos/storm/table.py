"""What a storm has done, fault by fault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.chaos.storm.storm import Aftermath

_HEAD = ("fault", "times", "with a second", "answers", "stopped", "completed", "resets", "longest wait")


@dataclass
class Row:
    times: int = 0
    double: int = 0
    turns: int = 0
    stopped: int = 0
    completed: int = 0
    resets: int = 0
    longest_wait_s: float = 0

    def add(self, one: Aftermath) -> None:
        self.times += 1
        self.double += one.blow.second is not None
        self.turns += one.turns
        self.stopped += one.turns - one.unstopped
        self.completed += one.completed
        self.resets += one.resets
        self.longest_wait_s = round(max(self.longest_wait_s, one.longest_wait_s), 1)

    @property
    def cells(self) -> tuple[str, ...]:
        asked = self.turns - self.stopped
        share = f"{self.completed / asked:.1%}" if asked else ""
        counts = map(str, (self.times, self.double, self.turns, self.stopped))
        return (*counts, share, str(self.resets), f"{self.longest_wait_s:.1f} s")


def tally(aftermaths: Iterable[Aftermath]) -> dict[str, Row]:
    """Sum up by the first fault of each blow, and all of them in the end."""
    aftermaths = list(aftermaths)
    rows = {name: Row() for name in sorted({one.blow.fault.name for one in aftermaths})}
    rows["all"] = Row()
    for one in aftermaths:
        rows[one.blow.fault.name].add(one)
        rows["all"].add(one)
    return rows


def table_of(rows: Mapping[str, Row]) -> str:
    lines = [_HEAD, ("---",) * len(_HEAD), *((name, *row.cells) for name, row in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
