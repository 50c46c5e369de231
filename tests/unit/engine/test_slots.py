from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.engine.slots import Hold, Slot, Slots
from chatserver.upstream.client import Deadlines, OllamaClient
from tests.unit.properties import PROPERTY

HOSTS = [OllamaClient(f"http://127.0.0.1:{port}", Deadlines(1, 1, 1)) for port in (1, 2)]


def slots_of(each: int, hosts: dict[str, list[OllamaClient]] | None = None) -> Slots:
    return Slots(each, lambda model: (hosts or {}).get(model, HOSTS))


def test_the_least_busy_server_gets_the_next_answer() -> None:
    slots = slots_of(2)
    taken = [slots.take("m") for _ in range(4)]
    assert [slot and slot.client for slot in taken] == [HOSTS[0], HOSTS[1], HOSTS[0], HOSTS[1]]
    assert slots.take("m") is None
    assert not slots.free("m")
    assert taken[1] is not None
    slots.release(taken[1])
    again = slots.take("m")
    assert again is not None
    assert again.client is HOSTS[1]


def test_models_dont_take_each_others_slots() -> None:
    slots = slots_of(1)
    assert [bool(slots.take(model)) for model in ("a", "a", "a", "b")] == [True, True, False, True]
    assert slots.total("a") == 2
    assert slots.in_flight == 3


def test_a_server_to_be_avoided_is_avoided_even_when_it_alone_is_free() -> None:
    slots = slots_of(1)
    first = slots.take("m", avoid={HOSTS[1]})
    assert first is not None
    assert first.client is HOSTS[0]
    assert slots.take("m", avoid={HOSTS[1]}) is None
    assert slots.take("m", avoid=HOSTS) is None
    assert slots.free("m")


def test_a_model_that_nobody_has_gets_no_slot() -> None:
    slots = slots_of(1, {"m": []})
    assert slots.take("m") is None
    assert not slots.free("m")
    assert slots.total("m") == 0


@PROPERTY
@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 9)), max_size=40),
)
def test_no_server_ever_has_more_than_its_slots_and_none_is_lost(each, steps) -> None:
    slots, held = slots_of(each), []
    for model, take, which in steps:
        if take:
            free = slots.free(model)
            slot = slots.take(model)
            assert (slot is not None) == free
            held += [slot] if slot else []
        elif held:
            slots.release(held.pop(which % len(held)))
        busy = Counter((slot.client, slot.model) for slot in held)
        assert all(count <= each for count in busy.values())
        assert slots.in_flight == len(held)
    for slot in held:
        slots.release(slot)
    assert slots.in_flight == 0
    assert len([slots.take("a") for _ in range(2 * each)]) == 2 * each


@pytest.fixture
def given_back() -> list[Slot]:
    return []


def test_a_slot_is_given_back_once_however_the_run_ends(given_back) -> None:
    slot = Slot(HOSTS[0], "m")
    with suppress(ZeroDivisionError), Hold(slot, given_back.append):
        raise ZeroDivisionError
    assert given_back == [slot]
    with Hold(slot, given_back.append) as hold:
        hold.release()
        hold.release()
    assert given_back == [slot, slot]


def test_a_run_has_one_slot_at_a_time(given_back) -> None:
    first, second = Slot(HOSTS[0], "m"), Slot(HOSTS[1], "m")
    with Hold(first, given_back.append) as hold:
        assert hold.client is HOSTS[0]
        hold.take(second)
        assert given_back == [first]
        assert hold.client is HOSTS[1]
    assert given_back == [first, second]
