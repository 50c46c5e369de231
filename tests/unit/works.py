"""The whole server without its process: a real store, a real engine, a simulated Ollama over real HTTP."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache, cached_property, partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx
import orjson
from starlette.applications import Starlette

from chatserver.api import docs
from chatserver.api.docs.reference import reference
from chatserver.app import assembling as composition
from chatserver.app import store as opening
from chatserver.app.application import build_application
from chatserver.app.assembling import assemble
from chatserver.app.parts import Parts
from chatserver.context import measures
from chatserver.context.exact import Exact
from chatserver.context.titling import first_words
from chatserver.context.vocabulary import Vocabulary, read_vocabulary
from chatserver.context.vocabulary_files import VocabularyFiles
from chatserver.engine.engine import Engine
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, new_id
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Delta
from chatserver.generation.position import START
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.settings import Settings, load
from chatserver.storage import database as databases
from chatserver.storage import sqlite
from chatserver.storage.command import Command, Transaction
from chatserver.storage.conversations import CreateConversation
from chatserver.storage.generations import AcceptGeneration
from chatserver.storage.migration import upgrade_file
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.records import Conversation, Generation, Stored
from chatserver.storage.turns import AcceptTurn, Current
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from chatserver.upstream.simulator.catalogue import find_model, full_description
from tests.unit.asgi import PATIENCE
from tests.unit.clock import MovedClock

MODEL = "sim-chat:latest"
#: A page elsewhere that may call, where a test allows it.
ELSEWHERE = "https://blog.example.org"
ALICE = Principal("default", "alice")
BOB = Principal("default", "bob")


@dataclass(frozen=True)
class Hold(Command[None]):
    """Keeps the writer busy until it is let go."""

    begun: threading.Event
    go: threading.Event

    @classmethod
    async def handle(cls, _transaction: Transaction, commands: Sequence["Hold"]) -> list[None]:
        for command in commands:
            command.begun.set()
            assert command.go.wait(PATIENCE)
        return [None] * len(commands)


@dataclass(frozen=True)
class Works:
    parts: Parts
    #: Of the simulated Ollama.
    url: str
    #: The data folder.
    folder: Path

    @property
    def engine(self) -> Engine:
        return self.parts.engine

    @cached_property
    def app(self) -> Starlette:
        with patch.object(docs, "reference", reference_page):
            return build_application(self.parts)

    async def accept(
        self,
        said: str = "Hello",
        *,
        lane: Lane = Lane.INTERACTIVE,
        model: str = MODEL,
        principal: Principal = ALICE,
        expires_in: float | None = None,
        **request: Any,
    ) -> str:
        """Hand in work as it is handed in everywhere: room, disk, engine."""
        generation = new_id(GENERATION)
        now = self.parts.clock.wall_ms()
        with self.engine.admit(generation, principal, model, lane) as admission:
            accepted = await self.parts.store.writer.submit(
                AcceptGeneration(
                    principal=principal,
                    generation_id=generation,
                    model=model,
                    request={"messages": [{"role": "user", "content": said}], **request},
                    owner=self.engine.owner,
                    claimed=admission.slot is not None,
                    lane=lane,
                    metadata=None,
                    expires_at=None if expires_in is None else now + round(1000 * expires_in),
                    retry_of=None,
                    idempotency=None,
                    reply=lambda _: Stored(202, b"{}"),
                    now_ms=now,
                )
            )
            admission.accept(accepted.generation)
        return generation

    async def converse(
        self, *, principal: Principal = ALICE, system: str | None = None, model: str | None = None
    ) -> Conversation:
        created = await self.parts.store.writer.submit(
            CreateConversation(
                id=new_id(CONVERSATION),
                principal=principal,
                title=None,
                model=model,
                system=system,
                now_ms=self.parts.clock.wall_ms(),
                idempotency=None,
                reply=lambda _: Stored(201, b"{}"),
            )
        )
        return created.conversation

    async def turn(self, conversation: Conversation, said: str = "Hello", model: str = MODEL) -> str:
        generation = new_id(GENERATION)
        with self.engine.admit(generation, conversation.principal, model, Lane.INTERACTIVE) as admission:
            accepted = await self.parts.store.writer.submit(
                AcceptTurn(
                    principal=conversation.principal,
                    conversation=conversation.id,
                    content=said,
                    parent=Current.LEAF,
                    model=model,
                    request={},
                    message_id=new_id(MESSAGE),
                    answer_id=new_id(MESSAGE),
                    generation_id=generation,
                    owner=self.engine.owner,
                    claimed=admission.slot is not None,
                    lane=Lane.INTERACTIVE,
                    ref=None,
                    idempotency=None,
                    title=first_words(said),
                    reply=lambda _: Stored(202, b"{}"),
                    now_ms=self.parts.clock.wall_ms(),
                )
            )
            admission.accept(accepted.generation)
        return generation

    def feed(self, generation: str) -> Feed:
        found = self.engine.feed(generation)
        assert found is not None
        return found[0]

    async def until(self, generation: str, seen: Callable[[TokenLog], bool]) -> TokenLog:
        """Wait until a log is as asked for."""
        return await seen_in(self.feed(generation), seen)

    async def ended(self, generation: str) -> TokenLog:
        return await self.until(generation, lambda log: log.ended)

    async def answering(self, generation: str) -> TokenLog:
        return await self.until(generation, has_text)

    async def record(self, generation: str) -> Generation:
        found = await self.parts.store.generations.find(generation)
        assert found is not None
        return found

    async def admitted(self) -> None:
        """Wait until something is on its way to the disk."""
        async with asyncio.timeout(PATIENCE):
            while not list(self.engine.jobs()):  # noqa: ASYNC110 - the engine tells nobody of what isn't stored yet
                await asyncio.sleep(0)

    async def idle(self) -> None:
        """Wait until nothing runs."""
        async with asyncio.timeout(PATIENCE):
            await self.engine.finish()

    async def clear(self) -> None:
        """Stop whatever is left, so that the next test finds nothing."""
        for job in self.engine.jobs():
            self.engine.cancel(job.generation)
        await self.idle()

    def asking(self) -> httpx.AsyncClient:
        """Make a client of the simulated Ollama, which waits for as long as it may take to answer."""
        return httpx.AsyncClient(base_url=self.url, timeout=2 * PATIENCE, trust_env=False, verify=False)

    async def stats(self, **wanted: int) -> dict[str, Any]:
        """Ask the simulated Ollama for its numbers, once they are as wanted."""
        async with self.asking() as http:
            answer = await http.get("/_sim/stats", params={**wanted, "wait": PATIENCE})
            stats: dict[str, Any] = orjson.loads(answer.content)
        assert {name: stats[name] for name in wanted} == wanted
        return stats

    async def bodies(self, last: int) -> list[dict[str, Any]]:
        """Give the last requests that the simulated Ollama got, oldest first."""
        async with self.asking() as http:
            answer = await http.get("/_sim/requests", params={"last": last})
        return [request["body"] for request in answer.json()]

    @asynccontextmanager
    async def store_away(self) -> AsyncIterator[None]:
        """Have every write refused: another process keeps the file locked."""
        with closing(sqlite3.connect(self.folder / "chatserver.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @asynccontextmanager
    async def readers_busy(self) -> AsyncIterator[None]:
        """Have every read refused: all connections for it are taken."""
        database = self.parts.store.conversations._database  # nothing else hands it out
        count = self.parts.settings.store.readers
        begun, go = threading.Semaphore(0), threading.Event()

        async def hold(_connection: object) -> None:
            begun.release()
            assert go.wait(PATIENCE)

        holding = [asyncio.create_task(database.read(hold), name="hold") for _ in range(count)]
        try:
            for _ in range(count):
                assert await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
            with (
                # Whoever waits for one of them gives up soon.
                patch.object(database, "_read_wait_s", 0.02),
                # Glances need none of them, however slow a busy machine made one of them.
                patch.object(sqlite, "_LONG_GLANCE_S", inf),
                patch.object(database._backend._glances, "_rests_until", 0.0),
            ):
                yield
        finally:
            go.set()
            await asyncio.gather(*holding, return_exceptions=True)

    @asynccontextmanager
    async def writer_held(self) -> AsyncIterator[None]:
        """Have every write wait until this is left."""
        hold = Hold(threading.Event(), threading.Event())
        holding = asyncio.create_task(self.parts.store.writer.submit(hold), name="hold")
        try:
            assert await asyncio.to_thread(hold.begun.wait, PATIENCE)
            yield
        finally:
            hold.go.set()
            await holding


async def seen_in(feed: Feed, seen: Callable[[TokenLog], bool]) -> TokenLog:
    news = asyncio.Event()
    async with asyncio.timeout(PATIENCE):
        with Cursor(feed, START, news.set):
            while not seen(feed.log):
                news.clear()
                await news.wait()
    return feed.log


def has_text(log: TokenLog) -> bool:
    return any(isinstance(piece, Delta) for _, piece in log.since(0))


def settings_of(folder: Path, urls: tuple[str, ...], **more: Any) -> Settings:
    """Settings as `settings_of(folder, urls, ollama__slots=1)`."""
    given = {name.replace("__", "."): value for name, value in more.items()}
    base = {
        "ollama.urls": urls,
        "ollama.model": MODEL,
        "server.data_dir": str(folder),
        # Making one takes longer than most of what it is needed for.
        "server.secret": "a secret of these tests alone, as long as it has to be",
        # The model gets only what a test asks it, except where titles are the test: what follows an answer
        # would go on in the next test.
        "housekeeping.titles": False,
        "housekeeping.summaries": False,
    }
    return load(None, {}, base | given).settings


@cache
def up_to_date() -> bytes:
    """An empty database file, made once: making one takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        upgrade_file(path, lock_wait_s=1)
        return path.read_bytes()


