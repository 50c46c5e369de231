from chatserver.engine.job import Job
from chatserver.engine.jobs import Jobs
from chatserver.generation.feed import Feed
from chatserver.generation.states import Lane
from tests.unit.works import ALICE, BOB, MODEL


def job(name: str, principal=ALICE, **more) -> Job:
    return Job(name, principal, MODEL, Lane.INTERACTIVE, Feed(name), **more)


def test_a_job_is_found_and_counted_until_it_is_removed() -> None:
    jobs, hers, his = Jobs(), job("a"), job("b", BOB)
    jobs.add(hers)
    jobs.add(his)
    assert (list(jobs), len(jobs), jobs.get("b")) == ([hers, his], 2, his)
    assert [jobs.unfinished(each.account) for each in (hers, his)] == [1, 1]
    jobs.remove(hers)
    assert (list(jobs), jobs.get("a"), jobs.unfinished(hers.account)) == ([his], None, 0)


def test_those_that_are_housekeeping_are_known_apart() -> None:
    jobs, turn, chore = Jobs(), job("a"), job("b", account="chores", chore=True)
    jobs.add(turn)
    jobs.add(chore)
    assert jobs.chores() == [chore]
    jobs.remove(chore)
    assert jobs.chores() == []


def test_jobs_may_come_and_go_while_they_are_gone_through() -> None:
    jobs = Jobs()
    for name in "abc":
        jobs.add(job(name))
    for each in jobs:
        jobs.remove(each)
    assert len(jobs) == 0
