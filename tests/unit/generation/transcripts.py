"""Recorded transcripts: what a client receives, step by step, and what it must have at the end.

The recordings in tests/transcripts are made here, out of the server's own log, cursor and frames:
python -m tests.unit.generation.transcripts
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed, Place
from chatserver.generation.log import StoredLog, TokenLog
from chatserver.generation.merge import Appended, History, Opened, Replica
from chatserver.generation.pieces import (
    Channel,
    Delta,
    Ending,
    Fault,
    Piece,
    Reset,
    Started,
    ToolCalls,
    Usage,
)
from chatserver.generation.position import START, Position
from chatserver.generation.states import Reason
from chatserver.wire.frames import Frame, frame_of, queued_frame

FOLDER = Path(__file__).parents[2] / "transcripts"
GENERATION = "gen_01kb2v5x8q3m7n9p4r6s8t"
MODEL = "llama3.2"
CALLS = [{"function": {"name": "weather", "arguments": {"city": "Zürich"}}}]

Transcript = dict[str, Any]


class Recorder:
    """A client's connections, one after the other, and all that came over each."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._connections = 0
        self._last: str | None = None
        self._cursor: Cursor | None = None

    def open(self, feed: Feed) -> None:
        """Connect with the last id that was seen; what is open is left as it is."""
        self._connections += 1
        after = START if self._last is None else Position.parse(self._last)
        self._cursor = Cursor(feed, after, lambda: None).__enter__()
        self.steps.append({"open": self._connections, "after": self._last})

    def read(self, at_most: int = 99) -> list[Frame]:
        """Receive what there is, or the first frames of it; give back those that didn't arrive."""
        assert self._cursor is not None
        batch = self._cursor.read()
        frames = [frame_of(GENERATION, *entry) for entry in batch.entries] if batch else []
        place = None if frames else self._cursor.place()
        if place is not None:
            frames = [queued_frame(GENERATION, place)]
        for frame in frames[:at_most]:
            self.arrive(frame, self._connections)
        return frames[at_most:]

    def arrive(self, frame: Frame, connection: int) -> None:
        self.steps.append({"on": connection, "frame": frame})
        if connection == self._connections:
            self._last = frame.get("id", self._last)

    def close(self) -> None:
        self.steps.append({"close": self._connections})


def fresh(*pieces: Piece, epoch: int = 1) -> Feed:
    feed = Feed(GENERATION)
    feed.begin(epoch, 0)
    feed.extend(pieces)
    return feed


def started(attempt: int = 1) -> Started:
    return Started(MODEL, attempt)


def words(text: str, channel: Channel = Channel.ANSWER) -> list[Piece]:
    """A delta a word, as a model gives them."""
    return [Delta(channel, word if i == 0 else f" {word}") for i, word in enumerate(text.split(" "))]


def finish(feed: Feed, reason: Reason = Reason.COMPLETED, error: Fault | None = None) -> None:
    usage = Usage(12, feed.log.top) if reason is Reason.COMPLETED else None
    feed.add(Ending(reason, feed.log.sha256(), usage, error))


def from_queue_to_end(recorder: Recorder) -> TokenLog:
    """From the queue to the end over one connection, thinking first."""
    feed = Feed(GENERATION)
    feed.move(Place(2, 2100))
    recorder.open(feed)
    recorder.read()
    feed.move(Place(1, None))
    recorder.read()
    feed.move(None)
    feed.begin(1, 0)
    for piece in [started(), *words("Let me see.", Channel.THINKING), *words("Hello there, friend.")]:
        feed.add(piece)
        recorder.read()
    finish(feed)
    recorder.read()
    return feed.log


def slow_reader(recorder: Recorder) -> TokenLog:
    """A slow reader finds what has piled up joined into one frame a channel."""
    feed = fresh(started())
    recorder.open(feed)
    recorder.read()
    feed.extend([*words("One moment.", Channel.THINKING), *words("All of this came at once,")])
    recorder.read()
    feed.extend([Delta(Channel.ANSWER, " "), *words("and so did this.")])
    finish(feed)
    recorder.read()
    return feed.log


def connection_lost(recorder: Recorder) -> TokenLog:
    """The connection breaks again and again, also between frames sent together; nothing comes twice."""
    feed = fresh(started(), *words("First", Channel.THINKING), *words("The connection"))
    recorder.open(feed)
    recorder.read(at_most=2)
    recorder.close()
    feed.extend([Delta(Channel.ANSWER, " broke,"), ToolCalls(CALLS), Delta(Channel.ANSWER, " and broke")])
    recorder.open(feed)
    recorder.read(at_most=2)
    recorder.close()
    recorder.open(feed)
    recorder.read(at_most=0)
    recorder.close()
    feed.add(Delta(Channel.ANSWER, " again."))
    finish(feed)
    recorder.open(feed)
    recorder.read()
    return feed.log


def reload_from_nothing(recorder: Recorder) -> TokenLog:
    """Somebody opens the page when the first attempt has long failed: there is no reset to see."""
    feed = fresh(started(), *words("Never mind"), Reset(), started(2), *words("A good answer."))
    recorder.open(feed)
    recorder.read()
    finish(feed)
    recorder.read()
    return feed.log


def attempt_failed(recorder: Recorder) -> TokenLog:
    """An attempt fails in the middle of the answer, and the next one gives another."""
    feed = fresh(started(), *words("Hm", Channel.THINKING), *words("I would say that"))
    recorder.open(feed)
    recorder.read()
    feed.extend([Reset(), started(2)])
    recorder.read()
    feed.extend([*words("Second thoughts", Channel.THINKING), *words("It depends."), ToolCalls(CALLS)])
    finish(feed)
    recorder.read()
    return feed.log


