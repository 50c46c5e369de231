"""The append-only log of one generation: plain data, without clock, network or event loop."""

from hashlib import sha256
from itertools import zip_longest

from chatserver.errors import GapInLog, LogEnded, StaleEpoch
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started, ToolCalls
from chatserver.generation.position import START, Position

Entry = tuple[Position, Piece]


class TokenLog:
    """Pieces numbered from 1, and the n at which each epoch began.

    `append` and `begin` are safe to repeat: what is known already changes nothing. What can't be
    placed raises GapInLog, and whoever fills the log has to read the history.
    """

    def __init__(self) -> None:
        #: The piece with number n is pieces[n - 1].
        self._pieces: list[Piece] = []
        #: (epoch, n of the last piece before it), oldest first; a newer epoch never begins earlier.
        self._epochs: list[Position] = []
        #: The number of the last Reset; the whole of the generation is what follows it.
        self._void = 0
        #: Characters of text held, of both channels.
        self.characters = 0
        #: The last piece is an Ending. These two are asked for every token, so they are kept, not found out.
        self.ended = False
        #: The newest epoch, 0 before the first has begun.
        self.epoch = 0

    @property
    def top(self) -> int:
        return len(self._pieces)

    @property
    def begins_at(self) -> int:
        """The number of the last reset, or 0: what follows it is the whole."""
        return self._void

    @property
    def ending(self) -> Ending | None:
        last = self._pieces[-1] if self._pieces else None
        return last if isinstance(last, Ending) else None

    @property
    def position(self) -> Position:
        """The position of the newest piece."""
        return self.position_of(self.top)

    def begin(self, epoch: int, n: int) -> bool:
        """Begin `epoch` after piece n; what an older owner wrote beyond it is void."""
        if epoch in {begun.epoch for begun in self._epochs}:
            return False
        # Epoch 0 is nobody's: the start, and a stored log's own numbers, are given under it.
        if epoch <= self.epoch:
            raise StaleEpoch(f"Epoch {epoch} comes after epoch {self.epoch} has begun.")
        if n > self.top:
            raise GapInLog(expected=self.top + 1, got=n + 1)
        if self.ended:
            raise LogEnded
        # Where the log had to begin again from less, epochs that began later never happened.
        self._epochs = [begun for begun in self._epochs if begun.n <= n]
        self._epochs.append(Position(epoch, n))
        self.epoch = epoch
        self._drop_beyond(n)
        return True

    def append(self, position: Position, piece: Piece) -> bool:
        """Put `piece` at `position`; False when that place is taken, or void since a newer epoch."""
        if position.epoch < self.epoch or (position.epoch == self.epoch and position.n <= self.top):
            return False
        if position.epoch > self.epoch or position.n > self.top + 1:
            raise GapInLog(expected=self.top + 1, got=position.n)
        self.add(piece)
        return True

    def add(self, *pieces: Piece) -> None:
        """Put them next, as the owner under the newest epoch does."""
        if not self.epoch:
            raise StaleEpoch("No epoch has begun.")
        for piece in pieces:
            if self.ended:
                raise LogEnded
            self._pieces.append(piece)
            if isinstance(piece, Delta):
                self.characters += len(piece.text)
            elif isinstance(piece, Reset):
                self._void = len(self._pieces)
            elif isinstance(piece, Ending):
                self.ended = True

    def locate(self, position: Position) -> int | None:
        """The number to read on from, or None where the reader has to forget what it has.

        The number may lie beyond the top: under the newest epoch, and before any, the pieces that
        the reader has seen may still be on their way from the owner it has just left.
        """
        if (position.epoch == self.epoch and not self.ended) or not self.epoch:
            return position.n
        if position == START:
            return self._void
        last = self.last_under(position.epoch)
        return None if last is None or position.n > last else position.n

    def since(self, n: int) -> list[Entry]:
        """What follows piece n, with neighbouring deltas of one channel joined.

        A reader that stands before the last reset gets that reset first and nothing older.
        """
        pieces, top = self._pieces, len(self._pieces)
        if n + 1 == top:
            # So it is for nearly all: they keep up.
            return [(self.position_of(top), pieces[n])]
        n = max(n, self._void - 1)
        entries: list[Entry] = []
        while n < top:
            piece, first, n = pieces[n], n, n + 1
            if isinstance(piece, Delta):
                texts = [piece.text]
                while n < top and isinstance(more := pieces[n], Delta) and more.channel is piece.channel:
                    texts.append(more.text)
                    n += 1
                if n > first + 1:
                    piece = Delta(piece.channel, "".join(texts))
            entries.append((self.position_of(n), piece))
        return entries

    def pieces(self, n: int = 0, most: int | None = None) -> list[Piece]:
        """What follows piece n, each piece as it was added; at most so many."""
        return self._pieces[n:] if most is None else self._pieces[n : n + most]

    def position_of(self, n: int) -> Position:
        for begun in reversed(self._epochs):
            if n > begun.n:
                return Position(begun.epoch, n)
        return START

    def last_under(self, epoch: int) -> int | None:
        """The number of the last piece of an epoch, or of those before it; None where it never began."""
        for begun, following in zip_longest(self._epochs, self._epochs[1:]):
            if begun.epoch == epoch:
                return self.top if following is None else following.n
        return None

    def begun(self) -> list[Position]:
        """The epochs, each with the number of the last piece before it."""
        return list(self._epochs)

    def text(self, channel: Channel) -> str:
        """The text of a channel since the last reset."""
        return "".join(
            piece.text
            for piece in self._pieces[self._void :]
            if isinstance(piece, Delta) and piece.channel is channel
        )

    def tool_calls(self) -> list[dict[str, object]]:
        whole = self._pieces[self._void :]
        return [call for piece in whole if isinstance(piece, ToolCalls) for call in piece.calls]

    @property
    def attempt(self) -> int | None:
        """The number of the attempt that the whole is of."""
        whole = self._pieces[self._void :]
        return next((piece.attempt for piece in whole if isinstance(piece, Started)), None)

    def sha256(self) -> str:
        return text_sha256(self.text(Channel.ANSWER))

    def _drop_beyond(self, n: int) -> None:
        kept = self._pieces[:n]
        self._pieces, self._void, self.characters = [], 0, 0
        self.add(*kept)


