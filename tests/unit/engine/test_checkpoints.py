import asyncio

import pytest

from chatserver.engine.checkpoints import Checkpoints, growth
from chatserver.engine.job import Job
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Reset, Started
from chatserver.generation.states import Lane
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.works import ALICE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


def job_at(attempt: int, *pieces: object) -> Job:
    job = Job("gen_1", ALICE, "m", Lane.INTERACTIVE, Feed("gen_1"))
    job.epoch, job.attempt = 1, attempt
    job.feed.begin(1, 0)
    for piece in pieces:
        job.feed.add(piece)  # type: ignore[arg-type]
    return job


def parts_of(job: Job) -> list[tuple[int, int, str, str]]:
    return [(part.attempt, part.seq, part.channel.value, part.text) for part in growth(job)]


def answer(text: str) -> Delta:
    return Delta(Channel.ANSWER, text)


async def test_the_growth_of_a_text_is_what_came_since_joined_by_channel() -> None:
    job = job_at(
        1, Started("m", 1), Delta(Channel.THINKING, "hm "), Delta(Channel.THINKING, "ah"), answer("a")
    )
    assert parts_of(job) == [(1, 0, "thinking", "hm ah"), (1, 1, "answer", "a")]
    job.saved = (1, job.feed.log.top, 2)
    assert parts_of(job) == []
    job.feed.extend([answer("b"), answer("c")])
    assert parts_of(job) == [(1, 2, "answer", "bc")]


async def test_of_a_new_attempt_nothing_of_the_old_one_counts() -> None:
    job = job_at(1, Started("m", 1), answer("old"))
    job.saved = (1, job.feed.log.top, 1)
    job.feed.extend([Reset(), Started("m", 2), answer("new")])
    job.attempt = 2
    assert parts_of(job) == [(2, 0, "answer", "new")]


async def text_on_disk(works: Works, generation: str) -> tuple[int, str] | None:
    saved = await works.parts.store.generations.text_so_far(generation)
    return saved and (saved.attempt, saved.answer)


async def test_what_runs_is_saved_as_it_grows_and_gone_when_it_has_ended(works) -> None:
    generation = await works.accept(STALLED)
    log = await works.answering(generation)
    assert await text_on_disk(works, generation) is None
    for _ in range(2):
        await works.parts.checkpoints.save()
        assert await text_on_disk(works, generation) == (1, log.text(Channel.ANSWER))
    works.engine.cancel(generation)
    await works.ended(generation)
    await works.parts.checkpoints.save()
    assert await text_on_disk(works, generation) is None


async def test_all_that_runs_is_saved_in_one_commit(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=4) as works:
        generations = [await works.accept(STALLED) for _ in range(4)]
        for generation in generations:
            await works.answering(generation)
        metrics = works.parts.metrics.registry
        before = metrics.get_sample_value("chatserver_commit_seconds_count")
        await works.parts.checkpoints.save()
        assert metrics.get_sample_value("chatserver_commit_seconds_count") == (before or 0) + 1
        assert all([await text_on_disk(works, generation) for generation in generations])
        await works.parts.checkpoints.save()
        assert metrics.get_sample_value("chatserver_commit_seconds_count") == (before or 0) + 1


async def test_what_could_not_be_saved_is_saved_with_the_next_round(tmp_path) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept(STALLED)
        text = (await works.answering(generation)).text(Channel.ANSWER)
        async with works.store_away():
            await works.parts.checkpoints.save()
        assert await text_on_disk(works, generation) is None
        await works.parts.checkpoints.save()
        assert await text_on_disk(works, generation) == (1, text)


async def test_a_round_just_before_a_new_attempt_saves_nothing_under_its_number(tmp_path) -> None:
    """Between asking for an attempt and its beginning the store has to answer; rounds go on meanwhile."""
    slow = SimulatorOptions(first_token_ms=30)
    async with working(tmp_path, slow, generation__retry_first_delay_s=0) as works:
        generation = await works.accept("[[fault=cut]] [[tokens=8]]", lane=Lane.BACKGROUND)
        async with works.writer_held():
            async with asyncio.timeout(5):
                while not works.parts.store.writer._waiting:  # noqa: ASYNC110 - the writer tells nobody
                    await asyncio.sleep(0.001)
            (job,) = works.engine.jobs()
            begun = [piece.attempt for _, piece in job.feed.log.since(0) if isinstance(piece, Started)]
            assert [part.attempt for part in growth(job)] == begun
        await works.ended(generation)


async def test_rounds_go_on_by_themselves(works) -> None:
    generation = await works.accept(STALLED)
    text = (await works.answering(generation)).text(Channel.ANSWER)
    rounds = asyncio.create_task(Checkpoints(works.engine.jobs, works.parts.store.writer, 0.001).run())
    async with asyncio.timeout(5):
        while await text_on_disk(works, generation) is None:  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.001)
    assert await text_on_disk(works, generation) == (1, text)
    rounds.cancel()