@cache
def vocabulary() -> Vocabulary:
    """What the model counts by, read once: an earlier process has asked for it already."""
    return read_vocabulary(full_description(find_model(MODEL), verbose=True)["model_info"])


@cache
def counter() -> Exact:
    """The same as it counts, built once: it takes as long as a whole turn."""
    return Exact(vocabulary().encoding())


def furnish(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "chatserver.db"
    if not file.exists():
        file.write_bytes(up_to_date())
    vocabularies = folder / "vocabularies"
    if not vocabularies.exists():
        VocabularyFiles(vocabularies).write(find_model(MODEL).digest, vocabulary())


def reference_page(document: dict[str, Any], *, address: str) -> bytes:
    return written(orjson.dumps(document), address)


@cache
def written(document: bytes, address: str) -> bytes:
    """The page that tells every operation, the same for all applications that have the same ones."""
    return reference(orjson.loads(document), address=address)


def built(wanted: Vocabulary) -> Exact:
    return counter() if wanted == vocabulary() else Exact(wanted.encoding())


@asynccontextmanager
async def working(
    folder: Path,
    simulated: SimulatorOptions | None = None,
    *,
    clock: MovedClock | None = None,
    urls: Sequence[str] = (),
    lock_wait_s: float = 0.01,
    **settings: Any,
) -> AsyncIterator[Works]:
    furnish(folder)
    # No other process locks the file, except where a test says so and wants it to be noticed.
    database = partial(DatabaseOptions, lock_wait_s=lock_wait_s)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve_simulator(simulated or SimulatorOptions()))
        chosen = settings_of(folder, tuple(urls) or (url,), **settings)
        stack.enter_context(patch.object(opening, "DatabaseOptions", database))
        stack.enter_context(patch.object(measures, "_built", built))
        if clock is not None:
            stack.enter_context(patch.object(composition, "SystemClock", lambda: clock))
        # No test here has to survive a power cut, and thousands of syncs take seconds. The file is a copy of
        # one that is up to date; to see so takes longer than to open it.
        with patch.dict(sqlite._PRAGMAS, synchronous="OFF"), patch.object(databases, "upgrade_file"):
            parts = await stack.enter_async_context(assemble(chosen))
        await parts.take_up()
        yield Works(parts, url, folder)
