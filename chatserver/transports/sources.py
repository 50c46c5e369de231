"""What a reader can follow: a generation's log, or a conversation's changes. Both give encoded frames."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import orjson

from chatserver.chat.resources import ConversationResource, GenerationResource, MessageResource
from chatserver.chat.watching import Watchers, number_in
from chatserver.chat.work import Work
from chatserver.errors import MalformedPosition, NotFound, StoreUnavailable
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Piece
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.records import Change, Conversation, Generation, Message
from chatserver.wire import sse
from chatserver.wire.frames import frame_event, frame_json, piece_type, queued_frame

#: Changes read at a time; the rest follows at once.
_CHANGES = 100
#: Pause before a store that couldn't be read is asked again, in seconds.
_READ_AGAIN_S = 0.5


#: Writes a piece as a transport sends it.
Encode = Callable[[str, Position, Piece], bytes]


class Encoded(Protocol):
    """A frame as each transport sends it."""

    @property
    def type(self) -> str: ...

    @property
    def position(self) -> str | None: ...

    @property
    def json(self) -> bytes: ...

    @property
    def text(self) -> str: ...

    @property
    def sse(self) -> bytes: ...


class EncodedFrame:
    """A frame of no log, for one reader."""

    def __init__(self, kind: str, json: bytes, position: str | None) -> None:
        self.type = kind
        self.json = json
        self.position = position

    @property
    def text(self) -> str:
        return self.json.decode()

    @property
    def sse(self) -> bytes:
        return sse.event(self.type, self.json, self.position)


class EncodedPiece:
    """The frame of a piece."""

    __slots__ = ("_generation", "_json", "_piece", "_position")

    def __init__(self, generation: str, position: Position, piece: Piece) -> None:
        self._generation = generation
        self._position = position
        self._piece = piece
        self._json: bytes | None = None

    @property
    def type(self) -> str:
        return piece_type(self._piece)

    @property
    def position(self) -> str:
        return str(self._position)

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = frame_json(self._generation, self._position, self._piece)
        return self._json

    @property
    def text(self) -> str:
        return self.json.decode()

    @property
    def sse(self) -> bytes:
        return frame_event(self._generation, self._position, self._piece)


class Source(Protocol):
    @property
    def after(self) -> str:
        """The position to give back to go on from here."""

    @property
    def ended(self) -> bool:
        """Nothing will ever follow."""

    @property
    def expects_more(self) -> bool:
        """An answer is being made that hasn't been read to its end: a drain waits for that."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    async def read(self) -> Sequence[Encoded]:
        """Give what is new; nothing twice."""

    def glance(self, encode: Encode) -> bytes:
        """Give what is new, all in one, if it can be had at once; else `read` may know more."""


#: Opens a source for whoever is to be told of news.
Opener = Callable[[Callable[[], None]], Source]


class GenerationSource:
    def __init__(self, feed: Feed, after: Position, on_news: Callable[[], None]) -> None:
        self._cursor = Cursor(feed, after, on_news)
        self._generation = feed.generation

    @property
    def after(self) -> str:
        return str(self._cursor.position)

    @property
    def ended(self) -> bool:
        return self._cursor.at_end

    @property
    def expects_more(self) -> bool:
        return self._cursor.expects_more

    def __enter__(self) -> Self:
        self._cursor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.__exit__()

    async def read(self) -> Sequence[Encoded]:
        batch = self._cursor.read()
        if batch is None:
            return self._place()
        if batch.encoded is None:
            # Whoever shares the batch shares these too.
            batch.encoded = [EncodedPiece(self._generation, *entry) for entry in batch.entries]
        frames: Sequence[Encoded] = batch.encoded
        return frames

    def glance(self, encode: Encode) -> bytes:
        batch = self._cursor.read()
        if batch is None:
            return b""
        whole = batch.wholes.get(encode)
        if whole is None:
            pieces = [encode(self._generation, position, piece) for position, piece in batch.entries]
            whole = batch.wholes[encode] = b"".join(pieces)
        return whole

    def _place(self) -> Sequence[Encoded]:
        place = self._cursor.place()
        if place is None:
            return ()
        frame = queued_frame(self._generation, place)
        return (EncodedFrame("queued", orjson.dumps(frame), None),)


