"""Years of conversations, made in minutes: written through our own tables, in large batches."""

import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, new_id
from chatserver.generation.principal import Principal
from chatserver.storage.entries import Entries, title_rows
from chatserver.storage.tables import conversations, generations, messages, search_entries
from loadtests.filling import Filling

#: Conversations of each kind of user; each kind has half of all conversations.
FEW, MANY = 20, 200
#: Conversations that go on at the same time, so that nobody's rows lie side by side.
_AT_ONCE = 500
#: Rows that one transaction writes, or a few more.
_BATCH = 5_000
_WORDS = 40_000
_QUESTION_WORDS, _ANSWER_WORDS = 12, 60
#: Of all messages, those of the longest conversation.
_LONGEST_SHARE = 1 / 400
_BEGUN_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Size:
    messages: int
    conversations: int

    @property
    def turns(self) -> int:
        return self.messages // self.conversations // 2

    @property
    def longest(self) -> int:
        """Messages of the longest conversation."""
        return round(self.messages * _LONGEST_SHARE)

    def users(self) -> Sequence[int]:
        """How many conversations each user has."""
        half = self.conversations // 2
        return [*[MANY] * (half // MANY), *[FEW] * (half // FEW)]


class Vocabulary:
    """Words as often as people use them: the second one half as often as the first, and so on."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        known: dict[str, None] = {}
        while len(known) < _WORDS:
            known["".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 10)))] = None
        #: The commonest first.
        self.words = list(known)
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(_WORDS)))
        self._dice = dice

    def text(self, words: int) -> str:
        return " ".join(self._dice.choices(self.words, cum_weights=self._weights, k=words))


@dataclass
class Talk:
    """A conversation while it is made."""

    id: str
    owner: Principal
    leaf: str | None = None
    change: int = 1
    length: int = 0
    active_at: int = _BEGUN_MS


@dataclass
class Rows:
    """What is to be written next."""

    messages: list[dict[str, Any]]
    generations: list[dict[str, Any]]


class Historian:
    def __init__(self, filling: Filling, size: Size, seed: int, tell: Callable[[str], None]) -> None:
        self._filling = filling
        self._size = size
        self._tell = tell
        self._now = _BEGUN_MS
        self._made = 0
        self.vocabulary = Vocabulary(seed)

    async def write(self, owners: Sequence[Principal]) -> str:
        """Give each user their conversations; the first one gets the longest, whose id is the answer."""
        for group in self._groups(owners):
            await self._converse(group, self._size.turns)
        longest = Talk(new_id(CONVERSATION), owners[0])
        await self._converse([longest], self._size.longest // 2)
        return longest.id

    def _groups(self, owners: Sequence[Principal]) -> Iterator[list[Talk]]:
        counts = zip(owners, self._size.users(), strict=True)
        places = [(number, owner) for owner, count in counts for number in range(count)]
        # Everybody's first one, then everybody's second one.
        places.sort(key=lambda place: place[0])
        for at in range(0, len(places), _AT_ONCE):
            yield [Talk(new_id(CONVERSATION), owner) for _, owner in places[at : at + _AT_ONCE]]

    async def _converse(self, talks: Sequence[Talk], turns: int) -> None:
        begun, entries, rows = self._now, Entries(), Rows([], [])
        for _ in range(turns):
            for talk in talks:
                self._add_turn(talk, rows, entries)
            if len(rows.messages) >= _BATCH:
                await self._save(rows, entries)
        await self._save(rows, entries)
        titles = {talk.id: self.vocabulary.text(4) for talk in talks}
        await self._filling.add(conversations, [self._held(talk, titles[talk.id], begun) for talk in talks])
        found_by = title_rows((talk.owner, talk.id, titles[talk.id]) for talk in talks)
        await self._filling.add(search_entries, list(found_by))
        self._tell(f"  {self._made:,} of {self._size.messages + self._size.longest:,} messages")

    def _held(self, talk: Talk, title: str, begun: int) -> dict[str, Any]:
        """Give the row of a conversation as its last turn left it."""
        return {
            "id": talk.id,
            "tenant": talk.owner.tenant,
            "user": talk.owner.user,
            "title": title,
            "leaf": talk.leaf,
            "change": talk.change,
            "own_change": talk.change,
            "created_at": begun,
            "active_at": talk.active_at,
        }

    def _add_turn(self, talk: Talk, rows: Rows, entries: Entries) -> None:
        # A word that stands nowhere else, for the rarest search there is.
        own = f"{unique_word(talk.id)} " if talk.leaf is None else ""
        question = self._message(talk, "user", own + self.vocabulary.text(_QUESTION_WORDS))
        answer = self._message(talk, "assistant", self.vocabulary.text(_ANSWER_WORDS))
        rows.messages += [question, answer]
        rows.generations.append(self._generation(talk, answer["id"]))
        for message in (question, answer):
            entries.add(talk.owner, talk.id, message["content"])

    def _message(self, talk: Talk, role: str, content: str) -> dict[str, Any]:
        self._now += 1
        self._made += 1
        talk.change += 1
        talk.length += 1
        talk.active_at = self._now
        parent, talk.leaf = talk.leaf, new_id(MESSAGE)
        return {
            "id": talk.leaf,
            "conversation": talk.id,
            "parent": parent,
            "role": role,
            "content": content,
            "depth": talk.length,
            "change": talk.change,
            "created_at": self._now,
        }

    def _generation(self, talk: Talk, answer: str) -> dict[str, Any]:
        talk.change += 1
        return {
            "id": new_id(GENERATION),
            "tenant": talk.owner.tenant,
            "user": talk.owner.user,
            "conversation": talk.id,
            "message": answer,
            "status": "completed",
            "reason": "completed",
            "lane": "interactive",
            "model": "llama",
            "request": "{}",
            "epoch": 1,
            "attempts": 1,
            "cancel": False,
            "final_epoch": 1,
            "final_n": 3,
            "change": talk.change,
            "created_at": self._now,
        }

    async def _save(self, rows: Rows, entries: Entries) -> None:
        await self._filling.add(messages, rows.messages)
        await self._filling.add(generations, rows.generations)
        await self._filling.add(search_entries, entries.rows)
        for written in (rows.messages, rows.generations, entries.rows):
            written.clear()


def unique_word(conversation: str) -> str:
    return conversation.removeprefix("conv_")
