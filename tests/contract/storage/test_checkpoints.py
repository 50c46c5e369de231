from chatserver.generation.pieces import Channel
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.instances import HandOver
from chatserver.storage.lifecycle import BeginAttempt, Claim, Claimed
from chatserver.storage.records import TextSoFar
from tests.contract.storage.store import NOW, finish


async def save(store, *parts: Part) -> None:
    assert await store.submit(Checkpoint(parts)) is None


async def test_parts_are_joined_by_channel_in_order(store) -> None:
    one, two = await store.work(owner="me", claimed=True), await store.work(owner="me", claimed=True)
    await save(
        store,
        Part(one.id, 1, 1, 0, Channel.THINKING, "Hm"),
        Part(one.id, 1, 1, 1, Channel.ANSWER, "Hel"),
        Part(two.id, 1, 1, 0, Channel.ANSWER, "Other"),
    )
    await save(store, Part(one.id, 1, 1, 2, Channel.ANSWER, "lo"))
    assert await store.generations.text_so_far(one.id) == TextSoFar(1, "Hello", "Hm")
    assert await store.generations.text_so_far(two.id) == TextSoFar(1, "Other", "")


async def test_there_is_no_text_before_the_first_part(store) -> None:
    assert await store.generations.text_so_far((await store.work(owner="me", claimed=True)).id) is None


async def test_only_the_newest_attempt_counts(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    await save(store, Part(generation.id, 1, 1, 0, Channel.ANSWER, "First"))
    await store.submit(BeginAttempt(generation.id, 1, 2))
    assert await store.generations.text_so_far(generation.id) == TextSoFar(1, "First", "")
    await save(store, Part(generation.id, 1, 2, 0, Channel.ANSWER, "Second"))
    assert await store.generations.text_so_far(generation.id) == TextSoFar(2, "Second", "")


async def test_parts_under_another_epoch_are_left_out(store) -> None:
    generation, other = (
        await store.work(owner="old", claimed=True),
        await store.work(owner="old", claimed=True),
    )
    await store.submit(Claim(generation.id, "new", 1, NOW))
    await save(
        store,
        Part(generation.id, 1, 1, 0, Channel.ANSWER, "Stale"),
        Part(other.id, 1, 1, 0, Channel.ANSWER, "Good"),
    )
    assert await store.generations.text_so_far(generation.id) is None
    assert await store.generations.text_so_far(other.id) == TextSoFar(1, "Good", "")


async def test_parts_of_what_has_ended_or_does_not_run_are_left_out(store) -> None:
    ended, waiting = await store.work(owner="me", claimed=True), await store.work()
    await store.submit(finish(ended))
    await save(
        store,
        Part(ended.id, 1, 1, 0, Channel.ANSWER, "Late"),
        Part(waiting.id, 0, 0, 0, Channel.ANSWER, "Early"),
        Part("gen_missing", 1, 1, 0, Channel.ANSWER, "Nowhere"),
    )
    assert await store.generations.text_so_far(ended.id) is None
    assert await store.generations.text_so_far(waiting.id) is None


async def test_a_part_that_is_saved_again_is_there_once(store) -> None:
    generation = await store.work(owner="me", claimed=True)
    part = Part(generation.id, 1, 1, 0, Channel.ANSWER, "Once")
    await save(store, part, part)
    await save(store, part)
    assert await store.generations.text_so_far(generation.id) == TextSoFar(1, "Once", "")


async def test_nothing_is_saved_of_nothing(store) -> None:
    await save(store)


async def test_an_attempt_that_was_handed_over_and_is_made_anew_has_parts_of_its_own(store) -> None:
    generation = await store.work(owner="old", claimed=True)
    await save(store, Part(generation.id, 1, 1, 0, Channel.ANSWER, "Hel"))
    await store.submit(HandOver(generation.id, "old"))
    assert await store.submit(Claim(generation.id, "new", 1, NOW)) == Claimed(2, 1, cancel=False)
    assert await store.generations.text_so_far(generation.id) == TextSoFar(1, "Hel", "")
    await save(store, Part(generation.id, 2, 1, 0, Channel.ANSWER, "Hello"))
    assert await store.generations.text_so_far(generation.id) == TextSoFar(1, "Hello", "")
