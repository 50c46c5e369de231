"""Small pieces, logs and feeds for the tests of the heart."""

from chatserver.generation.feed import Feed
from chatserver.generation.log import StoredLog, TokenLog, text_sha256
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started
from chatserver.generation.position import Position
from chatserver.generation.states import Reason

STARTED = Started("llama3.2", 1)
RESET = Reset()


def answer(text: str) -> Delta:
    return Delta(Channel.ANSWER, text)


def thinking(text: str) -> Delta:
    return Delta(Channel.THINKING, text)


def ending(text: str) -> Ending:
    return Ending(Reason.COMPLETED, text_sha256(text))


def log_of(*pieces: Piece) -> TokenLog:
    log = TokenLog()
    log.begin(1, 0)
    for piece in pieces:
        log.add(piece)
    return log


def feed_of(*pieces: Piece) -> Feed:
    return Feed("gen_1", log_of(*pieces))


def letters(text: str) -> list[Piece]:
    return [answer(letter) for letter in text]


def stored_log() -> StoredLog:
    """`abc` and its end, kept without where its pieces began."""
    return StoredLog([STARTED, thinking("hm"), answer("abc"), ending("abc")], Position(2, 9))
