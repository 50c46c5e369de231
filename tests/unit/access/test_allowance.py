from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.access import allowance
from chatserver.access.allowance import Allowances, Caller, Windows
from chatserver.access.visitors import LOCAL
from chatserver.errors import TooMany
from chatserver.generation.principal import Principal
from tests.unit.clock import MovedClock
from tests.unit.properties import PROPERTY

ALICE = Principal("default", "alice")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def taken(allowances: Allowances, caller: Caller) -> bool:
    try:
        allowances.take(caller)
    except TooMany:
        return False
    return True


def sliding(times: list[float], seconds: float) -> Iterator[int]:
    for start in times:
        yield sum(1 for time in times if start <= time < start + seconds)


@PROPERTY
@given(st.integers(1, 4), st.lists(st.integers(0, 30), max_size=40))
def test_no_minute_has_more_than_allowed_and_waiting_as_told_is_enough(most, pauses) -> None:
    windows, now, counted = Windows(most), 0.0, []
    for pause in pauses:
        now += pause
        wait = windows.wait("alice", now)
        if wait:
            assert 0 < wait <= 60
            assert windows.wait("alice", now + wait - 0.5) > 0
            now += wait
        assert windows.wait("alice", now) == 0
        windows.count("alice", now)
        counted.append(now)
    assert all(in_a_minute <= most for in_a_minute in sliding(counted, 60))


def test_what_others_have_allowed_takes_no_more_room_than_a_window_needs() -> None:
    windows = Windows(3)
    for second in range(1_000):
        windows.count("alice", second)
    assert list(windows._times["alice"]) == [997, 998, 999]
    assert windows.wait("alice", 999) == 58
    assert windows.wait("alice", 999, most=1) == 60


def test_one_persons_messages_are_nobody_elses(clock) -> None:
    allowances = Allowances(clock, per_user=2, per_address=100)
    alice, bob = Caller(ALICE, "10.0.0.1"), Caller(Principal("default", "bob"), "10.0.0.1")
    assert [taken(allowances, alice) for _ in range(3)] == [True, True, False]
    assert taken(allowances, bob)
    clock.move(60)
    assert taken(allowances, alice)


def test_those_without_a_cookie_are_told_apart_by_their_addresses(clock) -> None:
    allowances = Allowances(clock, per_user=1, per_address=100)
    assert [taken(allowances, Caller(LOCAL, address)) for address in ("a", "b", "a")] == [True, True, False]


def test_a_user_named_like_an_address_is_not_that_address(clock) -> None:
    allowances = Allowances(clock, per_user=1, per_address=100)
    assert taken(allowances, Caller(LOCAL, "a"))
    assert taken(allowances, Caller(Principal("default", "address a"), "b"))


def test_new_cookies_dont_get_around_the_limit_of_an_address(clock) -> None:
    allowances = Allowances(clock, per_user=100, per_address=3)
    strangers = [Caller(Principal("default", f"visitor_{n}"), "10.0.0.1") for n in range(5)]
    assert [taken(allowances, stranger) for stranger in strangers] == [True] * 3 + [False] * 2


def test_what_was_refused_doesnt_count(clock) -> None:
    allowances = Allowances(clock, per_user=1, per_address=100)
    caller = Caller(ALICE, "a")
    assert taken(allowances, caller)
    clock.move(59)
    assert not taken(allowances, caller)
    clock.move(1)
    assert taken(allowances, caller)


def test_a_refusal_says_how_many_and_when(clock) -> None:
    allowances = Allowances(clock, per_user=1, per_address=100)
    allowances.take(Caller(ALICE, "a"))
    clock.move(59.75)
    with pytest.raises(TooMany, match="At most 1 messages a minute; wait 1 seconds") as raised:
        allowances.take(Caller(ALICE, "a"))
    assert raised.value.facts == {"retry_after": 0.25, "limit": 1}


def test_windows_are_bounded_and_those_in_use_stay(clock, monkeypatch) -> None:
    monkeypatch.setattr(allowance, "_WINDOWS", 3)
    windows = Windows(1)
    windows.count("alice", 0)
    for n in range(10):
        windows.count("alice", n)
        windows.count(f"stranger {n}", n)
    assert windows.wait("alice", 10) > 0
    assert windows.wait("stranger 0", 10) == 0
    assert windows.wait("stranger 9", 10) > 0


def test_while_instances_count_apart_each_has_its_part(clock) -> None:
    allowances = Allowances(clock, per_user=5, per_address=100)
    caller = Caller(ALICE, "a")
    allowances.note(caller)
    for _ in range(2):
        allowances.take(caller, sharers=2)
    clock.move(20)
    with pytest.raises(TooMany) as raised:
        allowances.take(caller, sharers=2)
    assert raised.value.facts["retry_after"] == 40
    assert taken(allowances, caller)


def test_an_instance_that_sees_nobody_live_counts_for_itself(clock) -> None:
    allowances = Allowances(clock, per_user=1, per_address=100)
    allowances.take(Caller(ALICE, "a"), sharers=0)
    with pytest.raises(TooMany):
        allowances.take(Caller(ALICE, "a"), sharers=0)