@dataclass(frozen=True)
class Sources:
    """Finds what somebody may read, and says how to open it."""

    work: Work
    conversations: Conversations
    watchers: Watchers

    async def generation(self, principal: Principal, generation: str, after: Position) -> Opener:
        feed = await self.work.feed(principal, generation)
        await self.work.peers.meet(feed, after)
        return partial(GenerationSource, feed, after)

    async def conversation(self, principal: Principal, conversation: str, after: int | None) -> Opener:
        found = await self.conversations.get(principal, conversation)
        return partial(ConversationSource, self, found, after)


class ConversationSource:
    """The changes of a conversation by number: state, not history."""

    def __init__(
        self, sources: Sources, conversation: Conversation, after: int | None, on_news: Callable[[], None]
    ) -> None:
        self._sources = sources
        self._conversation = conversation
        self._after = after
        self._on_news = on_news
        self._news = True
        self._watching = ExitStack()
        self._again: TimerHandle | None = None
        #: It was deleted, and its reader knows.
        self.ended = False

    @property
    def after(self) -> str:
        return str(self._after if self._after is not None else self._conversation.change)

    @property
    def expects_more(self) -> bool:
        # Something may always change; nobody has to wait for it.
        return False

    def __enter__(self) -> Self:
        self._watching.enter_context(self._sources.watchers.watching(self._conversation.id, self._told))
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.close()
        if self._again is not None:
            self._again.cancel()

    def glance(self, encode: Encode) -> bytes:  # noqa: ARG002 - the store has to be asked
        return b""

    async def read(self) -> Sequence[Encoded]:
        if not self._news:
            return ()
        try:
            return await self._read()
        except NotFound:
            return self._deleted()
        except StoreUnavailable:
            # Perhaps nothing changes any more, so nobody else would say that there is something to read.
            self._again = asyncio.get_running_loop().call_later(_READ_AGAIN_S, self._told)
            return ()

    async def _read(self) -> Sequence[Encoded]:
        if self._after is None:
            return await self._begin()
        # A commit that comes while this is read sets it again.
        self._news = False
        changes = await self._sources.conversations.changes(
            self._conversation.principal, self._conversation.id, self._after, _CHANGES
        )
        if not changes:
            return await self._nothing_new()
        self._after = changes[-1].number
        if len(changes) == _CHANGES:
            self._told()
        return [self._encoded(change) for change in changes]

    def _told(self, number: int | None = None) -> None:
        if number is not None and self._after is not None and number <= self._after:
            # Read already, as what this instance announces to all and so hears itself.
            return
        self._news = True
        self._on_news()

    async def _begin(self) -> Sequence[Encoded]:
        now = await self._now()
        self._after = now.change
        return (self._encoded(Change("conversation", now.change, now)),)

    async def _nothing_new(self) -> Sequence[Encoded]:
        now = await self._now()
        if self._after is None or self._after <= now.change:
            return ()
        # The reader has seen more than there is: what it knows is of another time.
        self._after = now.change
        frame = {"type": "reset", "conversation": now.id, "id": now.change}
        return (EncodedFrame("reset", orjson.dumps(frame), str(now.change)),)

    def _deleted(self) -> Sequence[Encoded]:
        self.ended = True
        # Its numbers are gone with it: this one is only beyond all that were seen.
        self._after = int(self.after) + 1
        frame = {"type": "deleted", "conversation": self._conversation.id, "id": self._after}
        return (EncodedFrame("deleted", orjson.dumps(frame), self.after),)

    async def _now(self) -> Conversation:
        return await self._sources.conversations.get(self._conversation.principal, self._conversation.id)

    def _encoded(self, change: Change) -> Encoded:
        frame = {
            "type": change.kind,
            "conversation": self._conversation.id,
            "id": change.number,
            # Under a name of its own, because a resource has an id too.
            "resource": self._resource(change.item).model_dump(),
        }
        return EncodedFrame(change.kind, orjson.dumps(frame), str(change.number))

    def _resource(
        self, item: Message | Generation | Conversation
    ) -> MessageResource | GenerationResource | ConversationResource:
        if isinstance(item, Message):
            return MessageResource.of(item)
        if isinstance(item, Generation):
            return self._sources.work.shown(item)
        return ConversationResource.of(item)


def change_number(text: str) -> int:
    """Read a conversation's change number as it comes in a URL."""
    number = number_in(text)
    if number is None:
        raise MalformedPosition(field="after")
    return number
