"""Long conversations, made up from a seed and written into a store at once."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, update

from chatserver.generation.ids import MESSAGE, new_id
from chatserver.storage.command import Command, Transaction
from chatserver.storage.tables import conversations, messages

#: What is told at the very beginning, and not again.
FACT = "My favourite colour is teal, and my dog is called Biscuit."

_WORDS = """
the a to and of in it is that we you for on with as at this but not be from they say her she or
an will one all would there what about which when make can like time just know take people into
year your good some could see other than then now look only come over think also back after use
two how our work first well way even new want because any these give day most river window
number garden morning answer question machine letter winter kitchen village story simple bright
little always never perhaps however between together
""".split()  # noqa: SIM905 - a hundred quotation marks less


@dataclass(frozen=True)
class Saying:
    """What somebody said, and the id it has."""

    id: str
    role: str
    content: str


def make_talk(seed: int, length: int, *, shortest: int = 4, longest: int = 380) -> list[Saying]:
    """Make so many messages, questions and answers in turns, of so many words each."""
    chance = random.Random(seed)
    texts = [_text(chance, chance.randint(shortest, longest)) for _ in range(length)]
    texts[0] = f"{FACT} {texts[0]}"
    return [
        Saying(new_id(MESSAGE), "assistant" if number % 2 else "user", text)
        for number, text in enumerate(texts)
    ]


def _text(chance: random.Random, words: int) -> str:
    sentences: list[str] = []
    while words > 0:
        length = min(words, chance.randint(4, 16))
        sentences.append(" ".join(chance.choices(_WORDS, k=length)).capitalize() + chance.choice(".....?!"))
        words -= length
    return " ".join(sentences)


@dataclass(frozen=True)
class WriteTalk(Command[None]):
    """Put a talk into an empty conversation, as if it had been held."""

    conversation: str
    talk: Sequence[Saying]
    #: How many tokens each message has, by which counter; None leaves that to the first prompt.
    counted: Sequence[int] | None = None
    counter: str | None = None

    @classmethod
    async def handle(cls, transaction: Transaction, commands: Sequence["WriteTalk"]) -> list[None]:
        for command in commands:
            await transaction.write(insert(messages), command.rows())
            await transaction.write(
                update(conversations)
                .where(conversations.c.id == bindparam("of_conversation"))
                .values(leaf=bindparam("new_leaf")),
                [{"of_conversation": command.conversation, "new_leaf": command.talk[-1].id}],
            )
        return [None] * len(commands)

    def rows(self) -> list[dict[str, Any]]:
        parents = [None, *(said.id for said in self.talk)]
        return [
            {
                "id": said.id,
                "conversation": self.conversation,
                "parent": parent,
                "role": said.role,
                "content": said.content,
                "depth": depth,
                "tokens": self.counted[depth - 1] if self.counted else None,
                "counter": self.counter,
                "change": 1,
                "created_at": depth,
            }
            for depth, (said, parent) in enumerate(zip(self.talk, parents, strict=False), 1)
        ]
