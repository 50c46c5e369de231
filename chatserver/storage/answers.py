"""The place of an answer: its message, the generation that makes it, and the leaf that moves to it."""

from typing import Any, Protocol

from sqlalchemy import BigInteger, Text, bindparam, func, insert, update

from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Write
from chatserver.storage.numbering import Numbering
from chatserver.storage.records import Generation
from chatserver.storage.rows import columns_of_count, new_generation, row_of_generation
from chatserver.storage.tables import conversations, generations, messages

_TOUCH = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"))
    .values(
        leaf=bindparam("new_leaf", type_=Text),
        title=func.coalesce(conversations.c.title, bindparam("first_title", type_=Text)),
        change=bindparam("newest", type_=BigInteger),
        own_change=bindparam("number", type_=BigInteger),
        active_at=bindparam("now", type_=BigInteger),
    )
)


_ADD_MESSAGES, _ADD_GENERATIONS = insert(messages), insert(generations)


class NewAnswer(Protocol):
    """A command that has something answered."""

    @property
    def principal(self) -> Principal: ...
    @property
    def conversation(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def request(self) -> dict[str, Any]: ...
    @property
    def answer_id(self) -> str: ...
    @property
    def generation_id(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def claimed(self) -> bool: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def now_ms(self) -> int: ...


class Answers:
    """What a batch adds to conversations, each answer below its question."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        #: Rows in the order in which they refer to each other, those of questions among them.
        self.messages: list[dict[str, Any]] = []
        self._generations: list[dict[str, Any]] = []
        #: Conversation -> its own change, however many answers it gets.
        self._touched: dict[str, dict[str, Any]] = {}

    def add(
        self,
        command: NewAnswer,
        question: str,
        depth: int | None,
        *,
        retry_of: str | None = None,
        title: str | None = None,
    ) -> Generation:
        """Add an answer, which becomes its conversation's leaf; `title` is for one that has none yet."""
        self._add_message(command, question, depth)
        generation = self._add_generation(command, retry_of)
        before = self._touched.get(command.conversation, {})
        self._touched[command.conversation] = {
            "of_conversation": command.conversation,
            "new_leaf": command.answer_id,
            "first_title": before.get("first_title") or title,
            "number": self._numbering.next(command.conversation),
            "now": command.now_ms,
        }
        return generation

    async def save(self, transaction: Transaction, *beside: Write) -> None:
        """Write all of it, and `beside` it what else is added."""
        newest = [{"newest": self._numbering.newest(conversation)} for conversation in self._touched]
        touched = [row | number for row, number in zip(self._touched.values(), newest, strict=True)]
        await transaction.write_together(
            [
                (_ADD_MESSAGES, self.messages),
                (_ADD_GENERATIONS, self._generations),
                (_TOUCH, touched),
                *beside,
            ]
        )
        await self._numbering.save(transaction)

    def _add_message(self, command: NewAnswer, question: str, depth: int | None) -> None:
        self.messages.append(
            {
                "id": command.answer_id,
                "conversation": command.conversation,
                "parent": question,
                "role": "assistant",
                "content": "",
                "model": command.model,
                "ref": None,
                "depth": depth,
                **columns_of_count(None),
                "change": self._numbering.next(command.conversation),
                "created_at": command.now_ms,
            }
        )

    def _add_generation(self, command: NewAnswer, retry_of: str | None) -> Generation:
        generation = new_generation(
            id=command.generation_id,
            principal=command.principal,
            conversation=command.conversation,
            message=command.answer_id,
            model=command.model,
            request=command.request,
            owner=command.owner,
            claimed=command.claimed,
            lane=command.lane,
            retry_of=retry_of,
            change=self._numbering.next(command.conversation),
            now_ms=command.now_ms,
        )
        self._generations.append(row_of_generation(generation))
        return generation
