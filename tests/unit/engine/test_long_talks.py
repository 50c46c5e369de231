import pytest

from loadtests.talks import FACT, Saying, WriteTalk, make_talk
from tests.unit.works import MODEL, Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

SYSTEM = "You are a patient friend who remembers what was said and answers in short, plain sentences."
QUESTIONS = (
    "Thanks! [[tokens=1]]",
    "Compare it with a river. [[tokens=1]]",
    "Recap it all so far. [[tokens=1]]",
)


async def full_history(works: Works, talk: list[Saying]) -> int:
    count = (await works.parts.prompts.measures.of(MODEL)).counter.count
    return count(SYSTEM) + sum(count(said.content) for said in talk)


@pytest.mark.parametrize("length", [10, 40, 100, 260, 500])
async def test_a_long_talk_is_asked_about_within_the_budget_as_the_model_counts_it(works, length) -> None:
    talk = make_talk(length, length)
    assert FACT in talk[0].content
    full = await full_history(works, talk)
    for question in QUESTIONS:
        conversation = await works.converse(system=SYSTEM)
        written = [Saying(f"{said.id}{question[0]}", said.role, said.content) for said in talk]
        await works.parts.store.writer.submit(WriteTalk(conversation.id, written))
        generation = await works.turn(conversation, question)
        await works.ended(generation)
        await works.idle()
        record = await works.record(generation)
        assert record.usage is not None
        assert record.context is not None
        sent, report = record.usage.prompt_tokens, record.context
        assert sent <= report["tokens"]["total"] <= report["budget"]["total"] == 4000
        # Before the template is learned, rather too much is expected of it.
        assert report["tokens"]["total"] - sent <= max(24, 0.02 * sent)
        assert report["exact"]
        if full > 10_000:
            assert sent <= 0.4 * full
        shown = len(report["kept"]) + len([name for name in report["cut"] if name.startswith("msg_")])
        assert shown + report["left_out"] == length + 1


async def test_messages_of_a_talk_are_between_five_and_six_hundred_tokens(works) -> None:
    count = (await works.parts.prompts.measures.of(MODEL)).counter.count
    sizes = [count(said.content) for said in make_talk(500, 500)]
    assert min(sizes) >= 5
    assert max(sizes) <= 600
