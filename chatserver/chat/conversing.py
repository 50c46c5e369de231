"""Conversations: beginning one, sending a turn, reading what is there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatserver.access.allowance import Caller
from chatserver.chat.accepting import Accepting, Receipt
from chatserver.chat.choices import Choices
from chatserver.chat.idempotency import idempotency
from chatserver.chat.resources import ConversationResource, GenerationResource, MessageResource
from chatserver.context.titling import first_words
from chatserver.engine.prompts import Prompts
from chatserver.errors import Invalid, ModelChanged
from chatserver.generation.clock import Clock
from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, new_id
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.storage.conversations import Conversations, CreateConversation
from chatserver.storage.messages import Messages
from chatserver.storage.records import Accepted, Chosen, Conversation, Message, Page, Stored
from chatserver.storage.turns import AcceptTurn, Current
from chatserver.storage.words import sought_in
from chatserver.storage.writer import Writer
from chatserver.upstream.fleet import Fleet

_CREATED = 201
_ACCEPTED = 202


@dataclass(frozen=True, slots=True)
class Turn:
    """What a person sends."""

    content: str
    #: The answer it follows; None for none, so that even the first question can be edited.
    parent: str | Current | None = Current.LEAF
    model: str | None = None
    options: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """Give what tells this turn from another one sent under the same key."""
        parent = {} if self.parent is Current.LEAF else {"parent": self.parent}
        return {"content": self.content, "model": self.model, "options": self.options, **parent}


@dataclass(frozen=True)
class Conversing:
    accepting: Accepting
    fleet: Fleet
    writer: Writer
    conversations: Conversations
    choices: Choices
    messages: Messages
    prompts: Prompts
    clock: Clock
    most_characters: int

    async def create(
        self,
        caller: Caller,
        title: str | None,
        model: str | None,
        system: str | None,
        key: str | None,
    ) -> Receipt:
        body = {"title": title, "model": model, "system": system}
        known_by = idempotency(key, "create_conversation", "", body)

        async def create() -> Receipt:
            created = await self.writer.submit(
                CreateConversation(
                    id=new_id(CONVERSATION),
                    principal=caller.principal,
                    title=title,
                    model=model,
                    system=system,
                    now_ms=self.clock.wall_ms(),
                    idempotency=known_by,
                    reply=_created,
                )
            )
            self.choices.note(created.conversation)
            stored = created.replayed or _created(created.conversation)
            return Receipt(stored.status, stored.body)

        return await self.accepting.allowed(caller, known_by, create)

    async def send(
        self,
        caller: Caller,
        conversation: str,
        turn: Turn,
        key: str | None,
        check_reader: Callable[[], None] = lambda: None,
    ) -> Receipt:
        """Accept a turn: question, answer's place and generation are on disk when this returns.

        `check_reader` refuses a turn whose answer couldn't be followed; a repeat is known before that.
        """
        self._check_length(turn.content)
        known_by = idempotency(key, "send", conversation, turn.body())

        async def prepare() -> AcceptTurn:
            check_reader()
            model, assumed = await self._model(caller.principal, conversation, turn)
            return AcceptTurn(
                principal=caller.principal,
                conversation=conversation,
                content=turn.content,
                parent=turn.parent,
                model=model,
                request={"options": turn.options} if turn.options else {},
                message_id=new_id(MESSAGE),
                answer_id=new_id(MESSAGE),
                generation_id=new_id(GENERATION),
                owner=self.accepting.engine.owner,
                claimed=False,
                lane=Lane.INTERACTIVE,
                ref=key,
                idempotency=known_by,
                title=first_words(turn.content),
                reply=accepted_turn,
                now_ms=self.clock.wall_ms(),
                counted=await self.prompts.count(model, turn.content),
                assumed=assumed,
            )

        try:
            return await self.accepting.accept(caller, known_by, prepare)
        except ModelChanged:
            # Read anew, and counted as one more message: that is seldom enough.
            self.choices.forget(conversation)
            return await self.accepting.accept(caller, known_by, prepare)

    async def get(self, principal: Principal, conversation: str) -> Conversation:
        return await self.conversations.get(principal, conversation)

    async def page(
        self, principal: Principal, limit: int, cursor: str | None, search: str | None = None
    ) -> Page[Conversation]:
        """Give the conversations that were active last, or those of them in which all the words stand."""
        if search is None or not search.strip():
            return await self.conversations.page(principal, limit, cursor)
        sought = sought_in(search)
        # What has no letter and no digit stands nowhere.
        return await self.conversations.page(principal, limit, cursor, sought) if sought else Page((), None)

    async def branch(
        self, principal: Principal, conversation: str, leaf: str | None, before: str | None, limit: int
    ) -> Page[Message]:
        return await self.messages.branch(principal, conversation, leaf, before, limit)

    async def _model(self, principal: Principal, conversation: str, turn: Turn) -> tuple[str, Chosen | None]:
        """Find the model, and what was only assumed for that."""
        if turn.model:
            return turn.model, None
        assumed = self.choices.recall(principal, conversation)
        chosen = assumed or await self.choices.read(principal, conversation)
        return chosen.model or await self.fleet.default_model(), assumed

    def _check_length(self, content: str) -> None:
        if not content.strip():
            raise Invalid("A message needs some text.", field="content")
        if len(content) > self.most_characters:
            raise Invalid(
                f"A message may have {self.most_characters} characters; this one has {len(content)}.",
                field="content",
                limit=self.most_characters,
                setting="content_characters",
            )


def accepted_turn(accepted: Accepted) -> Stored:
    assert accepted.message is not None
    message = MessageResource.of(accepted.message).model_dump_json()
    generation = GenerationResource.of(accepted.generation).model_dump_json()
    # Written straight away: as values for another encoder they took twice as long.
    return Stored(_ACCEPTED, f'{{"message":{message},"generation":{generation}}}'.encode())


def _created(conversation: Conversation) -> Stored:
    return Stored(_CREATED, ConversationResource.of(conversation).model_dump_json().encode())
