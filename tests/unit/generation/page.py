"""A reader by the client's rules, and the ways a frame takes to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Piece
from chatserver.generation.position import START, Position
from chatserver.wire import sse
from chatserver.wire.frames import Frame, frame_json, frame_of

GENERATION = "gen_00000000000000000000aa"


@dataclass
class Kept:
    """What a reader has, or should have, after the piece at a position."""

    answer: str = ""
    thinking: str = ""
    calls: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, log: TokenLog) -> "Kept":
        return cls(log.text(Channel.ANSWER), log.text(Channel.THINKING), log.tool_calls())


class Page:
    """A reader by the client's rules: apply what comes, on reset forget everything, remember the last id."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.last: str | None = None
        self.end: Frame | None = None
        self.resets = 0
        self.feed: Feed | None = None
        self.cursor: Cursor | None = None
        #: Whether news was announced since the last read.
        self.woken = False

    @property
    def position(self) -> Position:
        return START if self.last is None else Position.parse(self.last)

    def connect(self, feed: Feed) -> None:
        self.drop()
        self.feed, self.cursor, self.woken = feed, Cursor(feed, self.position, self.wake), True
        self.cursor.__enter__()

    def drop(self) -> None:
        if self.cursor is not None:
            self.cursor.__exit__()
        self.feed = self.cursor = None

    def wake(self) -> None:
        self.woken = True

    def take(self, frame: Frame) -> None:
        assert self.end is None
        match frame["type"]:
            case "reset":
                self.kept, self.resets = Kept(), self.resets + 1
            case "delta" if frame["channel"] == "answer":
                self.kept.answer += frame["text"]
            case "delta":
                self.kept.thinking += frame["text"]
            case "tool_calls":
                self.kept.calls = self.kept.calls + frame["calls"]
            case "end":
                self.end = frame
        self.last = frame.get("id", self.last)


def by_longpoll(position: Position, piece: Piece) -> Frame:
    return orjson.loads(orjson.dumps(frame_of(GENERATION, position, piece)))


def by_websocket(position: Position, piece: Piece) -> Frame:
    return orjson.loads(frame_json(GENERATION, position, piece))


def by_sse(position: Position, piece: Piece) -> Frame:
    event = sse.event("any", frame_json(GENERATION, position, piece), str(position)).decode()
    fields = dict(line.split(": ", 1) for line in event.rstrip("\n").split("\n"))
    frame = orjson.loads(fields["data"])
    assert frame["id"] == fields["id"]
    return frame


TRANSPORTS: list[Callable[[Position, Piece], Frame]] = [by_websocket, by_sse, by_longpoll]
