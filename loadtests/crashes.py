"""A server that is killed again and again while it answers, saves parts of answers and sums talks up."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from loadtests.talks import make_talk
from tests.harness.client import Client, Json, Refused, visitor_of
from tests.harness.processes import running, server, simulator
from tests.harness.readers import TRANSPORTS, read_through
from tests.harness.received import Received

#: People who talk, each in a conversation of their own, and what they say in turns.
_PEOPLE = 8
_SAYINGS = 40
#: Turns accepted since the start before the next crash comes, and seconds after that, at most.
_ACCEPTED = 8
_LATEST_S = 0.5
#: Turns accepted after the last crash.
_AFTERWARDS = 5 * _PEOPLE
#: Crashes after which progress is told.
_TOLD = 10
#: Seconds in which what is waited for has to come, and before somebody tries again.
_PATIENCE_S = 120
_TRY_AGAIN_S = 0.05

#: A small window, so that soon something has left it; parts of answers are saved all the time.
SETTINGS: Mapping[str, Any] = {
    "ollama.slots": 2 * _PEOPLE,
    "context.total_tokens": 600,
    "context.history_tokens": 300,
    "housekeeping.summarise_after": 2,
    "store.checkpoint_ms": 20,
    # However often one is interrupted, it is made in the end.
    "generation.attempts": 100,
}
SIMULATOR = ("--rate", "200", "--parallel", str(2 * _PEOPLE))

#: What must never be found: what it is, and how to find it.
_FAULTS = {
    "a summary of another branch or length": """
        SELECT summaries.id FROM summaries LEFT JOIN messages ON messages.id = summaries.message
        WHERE messages.id IS NULL OR messages.conversation <> summaries.conversation
            OR messages.depth <> summaries.covers""",
    "an answer without its end": """
        SELECT generations.id FROM generations JOIN messages ON messages.id = generations.message
        WHERE generations.status NOT IN ('queued', 'running')
            AND (generations.reason <> 'completed' OR generations.sha256 IS NULL OR messages.content = '')""",
    "parts of what has ended": """
        SELECT checkpoints.generation FROM checkpoints
        JOIN generations ON generations.id = checkpoints.generation
        WHERE generations.status NOT IN ('queued', 'running')""",
    "a leaf that is nowhere": """
        SELECT conversations.id FROM conversations LEFT JOIN messages ON messages.id = conversations.leaf
        WHERE conversations.leaf IS NOT NULL
            AND (messages.id IS NULL OR messages.conversation <> conversations.id)""",
    "an answer that nobody makes": """
        SELECT messages.id FROM messages LEFT JOIN generations ON generations.message = messages.id
        WHERE messages.role = 'assistant' AND generations.id IS NULL""",
}
_TEXTS = """
    SELECT messages.id, messages.content, generations.sha256 FROM messages
    LEFT JOIN generations ON generations.message = messages.id"""
_BEING_SUMMED_UP = "SELECT id FROM generations WHERE purpose = 'summary'"
_SAVED = "SELECT generation FROM checkpoints"
_SUMMARIES = "SELECT id, text FROM summaries"
#: With what the simulated model begins a summary, and each line after that.
_HEADING, _LINE = "What matters so far:", "- "


@dataclass
class Crashed:
    """What came of it."""

    crashes: int = 0
    #: Of the crashes, those that came while something was summed up, and while parts of answers were saved.
    in_summaries: int = 0
    in_answers: int = 0
    accepted: int = 0
    summaries: int = 0
    #: What was found that must not be.
    faults: list[str] = field(default_factory=list)


@dataclass
class _Person:
    said: Sequence[str]
    tell: Callable[[], None]
    accepted: list[Json] = field(default_factory=list)
    over: bool = False

    async def talk(self, client: Client) -> None:
        conversation = await client.begin()
        for number, content in enumerate(cycle(self.said)):
            if self.over:
                return
            turn = await _sent(client, conversation, content, f"{conversation}-{number}")
            self.accepted.append(turn)
            self.tell()
            await _read_to_the_end(client, turn["generation"]["id"])


async def _read_to_the_end(client: Client, generation: str) -> None:
    received = Received(generation)
    while received.end is None:
        # A long answer that is interrupted each time takes as long as the crashes do.
        with suppress(TimeoutError):
            await read_through(client, received, cycle(TRANSPORTS))


async def _sent(client: Client, conversation: str, content: str, key: str) -> Json:
    """Send a turn until its answer comes; it is one, however often it was sent."""
    while True:
        try:
            return await client.send(conversation, content, key=key)
        except httpx.TransportError:
            await asyncio.sleep(_TRY_AGAIN_S)
        except Refused as refused:
            if refused.problem["status"] != 503:
                raise
            await asyncio.sleep(_TRY_AGAIN_S)


@dataclass(frozen=True)
class Kept:
    """Where a server keeps what it accepts: a file in its folder, or a PostgreSQL."""

    folder: Path
    #: Of a PostgreSQL, with the settings that name it.
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    async def read(self, queries: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        """Read while no server runs."""
        if self.address is None:
            return await asyncio.to_thread(_read_file, self.folder / "chatserver.db", queries)
        connection = await asyncpg.connect(self.address)
        try:
            return [[tuple(row) for row in await connection.fetch(query)] for query in queries]
        finally:
            await connection.close()


def _read_file(path: Path, queries: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return [connection.execute(query).fetchall() for query in queries]


async def crash(
    kept: Kept, times: int, rng: random.Random, tell: Callable[[str], None] = lambda _: None
) -> Crashed:
    """Kill a server so many times while people talk, and look each time at what there is."""
    crashed = Crashed()
    async with running(simulator(*SIMULATOR)) as model_server:
        process = server(kept.folder, model_server.url, {**SETTINGS, **kept.settings})
        async with running(process), visitor_of(process.url) as client, asyncio.TaskGroup() as group:
            heard = asyncio.Semaphore(0)
            people = [_Person(_sayings(rng), heard.release) for _ in range(_PEOPLE)]
            talking = [group.create_task(person.talk(client)) for person in people]
            for number in range(1, times + 1):
                await _hear(heard, _ACCEPTED)
                await asyncio.sleep(rng.uniform(0, _LATEST_S))
                await process.kill()
                crashed.crashes = number
                await _look(kept, people, crashed)
                await process.restart()
                if number % _TOLD == 0:
                    tell(f"  {number} of {times}: {crashed}")
            # All goes on as if nothing had been, summaries too.
            await _hear(heard, _AFTERWARDS)
            for person in people:
                person.over = True
            await asyncio.gather(*talking)
            assert await process.terminate() == 0
        crashed.faults += process.complaints
    await _look(kept, people, crashed)
    return crashed


async def _hear(heard: asyncio.Semaphore, turns: int) -> None:
    """Wait until so many more turns were accepted."""
    async with asyncio.timeout(_PATIENCE_S):
        for _ in range(turns):
            await heard.acquire()


def _sayings(rng: random.Random) -> Sequence[str]:
    talk = make_talk(rng.randrange(2**32), 2 * _SAYINGS, longest=60)
    return [said.content for said in talk if said.role == "user"]


async def _look(kept: Kept, people: Sequence[_Person], crashed: Crashed) -> None:
    """Look at what is kept while nobody writes."""
    queries = [_TEXTS, _SUMMARIES, _BEING_SUMMED_UP, _SAVED, *_FAULTS.values()]
    texts, summaries, summed_up, saved, *found = await kept.read(queries)
    crashed.faults += [f"{name}: {rows}" for name, rows in zip(_FAULTS, found, strict=True) if rows]
    crashed.in_summaries += bool(summed_up)
    crashed.in_answers += bool(saved)
    crashed.summaries = len(summaries)
    crashed.faults += [f"half a summary: {text}" for _, text in summaries if not _is_whole(text)]
    crashed.faults += [f"another text than was meant: {row}" for row in texts if not _is_as_meant(*row)]
    turns = [turn for person in people for turn in person.accepted]
    crashed.accepted = len(turns)
    known = {message: content for message, content, _ in texts}
    crashed.faults += [f"lost: {turn}" for turn in turns if not _is_kept(turn, known)]
    # Each was sent under a key until it was answered: there is none twice.
    if len(known) > 2 * (len(turns) + len(people)):
        crashed.faults.append(f"{len(known)} messages of {len(turns)} turns")


def _is_whole(summary: str) -> bool:
    heading, *lines = summary.split("\n")
    return heading == _HEADING and bool(lines) and all(line.startswith(_LINE) for line in lines)


def _is_as_meant(_message: str, content: str, digest: str | None) -> bool:
    return digest is None or sha256(content.encode()).hexdigest() == digest


def _is_kept(turn: Json, known: Mapping[str, str]) -> bool:
    question, answer = turn["message"], turn["generation"]["message"]
    return known.get(question["id"]) == question["content"] and answer in known
