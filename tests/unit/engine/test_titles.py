import asyncio

import pytest

from chatserver.engine.titles import Entitle
from chatserver.storage.changing import ChangeConversation
from tests.unit.engine.talks import answered, chores_of
from tests.unit.works import ALICE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


def entitle(works: Works) -> Entitle:
    store = works.parts.store
    return Entitle(chores_of(works), store.conversations, store.messages, works.parts.metrics)


async def title(works: Works, conversation: str) -> str | None:
    return (await works.parts.store.conversations.get(ALICE, conversation)).title


async def change_title(works: Works, conversation: str, to: str | None) -> None:
    await works.parts.store.writer.submit(ChangeConversation(ALICE, conversation, {"title": to}))


async def test_a_model_makes_a_title_of_question_and_answer(alone) -> None:
    conversation = await alone.converse()
    about = await answered(alone, conversation, "How do I bake bread with rye?", "With rye flour.")
    assert await title(alone, conversation.id) == "How do I bake bread with rye?"
    before = (await alone.parts.store.conversations.get(ALICE, conversation.id)).change
    await entitle(alone).run(about)
    assert await title(alone, conversation.id) == "Bake bread rye flour"
    [told] = await alone.parts.store.conversations.changes(ALICE, conversation.id, before, 10)
    assert (told.kind, told.item.title) == ("conversation", "Bake bread rye flour")
    assert b"chatserver_titles_made_total 1.0" in alone.parts.metrics.render()


async def test_a_conversation_gets_one_title_and_no_other(alone) -> None:
    conversation = await alone.converse()
    errand = entitle(alone)
    await errand.run(await answered(alone, conversation, "How do I bake bread?", "In an oven."))
    first = await title(alone, conversation.id)
    await errand.run(await answered(alone, conversation, "And how do I sail?", "With wind."))
    assert await title(alone, conversation.id) == first
    assert (await alone.stats())["requests"]["/api/chat"] == 1


async def test_a_title_that_somebody_has_set_is_left_alone(alone) -> None:
    conversation = await alone.converse()
    await change_title(alone, conversation.id, "Mine")
    await entitle(alone).run(await answered(alone, conversation, "How do I bake bread?", "In an oven."))
    assert await title(alone, conversation.id) == "Mine"
    assert (await alone.stats())["requests"].get("/api/chat", 0) == 0


async def test_a_title_that_somebody_sets_meanwhile_is_left_alone(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        conversation = await works.converse()
        about = await answered(works, conversation, "How do I bake bread?", "In an oven.")
        # The title waits for the only slot.
        busy = await works.accept("[[fault=stall]] [[tokens=8]]")
        await works.answering(busy)
        making = asyncio.create_task(entitle(works).run(about))
        await asyncio.sleep(0)
        await change_title(works, conversation.id, "Mine")
        works.engine.cancel(busy)
        await making
        assert await title(works, conversation.id) == "Mine"
        assert b"chatserver_titles_made_total 0.0" in works.parts.metrics.render()


async def test_a_title_that_was_taken_back_is_made_anew(alone) -> None:
    conversation = await alone.converse()
    errand = entitle(alone)
    await errand.run(await answered(alone, conversation, "How do I bake bread?", "In an oven."))
    await change_title(alone, conversation.id, None)
    about = await answered(alone, conversation, "And how do I sail?", "With wind.")
    assert await title(alone, conversation.id) == "And how do I sail?"
    await errand.run(about)
    assert await title(alone, conversation.id) == "Sail wind"


async def test_what_is_no_title_is_not_taken_and_not_tried_for_ever(alone) -> None:
    conversation = await alone.converse()
    errand = entitle(alone)
    for number in range(5):
        # The model says something in English.
        question = f"Расскажи мне, как испечь ржаной хлеб, {number} [[tokens=5]]"
        await errand.run(await answered(alone, conversation, question, "Не знаю."))
    assert await title(alone, conversation.id) == "Расскажи мне, как испечь ржаной хлеб, 0 [[tokens=5]]"
    assert (await alone.stats())["requests"]["/api/chat"] == 3
