"""A whole store to test with, and short words for what is done to it most."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, SUMMARY, new_id
from chatserver.generation.log import text_sha256
from chatserver.generation.pieces import Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Purpose, Reason, Status
from chatserver.storage.connection import Connection
from chatserver.storage.conversations import Conversations, CreateConversation
from chatserver.storage.database import Database
from chatserver.storage.exporting import Exports
from chatserver.storage.generations import AcceptGeneration, Generations
from chatserver.storage.housekeeping import AcceptHousekeeping
from chatserver.storage.lifecycle import Finish
from chatserver.storage.messages import Messages
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import ServerConnection
from chatserver.storage.records import Accepted, Conversation, Generation, Idempotency, Stored, Summary
from chatserver.storage.regenerating import Regenerate
from chatserver.storage.summaries import SaveSummary, Summaries
from chatserver.storage.turns import AcceptTurn, Current
from chatserver.storage.writer import Writer, WriterOptions

ALICE = Principal("home", "alice")
BOB = Principal("home", "bob")
NOW = 1_700_000_000_000


def reply(made: Accepted | Conversation) -> Stored:
    """A short answer that tells one thing from another."""
    thing = made.generation if isinstance(made, Accepted) else made
    return Stored(202, f'{{"id":"{thing.id}"}}'.encode())


class Store:
    def __init__(self, database: Database, writer: Writer, commits: list[list[tuple[str, int]]]) -> None:
        self.database = database
        self.writer = writer
        self.conversations = Conversations(database)
        self.messages = Messages(database)
        self.generations = Generations(database)
        self.summaries = Summaries(database)
        self.exports = Exports(database)
        #: What `on_commit` was called with, and the sizes that `observe` was.
        self.commits = commits
        self.groups: list[int] = []
        self.submit = writer.submit

    async def conversation(self, principal: Principal = ALICE, now_ms: int = NOW) -> Conversation:
        return (await self.submit(begin(principal=principal, now_ms=now_ms))).conversation

    async def turn(self, conversation: Conversation | str, content: str = "Hello?", **more) -> Accepted:
        return await self.submit(turn(conversation, content, **more))

    async def answered(self, conversation: Conversation | str, content: str = "Hello?", **more) -> Accepted:
        """A turn whose answer is complete."""
        accepted = await self.turn(conversation, content, **more)
        assert await self.submit(finish(accepted.generation, f"Answer to {content}"))
        return accepted

    async def work(self, **more) -> Generation:
        return (await self.submit(work(**more))).generation


def begin(**more) -> CreateConversation:
    command = CreateConversation(
        id=new_id(CONVERSATION),
        principal=ALICE,
        title="A title",
        model=None,
        system=None,
        now_ms=NOW,
        idempotency=None,
        reply=reply,
    )
    return replace(command, **more)


def turn(conversation: Conversation | str, content: str = "Hello?", **more) -> AcceptTurn:
    command = AcceptTurn(
        principal=ALICE,
        conversation=conversation if isinstance(conversation, str) else conversation.id,
        content=content,
        parent=Current.LEAF,
        model="llama",
        request={"options": {"temperature": 0.5}},
        message_id=new_id(MESSAGE),
        answer_id=new_id(MESSAGE),
        generation_id=new_id(GENERATION),
        owner="here",
        claimed=True,
        lane=Lane.INTERACTIVE,
        ref=None,
        idempotency=None,
        title="First words",
        reply=reply,
        now_ms=NOW,
    )
    return replace(command, **more)


def again(conversation: Conversation | str, beside: str, **more) -> Regenerate:
    command = Regenerate(
        principal=ALICE,
        conversation=conversation if isinstance(conversation, str) else conversation.id,
        beside=beside,
        model="llama",
        request={"options": {"seed": 1}},
        answer_id=new_id(MESSAGE),
        generation_id=new_id(GENERATION),
        owner="here",
        claimed=True,
        lane=Lane.INTERACTIVE,
        retry_of=None,
        idempotency=None,
        reply=reply,
        now_ms=NOW + 9,
    )
    return replace(command, **more)


def work(**more) -> AcceptGeneration:
    command = AcceptGeneration(
        principal=ALICE,
        generation_id=new_id(GENERATION),
        model="llama",
        request={"messages": [{"role": "user", "content": "Hello?"}]},
        owner="here",
        claimed=False,
        lane=Lane.BACKGROUND,
        metadata={"case": 7},
        expires_at=NOW + 60_000,
        retry_of=None,
        idempotency=None,
        reply=reply,
        now_ms=NOW,
    )
    return replace(command, **more)


def chore(conversation: Conversation, **more) -> AcceptHousekeeping:
    command = AcceptHousekeeping(
        generation_id=new_id(GENERATION),
        principal=conversation.principal,
        conversation=conversation.id,
        purpose=Purpose.SUMMARY,
        model="llama",
        request={"messages": [{"role": "user", "content": "Summarise."}]},
        owner="here",
        claimed=False,
        now_ms=NOW,
    )
    return replace(command, **more)


def save(conversation: Conversation, message: str, text: str, newest: str | None) -> SaveSummary:
    summary = Summary(new_id(SUMMARY), conversation.id, message, 1, text, by_hand=False, created_at=NOW)
    return SaveSummary(summary, newest)


def finish(generation: Generation, text: str = "Hi.", **more) -> Finish:
    command = Finish(
        generation_id=generation.id,
        epoch=generation.epoch,
        status=Status.COMPLETED,
        reason=Reason.COMPLETED,
        answer=text,
        thinking=None,
        tool_calls=[],
        usage=Usage(3, 5),
        timings={"total_ms": 12},
        sha256=text_sha256(text),
        final=Position(generation.epoch, 4),
        error=None,
        context=None,
        now_ms=NOW + 1000,
    )
    return replace(command, **more)


def key(name: str, fingerprint: str = "one") -> Idempotency:
    return Idempotency(name, fingerprint)


async def wait_inside(connection: Connection, event: threading.Event) -> None:
    """Wait inside of a transaction, where a file's runs in a thread and a server's on the event loop."""
    if isinstance(connection, ServerConnection):
        assert await asyncio.to_thread(event.wait, 5)
    else:
        assert event.wait(5)


@asynccontextmanager
async def opened(
    address: Path | str,
    options: DatabaseOptions | None = None,
    writing: WriterOptions | None = None,
    *,
    on_commit: Callable[[], None] = lambda: None,
) -> AsyncIterator[Store]:
    commits: list[list[tuple[str, int]]] = []
    groups: list[int] = []

    def committed(changes: list[tuple[str, int]]) -> None:
        commits.append(changes)
        on_commit()

    async with (
        Database.open(address, options or DatabaseOptions()) as database,
        Writer(
            database,
            writing or WriterOptions(),
            on_commit=committed,
            observe=lambda size, _seconds: groups.append(size),
        ) as writer,
    ):
        store = Store(database, writer, commits)
        store.groups = groups
        yield store
