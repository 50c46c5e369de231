"""Three instances, a shared log that can be lost, hints that come late, twice, in another order or never,
owners that die or are fenced, and readers that come and go between all of them.

After each frame a reader must have exactly what its position says, and at the end the final text.
"""

from itertools import groupby
from typing import Any

from chatserver.generation.feed import Feed
from chatserver.generation.log import StoredLog, text_sha256
from chatserver.generation.merge import Appended, Hint, History, Opened, Replica
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started, ToolCalls
from chatserver.generation.position import START, Position
from chatserver.generation.states import Reason
from chatserver.wire.frames import Frame
from tests.unit.generation.page import GENERATION, TRANSPORTS, Kept, Page

ALL = 99


class SharedLog:
    """What the backplane keeps."""

    def __init__(self) -> None:
        self.epochs: tuple[Position, ...] = ()
        self.pieces: tuple[Piece, ...] = ()

    @property
    def top(self) -> Position:
        return Position(self.epochs[-1].epoch if self.epochs else 0, len(self.pieces))

    def history(self) -> History:
        return History(self.epochs, self.pieces)


class Instance:
    """A process: it owns the generation under an epoch, or follows it, or serves it from the store."""

    def __init__(self) -> None:
        self.feed = Feed(GENERATION)
        self.follow()

    def follow(self) -> None:
        self.replica: Replica | None = Replica(self.feed)
        #: The epoch under which it believes to own the generation.
        self.epoch: int | None = None
        #: Hints on their way to it, and a history that was read but hasn't arrived.
        self.mail: list[Hint] = []
        self.asked: History | None = None

    def own(self, epoch: int) -> None:
        self.replica, self.epoch, self.mail, self.asked = None, epoch, [], None

    def serve(self, stored: StoredLog) -> None:
        self.feed, self.replica = Feed(GENERATION, stored), None


