import pytest

from chatserver.engine.job import Job
from chatserver.generation.feed import Feed
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Reason


@pytest.fixture
def job() -> Job:
    return Job("gen_1", Principal("default", "alice"), "m", Lane.INTERACTIVE, Feed("gen_1"))


def test_a_stop_reaches_whoever_works_on_it_once_and_the_first_reason_counts(job) -> None:
    told: list[str] = []
    job.on_stop(lambda: told.append("run"))
    job.stop(Reason.EXPIRED)
    job.stop(Reason.CANCELLED)
    assert (told, job.stopped) == (["run"], Reason.EXPIRED)


def test_a_stop_that_came_before_reaches_whoever_works_on_it_next(job) -> None:
    told: list[str] = []
    job.stop(Reason.CANCELLED)
    job.on_stop(lambda: told.append("queue"))
    job.on_stop(None)
    job.on_stop(lambda: told.append("run"))
    assert told == ["queue", "run"]


def test_nobody_is_told_who_works_on_it_no_longer(job) -> None:
    told: list[str] = []
    job.on_stop(lambda: told.append("run"))
    job.on_stop(None)
    job.stop(Reason.CANCELLED)
    assert (told, job.stopped) == ([], Reason.CANCELLED)
