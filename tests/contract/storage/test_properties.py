"""Whatever is submitted, together or one after the other, numbers stay dense and the tree stays whole."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatserver.errors import ChatserverError, KeyReused
from chatserver.generation.ids import CONVERSATION, new_id
from chatserver.generation.principal import Principal
from chatserver.generation.states import Status
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.command import Command
from chatserver.storage.conversations import CreateConversation
from chatserver.storage.lifecycle import BeginAttempt, Cancel, Claim, Claimed, Finish
from chatserver.storage.records import Accepted, Generation, Message
from chatserver.storage.regenerating import Regenerate
from chatserver.storage.turns import AcceptTurn, Current
from tests.contract.storage.store import NOW, Store, again, begin, finish, key, opened, turn, work

KINDS = ["begin", "turn", "again", "change", "claim", "finish", "attempt", "cancel", "work"]
#: (kind, one of those there are, one of those there are, a key or none)
steps = st.tuples(
    st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5), st.sampled_from([None, None, "a", "b"])
)
groups = st.lists(st.lists(steps, min_size=1, max_size=8), min_size=1, max_size=8)
Run = Callable[[Callable[[Store, Principal], Awaitable[None]]], None]


@pytest.fixture
def run(database) -> Iterator[Run]:
    """Runs each example on one store, as a user of its own: opening a store takes longer than an example."""
    users = count()
    with asyncio.Runner() as runner:
        opening = AsyncExitStack()
        store = runner.run(opening.enter_async_context(opened(database)))
        yield lambda example: runner.run(example(store, Principal("home", f"user {next(users)}")))
        runner.run(opening.aclose())


def for_all(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    settings(max_examples=20, deadline=None)(given(strategy)(check))()


@dataclass
class Model:
    """What was made, and how many changes each conversation must have counted."""

    user: Principal
    conversations: list[str] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    others: Iterator[int] = field(default_factory=count)

    def command(self, step: tuple[str, int, int, str | None]) -> Command[object] | None:
        kind, one, other, name = step
        generation = self.generations[one % len(self.generations)] if self.generations else None
        if kind == "begin":
            return begin(principal=self.user, idempotency=name and key(name, "begin"))
        if kind == "work":
            return work(principal=self.user, idempotency=name and key(name, "work"), claimed=name is not None)
        if kind == "turn" and self.conversations:
            return self._turn(one, other, name)
        if generation is None:
            return None
        if generation.conversation is not None and kind in {"again", "change"}:
            return self._in_a_conversation(kind, generation, name)
        return {
            # Each by somebody else: the same one again would be a repeat, which gets the same answer.
            "claim": Claim(generation.id, f"me {next(self.others)}", other % 3, NOW),
            "finish": finish(generation, epoch=1 + other % 2, now_ms=NOW + next(self.others)),
            "attempt": BeginAttempt(generation.id, 1, 2 + other),
            "cancel": Cancel(generation.id, self.user, NOW),
        }.get(kind)

    def _turn(self, one: int, other: int, name: str | None) -> AcceptTurn:
        conversation = self.conversations[one % len(self.conversations)]
        answers = [each.message for each in self.generations if each.conversation == conversation]
        parent = [Current.LEAF, None, *answers][other % (2 + len(answers))]
        same = key(name, f"turn {conversation}") if name else None
        owner = "me" if other % 2 else None
        return turn(conversation, principal=self.user, parent=parent, owner=owner, idempotency=same)

    def _in_a_conversation(self, kind: str, generation: Generation, name: str | None) -> Command[object]:
        conversation, answer = generation.conversation, generation.message
        if kind == "change":
            changes = {"leaf": answer, "title": new_id(CONVERSATION)}
            return ChangeConversation(self.user, conversation, changes)
        same = key(name, f"again {conversation}") if name else None
        return again(conversation, answer, principal=self.user, idempotency=same)

    def note(self, command: Command[object], result: object) -> None:
        if isinstance(result, ChatserverError) or getattr(result, "replayed", None):
            return
        if isinstance(command, CreateConversation):
            self.conversations.append(command.id)
            self.changes[command.id] += 1
        elif isinstance(command, ChangeConversation):
            self.changes[command.conversation] += 1
        elif isinstance(result, Accepted):
            self.generations.append(result.generation)
            self.changes[result.generation.conversation] += 3 if isinstance(command, Regenerate) else 4
        elif isinstance(result, Claimed) or (isinstance(command, Finish) and result):
            moved = next(each for each in self.generations if each.id == command.generation_id)
            self.changes[moved.conversation] += 2


def test_any_interleaving_keeps_numbers_dense_and_the_tree_whole(run) -> None:
    def check_plan(plan: list[list[tuple[str, int, int, str | None]]]) -> None:
        async def example(store: Store, user: Principal) -> None:
            model = Model(user)
            for group in plan:
                await carry_out(store, model, group)
            for conversation in model.conversations:
                await check(store, user, conversation, model.changes[conversation])
            await check_generations(store, user, model.generations)

        run(example)

    for_all(groups, check_plan)


async def carry_out(store: Store, model: Model, group: list[tuple[str, int, int, str | None]]) -> None:
    commands = [command for step in group if (command := model.command(step))]
    results = await asyncio.gather(*(store.submit(command) for command in commands), return_exceptions=True)
    for command, result in zip(commands, results, strict=True):
        assert not isinstance(result, Exception) or isinstance(result, ChatserverError)
        model.note(command, result)


async def check(store: Store, user: Principal, conversation: str, expected: int) -> None:
    now = await store.conversations.get(user, conversation)
    changes = await store.conversations.changes(user, conversation, 0, 10_000)
    numbers = [change.number for change in changes]
    assert now.change == expected
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == now.change

    messages = {change.item.id: change.item for change in changes if isinstance(change.item, Message)}
    assert now.leaf is None or messages[now.leaf].role == "assistant"
    for message in messages.values():
        parent = messages[message.parent] if message.parent else None
        assert parent is None or parent.role != message.role
        assert message.versions == tuple(
            sorted(each.id for each in messages.values() if each.parent == message.parent)
        )
        assert (message.generation is None) == (message.role == "user")


async def unfinished_of(store: Store, user: Principal) -> list[Generation]:
    return [each for each in await store.generations.unfinished("", 1000) if each.principal == user]


async def check_generations(store: Store, user: Principal, made: list[Generation]) -> None:
    found = (await store.generations.page(user, None, 1000, None)).items
    assert {each.id for each in found} == {each.id for each in made}
    unfinished = [each.id for each in reversed(found) if not each.status.ended]
    assert [each.id for each in await unfinished_of(store, user)] == unfinished
    for generation in found:
        assert (generation.status is Status.QUEUED) == (generation.epoch == 0)
        assert (generation.result is not None) == generation.status.ended
        assert (generation.final is not None) == generation.status.ended


uses = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"]), st.sampled_from(["work", "turn"])),
    min_size=1,
    max_size=12,
)


def test_of_all_who_use_a_key_at_once_one_is_carried_out(run) -> None:
    def check_uses(uses: list[tuple[str, str, str]]) -> None:
        async def example(store: Store, user: Principal) -> None:
            conversation = await store.conversation(user)
            commands = [
                work(principal=user, idempotency=key(name, kind + body))
                if kind == "work"
                else turn(conversation, principal=user, parent=None, idempotency=key(name, kind + body))
                for name, body, kind in uses
            ]
            results = await asyncio.gather(
                *(store.submit(command) for command in commands), return_exceptions=True
            )
            outcomes = list(zip(commands, results, strict=True))
            names = {name for name, _, _ in uses}
            for name in names:
                check_key([outcome for outcome in outcomes if outcome[0].idempotency.key == name])
            assert len(await unfinished_of(store, user)) == len(names)

        run(example)

    for_all(uses, check_uses)


def check_key(outcomes: list[tuple[Command[object], object]]) -> None:
    accepted = [(command, result) for command, result in outcomes if isinstance(result, Accepted)]
    assert len({result.generation.id for _, result in accepted}) == 1
    assert sum(result.replayed is None for _, result in accepted) == 1
    assert len({command.idempotency.fingerprint for command, _ in accepted}) == 1
    refused = [result for _, result in outcomes if not isinstance(result, Accepted)]
    assert all(isinstance(refusal, KeyReused) for refusal in refused)
