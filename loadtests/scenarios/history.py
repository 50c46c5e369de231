"""Does everything load at once, however much has been said?

Years of conversations are written into a file and into PostgreSQL, of users with 20 and with 200 of them, and
one that is very long. Then pages of messages and of conversations are read, and words looked for, from the
rarest to the commonest. `LOADTESTS_HISTORY_MESSAGES=2000000` asks it of 2,000,000 messages (40,000 at least).
"""  # noqa: D400 - it is a question

import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.database import Database
from chatserver.storage.messages import Messages
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.words import sought_in
from loadtests.filling import File, Fillable, Server
from loadtests.history import FEW, MANY, Historian, Size, Vocabulary, unique_word
from loadtests.measures import Curves, Figure, Plan, Requirement, Result, at_most, at_share, quantiles
from loadtests.processes import busy_seconds, stopwatch
from tests.harness.postgres import running_postgres

#: Writing them takes minutes, so once is enough.
PAIRS = 1
MESSAGES = int(os.environ.get("LOADTESTS_HISTORY_MESSAGES", "100000"))
#: Messages of a conversation on average.
_EACH = 100
_SIZE = Size(MESSAGES, MESSAGES // _EACH)
#: Reads of each kind, of which the first warm up; what they may take, and the last page of all the longer.
READS = 200
_WARM_UP = 20
MOST_MS = 10
_FLAT = 1.5
_PAGE = 50

#: Kind -> milliseconds of each read.
Taken = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Round:
    taken: Taken
    #: The same of the processor's time, of this process and of the database's.
    used: Taken
    #: Cores that were busy with something else.
    others: float


async def run(plan: Plan) -> Result:
    found: dict[str, list[Round]] = defaultdict(list)
    for number in range(1, plan.pairs + 1):
        for name, database in (("file", _file), ("PostgreSQL", _server)):
            plan.tell(f"  round {number} of {plan.pairs}, {name}: {MESSAGES:,} messages")
            with database() as store:
                longest = await _fill(store, plan)
                found[name].append(await _measure(store, longest, plan))
    return evaluate(found)


def evaluate(found: Mapping[str, Sequence[Round]]) -> Result:
    figures: dict[str, Figure] = {}
    requirements: list[Requirement] = []
    plots: list[Curves] = []
    for name, rounds in found.items():
        kinds = {kind: [one.taken[kind] for one in rounds] for kind in rounds[0].taken}
        p95 = {kind: Figure("ms", [at_share(one, 0.95) for one in each]) for kind, each in kinds.items()}
        middle = {kind: Figure("ms", [at_share(one, 0.5) for one in each]) for kind, each in kinds.items()}
        for kind in kinds:
            figures[f"{name}, middle of {kind}"] = middle[kind]
            figures[f"{name}, 95 % of {kind}"] = p95[kind]
        figures[f"{name}, processor of the costliest, 95 %"] = Figure(
            "ms", [max(at_share(used, 0.95) for used in one.used.values()) for one in rounds]
        )
        figures[f"{name}, cores busy with something else"] = Figure("", [one.others for one in rounds])
        slowest = max(p95, key=lambda kind: p95[kind].median)
        requirements += [
            at_most(f"{name}: the slowest, {slowest}, 95 % within", MOST_MS, p95[slowest].median, "ms"),
            at_most(
                f"{name}: first page of a long talk, against the last",
                _FLAT,
                middle["its first page"].median / middle["its last page"].median,
                "x",
            ),
        ]
        samples = {kind: quantiles([ms for one in each for ms in one]) for kind, each in kinds.items()}
        plots.append(Curves(f"Share of reads within, {name}", "ms", samples))
    notes = [
        f"{MESSAGES:,} messages in {MESSAGES // _EACH:,} conversations; read in the server's own process."
    ]
    return Result(requirements, figures, plots, notes)


@contextmanager
def _file() -> Iterator[Fillable]:
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        yield File(Path(folder) / "history.db")


@contextmanager
def _server() -> Iterator[Fillable]:
    with running_postgres() as postgres:
        yield Server(postgres.address(postgres.create()))


@dataclass(frozen=True)
class _Reader:
    conversations: Conversations
    messages: Messages
    #: How many conversations each has -> the users.
    users: Mapping[int, Sequence[Principal]]
    words: Sequence[str]
    longest: str
    dice: random.Random

    async def listed(self, count: int) -> None:
        user = self.dice.choice(self.users[count])
        first = await self.conversations.page(user, _PAGE, None)
        assert len(first.items) == min(count, _PAGE)

    async def listed_last(self, cursors: Mapping[Principal, str]) -> None:
        user = self.dice.choice(list(cursors))
        assert (await self.conversations.page(user, _PAGE, cursors[user])).items

    async def branch(self, known: Sequence[tuple[Principal, str]]) -> None:
        user, conversation = self.dice.choice(known)
        assert (await self.messages.branch(user, conversation, None, None, _PAGE)).items

    async def long_branch(self, before: str | None) -> None:
        owner = self.users[MANY][0]
        page = await self.messages.branch(owner, self.longest, None, before, _PAGE)
        assert len(page.items) == _PAGE

    async def search(self, count: int, phrases: Sequence[str], found: bool | None) -> None:
        user = self.dice.choice(self.users[count])
        page = await self.conversations.page(user, _PAGE, None, sought_in(self.dice.choice(phrases)))
        assert found is None or bool(page.items) is found

    async def search_own(self, known: Sequence[tuple[Principal, str]]) -> None:
        user, conversation = self.dice.choice(known)
        page = await self.conversations.page(user, _PAGE, None, sought_in(unique_word(conversation)))
        assert [item.id for item in page.items] == [conversation]


async def _fill(store: Fillable, plan: Plan) -> str:
    async with store.filling() as filling:
        return await Historian(filling, _SIZE, plan.seed, plan.tell).write(_owners())


def _owners() -> Sequence[Principal]:
    return [Principal("default", f"user {number}") for number in range(len(_SIZE.users()))]


async def _measure(store: Fillable, longest: str, plan: Plan) -> Round:
    users: dict[int, list[Principal]] = defaultdict(list)
    for owner, count in zip(_owners(), _SIZE.users(), strict=True):
        users[count].append(owner)
    async with Database.open(store.address, DatabaseOptions()) as database:
        reader = _Reader(
            Conversations(database),
            Messages(database),
            users,
            Vocabulary(plan.seed).words,
            longest,
            random.Random(plan.seed),
        )
        reads = await _reads(reader)
        measured = await _read(reads, await store.processes())
    for kind, milliseconds in measured.taken.items():
        plan.tell(
            f"    {kind}: {at_share(milliseconds, 0.5):.2f} ms, "
            f"95 % within {at_share(milliseconds, 0.95):.2f} ms, "
            f"{at_share(measured.used[kind], 0.5):.2f} ms of the processor"
        )
    plan.tell(f"    {measured.others:.2f} cores were busy with something else")
    return measured


async def _read(reads: Mapping[str, Callable[[], Awaitable[None]]], processes: Sequence[int]) -> Round:
    """Read everything in turns, so that whatever else the machine does is shared by all."""
    watched = {str(pid): pid for pid in processes}
    taken: dict[str, list[float]] = defaultdict(list)
    used: dict[str, list[float]] = defaultdict(list)
    begun, busy, ours = time.perf_counter(), busy_seconds(), stopwatch(watched)
    for _ in range(READS):
        for kind, read in reads.items():
            processor, start = stopwatch(watched), time.perf_counter()
            await read()
            taken[kind].append(1000 * (time.perf_counter() - start))
            used[kind].append(1000 * sum(processor().values()))
    others = busy_seconds() - busy - sum(ours().values())
    return Round(_warm(taken), _warm(used), max(0.0, others / (time.perf_counter() - begun)))


def _warm(taken: Taken) -> Taken:
    return {kind: milliseconds[_WARM_UP:] for kind, milliseconds in taken.items()}


async def _reads(reader: _Reader) -> dict[str, Callable[[], Awaitable[None]]]:
    known, cursors = await _look_around(reader)
    first = await _first_page(reader)
    reads: dict[str, Callable[[], Awaitable[None]]] = {
        "messages": partial(reader.branch, known),
        "its last page": partial(reader.long_branch, None),
        "its first page": partial(reader.long_branch, first),
        f"{FEW} conversations": partial(reader.listed, FEW),
        f"{MANY} conversations": partial(reader.listed, MANY),
        "last conversations": partial(reader.listed_last, cursors),
        "a word that stands once": partial(reader.search_own, known),
    }
    words = reader.words
    phrases: dict[str, tuple[Sequence[str], bool | None]] = {
        "the commonest words": (words[:3], True),
        "common words": (words[10:30], True),
        "seldom words": (words[1_000:1_200], None),
        "rare words": (words[-2_000:], None),
        "words nobody says": ([f"{word}0" for word in words[:50]], False),
        "two letters": ([word[:2] for word in words[:50]], None),
        "three letters": ([word[:3] for word in words[:50]], None),
        "two words": ([f"{words[3]} {words[200]}", f"{words[20]} {words[40]}"], None),
        "three words": ([" ".join(words[at : at + 9 : 4]) for at in range(20)], None),
    }
    for count in (FEW, MANY):
        for kind, (some, found) in phrases.items():
            reads[f"{kind}, of {count}"] = partial(reader.search, count, some, found)
    return reads


async def _look_around(reader: _Reader) -> tuple[Sequence[tuple[Principal, str]], Mapping[Principal, str]]:
    """Give some conversations of some users, and where the second page of their lists begins."""
    known: list[tuple[Principal, str]] = []
    cursors = {}
    for user in [*reader.users[FEW][:50], *reader.users[MANY][:20]]:
        page = await reader.conversations.page(user, _PAGE, None)
        known += [(user, item.id) for item in page.items if item.id != reader.longest]
        while page.next is not None:
            cursors[user] = page.next
            page = await reader.conversations.page(user, _PAGE, page.next)
    return known, cursors


async def _first_page(reader: _Reader) -> str:
    """Give the message before which the first page of the longest conversation stands."""
    owner, before = reader.users[MANY][0], None
    while True:
        page = await reader.messages.branch(owner, reader.longest, None, before, _PAGE)
        if page.next is None:
            assert before is not None
            return before
        before = page.next