def other_instance(recorder: Recorder) -> TokenLog:
    """The client goes to another instance, where what it has seen last is still on its way."""
    owner = fresh(started(), *words("One instance after"))
    elsewhere = Feed(GENERATION)
    replica = Replica(elsewhere)
    replica.history(History((Position(1, 0),), (started(), *words("One"))))
    recorder.open(owner)
    recorder.read()
    recorder.close()
    recorder.open(elsewhere)
    assert recorder.read() == []
    replica.hint(Appended(Position(1, 3), tuple(words("One instance after")[1:])))
    replica.hint(Appended(Position(1, 5), (Delta(Channel.ANSWER, " the other."),)))
    finish(elsewhere)
    recorder.read()
    return elsewhere.log


def owner_died(recorder: Recorder) -> TokenLog:
    """The owner died before its last words were kept, and the next one goes on with other words."""
    feed = fresh(started(), *words("The end of this sentence was lost"))
    recorder.open(feed)
    recorder.read()
    replica = Replica(feed)
    replica.history(History((Position(1, 0), Position(2, 4)), (started(), *words("The end of"))))
    recorder.read(at_most=2)
    recorder.close()
    recorder.open(feed)
    replica.hint(Appended(Position(2, 5), tuple(words("of this one is another.")[1:])))
    finish(feed)
    recorder.read()
    return feed.log


def everything_lost(recorder: Recorder) -> TokenLog:
    """All was lost and nothing is there yet; the connection breaks right after the reset."""
    feed = fresh(started(), *words("Gone with the"))
    recorder.open(feed)
    recorder.read()
    replica = Replica(feed)
    replica.history(History((), ()))
    replica.hint(Opened(2, 0))
    recorder.read()
    recorder.close()
    feed.extend([started(), *words("Here again.")])
    recorder.open(feed)
    finish(feed)
    recorder.read()
    return feed.log


def from_store(recorder: Recorder) -> TokenLog:
    """Years later the store serves it; a client that drops before the end gets a reset and the whole."""
    log = StoredLog(
        [
            started(),
            Delta(Channel.THINKING, "Hm."),
            Delta(Channel.ANSWER, "As it was kept."),
            ToolCalls(CALLS),
            Ending(
                Reason.COMPLETED, fresh(Delta(Channel.ANSWER, "As it was kept.")).log.sha256(), Usage(12, 7)
            ),
        ],
        Position(3, 11),
    )
    feed = Feed(GENERATION, log)
    recorder.open(feed)
    recorder.read(at_most=3)
    recorder.close()
    recorder.open(feed)
    recorder.read(at_most=2)
    recorder.close()
    recorder.open(feed)
    recorder.read()
    return log


def late_duplicates(recorder: Recorder) -> TokenLog:
    """Frames of a connection the client has left arrive after it opened the next: they don't count."""
    feed = fresh(started(), *words("Said once,"))
    recorder.open(feed)
    recorder.read()
    feed.extend([Delta(Channel.ANSWER, " and only once"), Reset(), started(2), *words("Said again.")])
    late = recorder.read(at_most=1)
    recorder.open(feed)
    for frame in late:
        recorder.arrive(frame, connection=1)
    recorder.read()
    recorder.arrive(late[-1], connection=1)
    finish(feed)
    recorder.read()
    return feed.log


def cancelled_while_queued(recorder: Recorder) -> TokenLog:
    """Cancelled before it began: the end is all there is."""
    feed = Feed(GENERATION)
    feed.move(Place(7, None))
    recorder.open(feed)
    recorder.read()
    feed.move(None)
    feed.begin(1, 0)
    finish(feed, Reason.CANCELLED)
    recorder.read()
    return feed.log


def upstream_failed(recorder: Recorder) -> TokenLog:
    """The model stops in the middle of a word; what it said stays."""
    feed = fresh(started(), *words("This is not the"))
    recorder.open(feed)
    recorder.read()
    finish(feed, Reason.UPSTREAM_TRUNCATED, Fault("no_done", "The model server ended the answer early."))
    recorder.read()
    return feed.log


def any_script(recorder: Recorder) -> TokenLog:
    """Text of every kind, cut anywhere between code points; the hash is of its UTF-8."""
    text = 'né "\\" \n\t 𝄞 👩‍👩‍👧 \u2028 שלום'
    feed = fresh(started(), *[Delta(Channel.ANSWER, character) for character in text])
    recorder.open(feed)
    recorder.read()
    finish(feed)
    recorder.read()
    return feed.log


SCENES: list[Callable[[Recorder], TokenLog]] = [
    from_queue_to_end,
    slow_reader,
    connection_lost,
    reload_from_nothing,
    attempt_failed,
    other_instance,
    owner_died,
    everything_lost,
    from_store,
    late_duplicates,
    cancelled_while_queued,
    upstream_failed,
    any_script,
]


def record(scene: Callable[[Recorder], TokenLog]) -> Transcript:
    recorder = Recorder()
    log = scene(recorder)
    assert log.ending is not None
    return {
        "about": scene.__doc__,
        "steps": recorder.steps,
        "expected": {
            "answer": log.text(Channel.ANSWER),
            "thinking": log.text(Channel.THINKING),
            "tool_calls": log.tool_calls(),
            "reason": log.ending.reason,
            "id": str(log.position),
        },
    }


def main() -> None:
    for scene in SCENES:
        text = json.dumps(record(scene), ensure_ascii=False, indent=1)
        (FOLDER / f"{scene.__name__}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
