import pytest

from chatserver.upstream.simulator.pace import MOST_AT_ONCE, Pace


def test_nothing_is_ready_before_the_first_token_is_due() -> None:
    assert Pace(first=10, rate=50).ready(0, 9.9) == 0
    assert Pace(first=10, rate=None).ready(0, 9.9) == 0


def test_tokens_are_due_at_a_steady_rate_from_the_first() -> None:
    pace = Pace(first=10, rate=50)
    assert [pace.due(number) for number in (0, 1, 50)] == pytest.approx([10, 10.02, 11])
    assert [pace.ready(sent, 10.0401) for sent in (0, 1, 2, 3)] == [3, 2, 1, 0]


def test_a_late_wake_up_does_not_lower_the_rate() -> None:
    pace, sent, now = Pace(first=0, rate=50), 0, 0.0
    for delay in (0.005, 0.3, 0.001, 0.7, 0.01):
        now = pace.due(sent) + delay
        sent += pace.ready(sent, now)
    assert sent == pytest.approx(now * 50, abs=1)


def test_waiting_until_it_is_due_is_always_enough() -> None:
    pace = Pace(first=0.1, rate=33.3)
    assert all(pace.ready(number, pace.due(number)) >= 1 for number in range(10_000))


def test_without_a_rate_a_bounded_number_goes_at_once() -> None:
    assert Pace(first=10, rate=None).ready(1_000, 10) == MOST_AT_ONCE
    assert Pace(first=10, rate=1e6).ready(0, 20) == MOST_AT_ONCE
