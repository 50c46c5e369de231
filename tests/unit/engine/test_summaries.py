from dataclasses import replace

import pytest

from chatserver.engine.chores import Answered
from chatserver.engine.summaries import Summarise
from chatserver.storage.records import Conversation
from chatserver.storage.summaries import SetSummary
from tests.unit.engine.talks import answered, chores_of
from tests.unit.works import ALICE, MODEL, Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOLD = "My dog's name is Biscuit."
PLAIN = "It is a nice day and there is much to tell of."


def errand(works: Works) -> Summarise:
    parts = works.parts
    return Summarise(
        chores_of(works), parts.prompts, parts.store.summaries, parts.metrics, parts.settings.housekeeping
    )


async def talk(works: Works, *said: str) -> tuple[Conversation, list[Answered]]:
    conversation = await works.converse()
    return conversation, [await answered(works, conversation, text, PLAIN) for text in said]


def left(about: Answered, last: Answered, count: int) -> Answered:
    """The answer, with a report that says what its window left out."""
    return replace(about, context={"left_out": count, "left_out_to": last.message})


async def summary(works: Works, about: Answered):
    return await works.parts.store.summaries.on_branch(about.conversation, about.message)


def figure(works: Works, name: str) -> float:
    lines = works.parts.metrics.render().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"chatserver_{name}_total")
    )


async def test_what_has_left_the_window_becomes_a_summary(alone) -> None:
    _, answers = await talk(alone, TOLD, PLAIN, PLAIN, "And now?")
    await errand(alone).run(left(answers[3], answers[2], 6))
    made = await summary(alone, answers[3])
    assert "Biscuit" in made.text
    assert (made.message, made.covers, made.by_hand) == (answers[2].message, 6, False)
    assert figure(alone, "summaries_made") == 1
    assert figure(alone, "summaries_refused") == 0


async def test_the_next_one_goes_on_from_the_last_and_reads_only_what_came_since(alone) -> None:
    conversation, answers = await talk(alone, TOLD, PLAIN, PLAIN, "And now?")
    following = errand(alone)
    await following.run(left(answers[3], answers[2], 6))
    more = [await answered(alone, conversation, f"My cat's name is Number{n}.", PLAIN) for n in range(3)]
    await following.run(left(more[2], more[1], 6))
    made = await summary(alone, more[2])
    assert "Biscuit" in made.text
    assert "Number1" in made.text
    assert made.covers == 12
    asked = (await alone.bodies(1))[0]["messages"][1]["content"]
    assert asked.startswith("Summary so far:\n")
    assert TOLD not in asked


async def test_a_few_messages_are_waited_for(alone) -> None:
    _, answers = await talk(alone, TOLD, PLAIN, "And now?")
    following = errand(alone)
    await following.run(left(answers[2], answers[1], 4))
    await following.run(replace(answers[2], context={"left_out": 0, "left_out_to": None}))
    # What the report says is left out may have got its summary meanwhile.
    await following.run(left(answers[2], answers[1], 5))
    assert await summary(alone, answers[2]) is None
    assert (await alone.stats())["requests"].get("/api/chat", 0) == 0


async def test_a_summary_set_by_hand_is_what_the_next_one_goes_on_from(alone) -> None:
    conversation, answers = await talk(alone, PLAIN, PLAIN, PLAIN, "And now?")
    words = SetSummary(ALICE, conversation.id, "- Code word: Heron", 1)
    await alone.parts.store.writer.submit(words)
    await errand(alone).run(left(answers[3], answers[2], 6))
    made = await summary(alone, answers[3])
    assert (made.by_hand, made.covers) == (False, 6)
    assert "- Code word: Heron" in made.text


async def test_a_summary_set_by_hand_meanwhile_stays(alone) -> None:
    conversation, answers = await talk(alone, TOLD, PLAIN, PLAIN, "And now?")
    following = errand(alone)
    made_by_model = following.chores.make

    class Meanwhile:
        writer, clock = following.chores.writer, following.chores.clock

        async def make(self, *args):
            made = await made_by_model(*args)
            words = SetSummary(ALICE, conversation.id, "Mine", 1)
            await self.writer.submit(words)
            return made

    await replace(following, chores=Meanwhile()).run(left(answers[3], answers[2], 6))
    assert (await summary(alone, answers[3])).text == "Mine"
    assert figure(alone, "summaries_made") == 0
    assert (
        'chatserver_summaries_refused_total{reason="overtaken"} 1.0' in alone.parts.metrics.render().decode()
    )


#: The simulated model takes this for an order to say so many words of its own.
SPOILED = "I met Ana, Rui and Eva in Oslo. [[tokens=30]]"


async def test_a_candidate_that_is_refused_is_asked_for_once_more_and_the_old_one_stays(alone) -> None:
    conversation, answers = await talk(alone, TOLD, PLAIN, PLAIN, "And now?")
    following = errand(alone)
    await following.run(left(answers[3], answers[2], 6))
    old = await summary(alone, answers[3])
    more = [await answered(alone, conversation, SPOILED, PLAIN) for n in range(3)]
    await following.run(left(more[2], more[1], 6))
    assert await summary(alone, more[2]) == old
    assert (await alone.stats())["requests"]["/api/chat"] == 3
    first, second = ("".join(one["content"] for one in body["messages"]) for body in await alone.bodies(2))
    assert "lacked too much" in second
    assert "lacked too much" not in first
    assert 'summaries_refused_total{reason="facts_lost"} 2.0' in alone.parts.metrics.render().decode()


async def test_the_next_try_after_a_failure_comes_five_messages_later_and_takes_them_all(alone) -> None:
    conversation, answers = await talk(alone, SPOILED, PLAIN, PLAIN, "And now?")
    following = errand(alone)
    await following.run(left(answers[3], answers[2], 6))
    assert (await alone.stats())["requests"]["/api/chat"] == 2
    await following.run(left(answers[3], answers[2], 8))
    assert (await alone.stats())["requests"]["/api/chat"] == 2
    more = [await answered(alone, conversation, TOLD, PLAIN) for n in range(3)]
    await following.run(left(more[2], more[2], 14))
    assert (await alone.stats())["requests"]["/api/chat"] > 2
    asked = (await alone.bodies(1))[0]["messages"][1]["content"]
    assert SPOILED in asked
    assert TOLD in asked


async def test_long_messages_are_cut_to_what_a_summary_may_cost(alone) -> None:
    long = "begin " + "and so on " * 3000 + "end"
    conversation = await alone.converse()
    answers = [await answered(alone, conversation, long, long) for _ in range(3)]
    await errand(alone).run(left(answers[2], answers[2], 6))
    [body] = await alone.bodies(1)
    asked = body["messages"][1]["content"]
    assert asked.count("begin ") == 6
    assert asked.count("shortened") == 6
    limit = alone.parts.settings.housekeeping.summary_input_tokens
    assert alone.parts.prompts.measures.at_hand(MODEL).counter.count(asked) <= limit + 50