class World:
    def __init__(self, *, calm: bool) -> None:
        #: Nothing is ever lost: owners hand over instead of dying, and no attempt fails.
        self.calm = calm
        self.shared = SharedLog()
        self.instances = [Instance() for _ in range(3)]
        self.pages = [Page() for _ in range(3)]
        #: The newest epoch, as SQL knows it.
        self.epoch = 0
        #: Every piece ever written, what a reader has there, and which a newer epoch has made void.
        self.written: dict[Position, Piece] = {}
        self.kept: dict[Position, Kept] = {START: Kept()}
        self.lost: set[Position] = set()
        #: Set when SQL has taken the end.
        self.stored: StoredLog | None = None
        self.final = Kept()

    def play(self, script: list[tuple[Any, ...]]) -> None:
        self.claim(0, anew=False)
        for verb, *arguments in script:
            getattr(self, verb)(*arguments)
            self.check_logs()

    # What owners do.

    def claim(self, who: int, anew: bool) -> None:
        """Take over from an owner that is dead, or only slow: read the log and go on where it ends."""
        instance = self.instances[who]
        if self.stored is not None or instance.epoch == self.epoch:
            return
        if self.calm:
            self.hand_over()
        if instance.replica is None:
            instance.follow()
        instance.replica.history(self.shared.history())
        self.epoch += 1
        n = len(self.shared.pieces)
        self.lost |= {position for position in self.written if position.n > n}
        instance.feed.begin(self.epoch, n)
        instance.own(self.epoch)
        self.shared.epochs = tuple(instance.feed.log.begun())
        self.announce(Opened(self.epoch, n))
        if n == 0:
            self.write(instance, [Started("m", 1)])
        elif anew and not self.calm:
            self.write(instance, [Reset(), Started("m", 2)])

    def generate(self, who: int, kinds: list[str], odd: str, share: bool) -> None:
        """An owner writes; its own readers see that at once, whether it gets shared or not."""
        owners = [instance for instance in self.instances if instance.epoch and not instance.feed.log.ended]
        if owners:
            instance = owners[who % len(owners)]
            self.write(instance, [piece for kind in kinds for piece in self.pieces(kind, odd)])
            if share:
                self.share(self.instances.index(instance), ALL)

    def share(self, who: int, most: int) -> None:
        """An owner sends what the shared log lacks; a fenced one is told so and follows."""
        instance = self.instances[who]
        if instance.epoch is None:
            return
        if instance.epoch != self.epoch:
            instance.follow()
            return
        log = instance.feed.log
        if not self.shared.epochs:
            # Lost and put back: all of it in one step, so that nobody takes a part for the whole.
            self.shared.epochs, most = tuple(log.begun()), log.top
            for begun in log.begun():
                self.announce(Opened(*begun))
        first = len(self.shared.pieces) + 1
        positions = [log.position_of(n) for n in range(first, min(first + most, log.top + 1))]
        for _, together in groupby(positions, key=lambda position: position.epoch):
            run = list(together)
            pieces = tuple(self.written[position] for position in run)
            self.shared.pieces += pieces
            self.announce(Appended(run[0], pieces))

    def end(self, share: bool) -> None:
        owner = self.owner
        if self.stored is not None or owner is None:
            return
        log = owner.feed.log
        ending = Ending(Reason.COMPLETED, log.sha256())
        self.final = Kept.of(log)
        self.write(owner, [ending])
        self.stored = StoredLog(self.whole(ending), log.position)
        if share or self.calm:
            self.share(self.instances.index(owner), ALL)

    def die(self, who: int) -> None:
        """A process is gone, with all that it hadn't shared."""
        if self.calm:
            self.share(who, ALL)
        self.replace(who, Instance())

    def lose_shared_log(self) -> None:
        if self.owner is not None or not self.calm:
            self.shared = SharedLog()

    def hand_over(self) -> None:
        owner = self.owner
        if owner is not None:
            self.share(self.instances.index(owner), ALL)
            owner.follow()

    # What those do that follow.

    def hear(self, who: int, index: int, count: int, how: str) -> None:
        """Hints arrive; from the middle, when those before them are late."""
        instance = self.instances[who]
        hints = instance.mail[index : index + count]
        if how != "repeated":
            del instance.mail[index : index + count]
        if instance.replica is not None and how != "lost":
            for hint in hints:
                instance.replica.hint(hint)

    def ask(self, who: int) -> None:
        self.instances[who].asked = self.shared.history()

    def answer(self, who: int) -> None:
        """The history arrives, as it was when asked for."""
        instance = self.instances[who]
        if instance.replica is not None and instance.asked is not None:
            instance.replica.history(instance.asked)
        instance.asked = None

    def compare(self, who: int) -> None:
        self.catch_up(self.instances[who], self.shared.top)

    def serve_from_store(self, who: int) -> None:
        if self.stored is not None and not self.calm:
            instance = Instance()
            instance.serve(self.stored)
            self.replace(who, instance)

    # What readers do.

    def connect(self, reader: int, who: int) -> None:
        page, instance = self.pages[reader], self.instances[who]
        page.drop()
        if page.end is None and self.is_ready_for(instance, page.position):
            page.connect(instance.feed)

    def read(self, reader: int, who: int, frames: int, transport: int) -> None:
        """Take what there is; where there is more than `frames`, the connection breaks after those."""
        page = self.pages[reader]
        if page.cursor is None:
            self.connect(reader, who)
        batch = page.cursor.read() if page.cursor else None
        assert page.woken or batch is None
        page.woken = False
        if batch is None:
            return
        for position, piece in batch.entries[:frames]:
            frame = TRANSPORTS[transport](position, piece)
            self.check_reset(page, frame)
            page.take(frame)
            self.check_kept(page)
        if page.end or frames < len(batch.entries):
            page.drop()

    def conclude(self, forgotten: list[bool], moved: list[bool]) -> None:
        """However it went: the generation ends, and every reader gets there, wherever it reads then."""
        if self.owner is None:
            self.claim(0, anew=False)
        self.generate(0, ["answer"], "!", share=False)
        self.end(share=True)
        for who in range(3):
            self.share(who, ALL)
        for who, instance in enumerate(self.instances):
            self.compare(who)
            if forgotten[who] or not instance.feed.log.ended:
                self.serve_from_store(who)
        for reader, page in enumerate(self.pages):
            if moved[reader]:
                page.drop()
            self.read(reader, reader, ALL, 0)
            assert page.end is not None
            assert page.kept == self.final
            assert text_sha256(page.kept.answer) == page.end["sha256"]

    # What is always true.

    def check_logs(self) -> None:
        """A position names one piece for ever, in whichever log."""
        for log in (instance.feed.log for instance in self.instances):
            if log.top and not isinstance(log, StoredLog):
                assert log._pieces[-1] is self.written[log.position]

    def check_reset(self, page: Page, frame: Frame) -> None:
        """A reader has to forget only what was lost, or what a failed attempt had written."""
        if frame["type"] != "reset":
            return
        assert page.last is not None
        if frame["reason"] == "attempt_failed":
            assert page.position.n < Position.parse(frame["id"]).n
        else:
            # A stored log knows none but the last of the real positions, and nobody else knows its own.
            assert page.position in self.lost or self.is_from_store(page) or page.position not in self.written

    def check_kept(self, page: Page) -> None:
        if not self.is_from_store(page) or page.position in self.kept:
            assert page.kept == self.kept[page.position]

    def is_from_store(self, page: Page) -> bool:
        return page.feed is not None and isinstance(page.feed.log, StoredLog)

    # What the above is made of.

    @property
    def owner(self) -> Instance | None:
        return next((instance for instance in self.instances if instance.epoch == self.epoch), None)

    def write(self, instance: Instance, pieces: list[Piece]) -> None:
        log = instance.feed.log
        for piece in pieces:
            instance.feed.add(piece)
            assert log.position not in self.written
            self.written[log.position] = piece
            self.kept[log.position] = Kept.of(log)
            if instance.epoch != self.epoch:
                self.lost.add(log.position)

    def pieces(self, kind: str, odd: str) -> list[Piece]:
        # No two texts are alike, so that none can stand in another's place unseen.
        number = len(self.written)
        match kind:
            case "tools":
                return [ToolCalls([{"id": number}])]
            case "anew":
                return [] if self.calm else [Reset(), Started("m", 2)]
        return [Delta(Channel(kind), f"{odd}{number} ")]

    def whole(self, ending: Ending) -> list[Piece]:
        final = self.final
        pieces: list[Piece] = [Started("m", 1)]
        pieces += [Delta(Channel.THINKING, final.thinking)] if final.thinking else []
        pieces += [Delta(Channel.ANSWER, final.answer)] if final.answer else []
        pieces += [ToolCalls(final.calls)] if final.calls else []
        return [*pieces, ending]

    def announce(self, hint: Hint) -> None:
        for instance in self.instances:
            if instance.replica is not None:
                instance.mail.append(hint)

    def catch_up(self, instance: Instance, seen: Position) -> None:
        if instance.replica is not None:
            instance.replica.check(seen)
            if instance.replica.behind:
                instance.replica.history(self.shared.history())

    def is_ready_for(self, instance: Instance, position: Position) -> bool:
        """A reader that comes from a newer epoch than the log knows: what was missed is read first."""
        log = instance.feed.log
        if isinstance(log, StoredLog) or position.epoch <= log.epoch:
            return True
        if instance.replica is None:
            instance.follow()
        self.catch_up(instance, position)
        # While there is no shared log nobody can say; it is put back, or begun again, in a moment.
        return log.epoch == 0 or bool(self.shared.epochs)

    def replace(self, who: int, instance: Instance) -> None:
        for page in self.pages:
            if page.feed is self.instances[who].feed:
                page.drop()
        self.instances[who] = instance
