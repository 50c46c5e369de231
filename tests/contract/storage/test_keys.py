import asyncio
from dataclasses import replace

import pytest

from chatserver.errors import KeyReused, TurnInProgress
from chatserver.storage.keys import KEPT_MS, ForgetKeys, Repeats
from tests.contract.storage.store import ALICE, BOB, NOW, begin, finish, key, reply, turn, work


async def test_a_repeat_gets_the_stored_answer_and_makes_nothing(store) -> None:
    conversation = await store.conversation()
    first = await store.submit(turn(conversation, idempotency=key("k")))
    # A turn is in progress there, but the key is looked up before that.
    again = await store.submit(turn(conversation, idempotency=key("k")))
    assert first.replayed is None
    assert again == replace(first, replayed=reply(first))
    assert (await store.conversations.get(ALICE, conversation.id)).change == 5


async def test_a_repeat_shows_the_generation_as_it_is_now(store) -> None:
    conversation = await store.conversation()
    command = turn(conversation, idempotency=key("k"))
    first = await store.submit(command)
    await store.submit(finish(first.generation, "Done."))
    again = await store.submit(turn(conversation, idempotency=key("k")))
    assert again.generation == await store.generations.get(ALICE, first.generation.id)
    assert again.message == first.message
    assert again.replayed == reply(first)


async def test_conversations_and_handed_in_work_repeat_too(store) -> None:
    created = await store.submit(begin(idempotency=key("c")))
    again = await store.submit(begin(idempotency=key("c")))
    assert again == replace(created, replayed=reply(created.conversation))

    accepted = await store.submit(work(idempotency=key("w")))
    repeated = await store.submit(work(idempotency=key("w")))
    assert repeated == replace(accepted, replayed=reply(accepted))
    assert len(await store.generations.unfinished("", 50)) == 1


async def test_a_key_for_something_else_is_refused(store) -> None:
    conversation = await store.conversation()
    await store.submit(begin(idempotency=key("k")))
    for command in (
        begin(idempotency=key("k", "other")),
        turn(conversation, idempotency=key("k", "other")),
        work(idempotency=key("k", "other")),
        # Even if it claims to be the same.
        turn(conversation, idempotency=key("k")),
    ):
        with pytest.raises(KeyReused):
            await store.submit(command)


async def test_keys_are_each_users_own(store) -> None:
    first = await store.submit(work(idempotency=key("k")))
    second = await store.submit(work(idempotency=key("k", "other"), principal=BOB))
    assert second.replayed is None
    assert first.generation.id != second.generation.id


async def test_of_equals_in_one_group_the_second_gets_the_firsts_answer(store) -> None:
    conversation = await store.conversation()
    one, two, three = await asyncio.gather(
        store.submit(turn(conversation, idempotency=key("k"))),
        store.submit(turn(conversation, idempotency=key("k"))),
        store.submit(turn(conversation, idempotency=key("k", "other"))),
        return_exceptions=True,
    )
    assert store.groups[-1] == 3
    assert two == replace(one, replayed=reply(one))
    assert isinstance(three, KeyReused)


async def test_what_is_refused_leaves_its_key_free(store) -> None:
    conversation = await store.conversation()
    running = await store.turn(conversation)
    with pytest.raises(TurnInProgress):
        await store.submit(turn(conversation, idempotency=key("k")))
    await store.submit(finish(running.generation))
    assert (await store.submit(turn(conversation, idempotency=key("k", "other")))).replayed is None


async def test_a_key_is_good_for_24_hours(store) -> None:
    first = await store.submit(work(idempotency=key("k")))
    just = await store.submit(work(idempotency=key("k"), now_ms=NOW + KEPT_MS - 1))
    assert just.generation.id == first.generation.id
    later = await store.submit(work(idempotency=key("k", "other"), now_ms=NOW + KEPT_MS))
    assert later.replayed is None
    # It stands for the newer one from now on.
    again = await store.submit(work(idempotency=key("k", "other"), now_ms=NOW + KEPT_MS + 1))
    assert again.generation.id == later.generation.id


async def test_old_keys_are_forgotten(store) -> None:
    old = await store.submit(work(idempotency=key("old")))
    await store.submit(work(idempotency=key("new"), now_ms=NOW + 1))
    assert await store.submit(ForgetKeys(NOW + 1)) == 1
    assert await store.submit(ForgetKeys(NOW + 1)) == 0
    assert (await store.submit(work(idempotency=key("old")))).generation.id != old.generation.id
    assert (await store.submit(work(idempotency=key("new")))).replayed is not None


async def test_a_key_can_be_looked_up_before_anything_else(store) -> None:
    repeats = Repeats(store.database)
    assert await repeats.find(ALICE, key("k"), NOW) is None
    accepted = await store.submit(work(idempotency=key("k")))
    assert await repeats.find(ALICE, key("k"), NOW) == reply(accepted)
    assert await repeats.find(ALICE, key("k"), NOW + KEPT_MS) is None
    assert await repeats.find(BOB, key("k"), NOW) is None
    with pytest.raises(KeyReused):
        await repeats.find(ALICE, key("k", "other"), NOW)
