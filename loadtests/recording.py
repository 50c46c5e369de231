"""What a stream's bytes say once it is over: which token came when, and whether it came alone."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

#: (when, in nanoseconds since the epoch; what), one for each time the socket was read.
Read = tuple[int, bytes]

#: From this length on a WebSocket's frame tells its length in more bytes.
_LONG = 126
#: Ends a chunked body.
LAST_CHUNK = b"0\r\n\r\n"
#: A token's time of sending, in microseconds since the epoch, as the simulator writes it before the token.
_STAMP = re.compile(rb"(1[5-9]\d{14}) ")


class Token(NamedTuple):
    """A token's way, in microseconds since the epoch."""

    sent: int
    arrived: float
    #: Nothing else was in its frame.
    alone: bool


class Piece(NamedTuple):
    """A piece of a body, and where in the raw bytes it ends."""

    data: bytes
    end: int


def tokens_of(reads: Sequence[Read], separator: bytes) -> list[Token]:
    """Find the tokens of a response whose frames end with `separator`."""
    return _stamped(reads, _frames(_pieces(_raw(reads)), separator))


def socket_tokens_of(reads: Sequence[Read]) -> list[Token]:
    """Find the tokens that came over a WebSocket, its handshake included."""
    return _stamped(reads, _socket_frames(_raw(reads)))


def _raw(reads: Sequence[Read]) -> bytes:
    return b"".join(data for _, data in reads)


def _stamped(reads: Sequence[Read], frames: Iterator[Piece]) -> list[Token]:
    ends = list(accumulate(len(data) for _, data in reads))
    found: list[Token] = []
    for frame in frames:
        stamps = _STAMP.findall(frame.data)
        arrived = reads[bisect_right(ends, frame.end - 1)][0] / 1000
        found += [Token(int(stamp), arrived, len(stamps) == 1) for stamp in stamps]
    return found


def while_all_ran(streams: Sequence[Sequence[Token]]) -> list[Token]:
    """Pick the tokens that left after every stream had begun, and before any ended."""
    running = [found for found in streams if found]
    begin = max((found[0].sent for found in running), default=0)
    end = min((found[-1].sent for found in running), default=0)
    return [token for found in running for token in found if begin <= token.sent <= end]


def status_of(reads: Sequence[Read]) -> int:
    return int(reads[0][1][9:12]) if reads else 0


def _pieces(raw: bytes) -> Iterator[Piece]:
    """Take the chunks out of a response."""
    at = raw.index(b"\r\n\r\n") + 4
    while True:
        line_end = raw.index(b"\r\n", at)
        size = int(raw[at:line_end], 16)
        at = line_end + 2
        if not size:
            return
        yield Piece(raw[at : at + size], at + size)
        at += size + 2


def _frames(pieces: Iterator[Piece], separator: bytes) -> Iterator[Piece]:
    rest = b""
    for data, end in pieces:
        *frames, rest = (rest + data).split(separator)
        # The place of each frame's end, counted back from the end of the piece.
        left = len(rest) + len(separator) * len(frames) + sum(map(len, frames))
        for frame in frames:
            left -= len(frame) + len(separator)
            yield Piece(frame, end - left)


def _socket_frames(raw: bytes) -> Iterator[Piece]:
    """Take the payloads out of the frames of a server, which aren't masked; a broken last one is left."""
    at = raw.index(b"\r\n\r\n") + 4
    while at + 2 <= len(raw):
        size, begin = raw[at + 1], at + 2
        if size >= _LONG:
            begin += 2 if size == _LONG else 8
            size = int.from_bytes(raw[at + 2 : begin])
        at = begin + size
        if at <= len(raw):
            yield Piece(raw[begin:at], at)
