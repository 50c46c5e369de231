from itertools import product

import pytest

from chatserver.errors import IllegalMove
from chatserver.generation.states import MOVES, UNFINISHED, Lane, Reason, Status, check_move, final_status

ALLOWED = {
    (Status.QUEUED, Status.RUNNING),
    (Status.RUNNING, Status.RUNNING),
    (Status.RUNNING, Status.COMPLETED),
    (Status.RUNNING, Status.CANCELLED),
    (Status.RUNNING, Status.FAILED),
    (Status.RUNNING, Status.DEAD),
}
BAD_ENDS = [Reason.UPSTREAM_ERROR, Reason.UPSTREAM_TRUNCATED, Reason.INTERRUPTED, Reason.EXPIRED]


@pytest.mark.parametrize(("before", "after"), sorted(ALLOWED))
def test_a_generation_may_go_from(before, after):
    check_move(before, after)


@pytest.mark.parametrize(("before", "after"), sorted(set(product(Status, Status)) - ALLOWED))
def test_a_generation_never_goes_from(before, after):
    with pytest.raises(IllegalMove, match=f"from {before} to {after}"):
        check_move(before, after)


def test_every_state_has_its_moves():
    assert set(MOVES) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_a_state_is_an_end_exactly_if_nothing_follows_it(status):
    assert status.ended == (not MOVES[status])
    assert status.ended == (status not in UNFINISHED)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("spent", [False, True])
def test_whatever_the_reason_a_run_ends_in_an_end(reason, spent):
    status = final_status(reason, spent=spent)

    check_move(Status.RUNNING, status)
    assert status.ended


@pytest.mark.parametrize("spent", [False, True])
def test_what_came_to_its_end_is_completed_and_what_was_stopped_is_cancelled(spent):
    assert final_status(Reason.COMPLETED, spent=spent) is Status.COMPLETED
    assert final_status(Reason.LENGTH, spent=spent) is Status.COMPLETED
    assert final_status(Reason.CANCELLED, spent=spent) is Status.CANCELLED


@pytest.mark.parametrize("reason", BAD_ENDS)
def test_what_went_wrong_is_failed_or_dead_when_its_attempts_are_spent(reason):
    assert final_status(reason, spent=False) is Status.FAILED
    assert final_status(reason, spent=True) is Status.DEAD


def test_there_are_two_lanes():
    assert list(Lane) == ["interactive", "background"]