class StoredLog(TokenLog):
    """A finished log as the store keeps it: the whole text, but no longer where its pieces began.

    It knows two positions, the start and the final one. Its own numbers before the end are given
    under epoch 0, which nobody writes: under a real one they would name other pieces elsewhere.
    """

    def __init__(self, pieces: list[Piece], final: Position) -> None:
        super().__init__()
        self._final = final
        self.begin(final.epoch, 0)
        self.add(*pieces)

    @property
    def position(self) -> Position:
        return self._final

    def locate(self, position: Position) -> int | None:
        if position == START:
            return self._void
        return self.top if position == self._final else None

    def position_of(self, n: int) -> Position:
        return self._final if n == self.top else Position(0, n)

    def after(self, known: TokenLog) -> "StoredLog":
        """Go on where `known` stops if it is the beginning of this, and one piece the rest; else this."""
        if known.epoch != self._final.epoch or known.top >= self._final.n - 1:
            return self
        if known.attempt is None or known.attempt != self.attempt:
            return self
        rest = self._rest_after(known)
        # Of more than one only the last would have a number that is known to be its own.
        if rest is None or len(rest) > 1:
            return self
        return ResumedLog(known, rest + self._pieces[-1:], self._final)

    def _rest_after(self, known: TokenLog) -> list[Piece] | None:
        rest: list[Piece] = []
        for channel in (Channel.THINKING, Channel.ANSWER):
            had, whole = known.text(channel), self.text(channel)
            if not whole.startswith(had):
                return None
            rest += [Delta(channel, whole[len(had) :])] if whole != had else []
        called, calls = known.tool_calls(), self.tool_calls()
        if calls[: len(called)] != called:
            return None
        return rest + ([ToolCalls(calls[len(called) :])] if calls != called else [])


class ResumedLog(StoredLog):
    """A log that was followed until its rest came from the store, as one piece.

    What was known keeps its numbers, and the rest has that of the last piece before the end.
    """

    def __init__(self, known: TokenLog, rest: list[Piece], final: Position) -> None:
        super().__init__(known.pieces() + rest, final)
        self._known = known
        self._last = Position(final.epoch, final.n - 1)

    def locate(self, position: Position) -> int | None:
        if position == self._last:
            return self.top - 1
        known = self._known.last_under(position.epoch)
        if known is not None and position.n <= known:
            return position.n
        return super().locate(position)

    def position_of(self, n: int) -> Position:
        if n <= self._known.top:
            return self._known.position_of(n)
        return self._last if n < self.top else self._final


def text_sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()
