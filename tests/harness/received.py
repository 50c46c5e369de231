"""What a reader has of one generation, by the rules of every client; a broken one fails the test."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Frame = dict[str, Any]


@dataclass
class Received:
    generation: str
    #: The position to give back; None before one was seen.
    after: str | None = None
    answer: str = ""
    thinking: str = ""
    calls: list[Frame] = field(default_factory=list)
    #: The frame that began the attempt which is being read.
    started: Frame | None = None
    end: Frame | None = None
    #: Why everything had to be forgotten, each time it had to be, and the answer's text that was.
    resets: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    #: The places in the queue it was told.
    places: list[int] = field(default_factory=list)
    #: Frames of the log, over all connections.
    taken: int = 0
    #: The newest position as numbers; only tests look into it, to see that it advances.
    _at: tuple[int, int] = (0, 0)
    #: A frame of the log has come by this connection.
    _begun_here: bool = False

    def connected(self) -> None:
        """Take note of a new connection: the queue may be told again."""
        self._begun_here = False

    def take(self, frame: Frame) -> None:
        assert frame["generation"] == self.generation, frame
        assert self.end is None, f"after the end came {frame}"
        if frame["type"] == "queued":
            assert not self._begun_here, f"in the middle of an answer came {frame}"
            assert "id" not in frame
            self.places.append(frame["position"])
            return
        self._begun_here = True
        self.taken += 1
        self._advance(frame)
        self._apply(frame)

    def _advance(self, frame: Frame) -> None:
        epoch, n = map(int, frame["id"].split("."))
        # The one frame that may go back: what follows it is the whole.
        if frame.get("reason") != "position_unknown":
            assert (epoch, n) > self._at, f"{frame} comes again: {self.after} was read before"
        self._at, self.after = (epoch, n), frame["id"]

    def _apply(self, frame: Frame) -> None:
        match frame:
            case {"type": "reset", "reason": reason}:
                self._forget(reason)
            case {"type": "started", "attempt": int()}:
                assert self.started is None, f"without a reset came {frame}"
                self.started = frame
            case {"type": "delta", "channel": "answer", "text": text}:
                assert self.started is not None, f"before the start came {frame}"
                self.answer += text
            case {"type": "delta", "channel": "thinking", "text": text}:
                self.thinking += text
            case {"type": "tool_calls", "calls": calls}:
                self.calls += calls
            case {"type": "end", "sha256": digest}:
                assert digest == text_sha256(self.answer), f"{self.generation}: not the text that was meant"
                self.end = frame
            case _:
                raise AssertionError(f"nobody knows {frame}")

    def _forget(self, reason: str) -> None:
        self.resets.append(reason)
        self.forgotten.append(self.answer)
        self.answer, self.thinking, self.calls, self.started = "", "", [], None


def text_sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()
