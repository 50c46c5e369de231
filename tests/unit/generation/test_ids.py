import threading
import time

import pytest

from chatserver.generation import ids
from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, SUMMARY, is_id, new_id

GOOD = "gen_" + "0123456789abcdefghjkmn"


def _keep_state(monkeypatch):
    """Have what is made hereafter forgotten in the end: it may be of a time to come."""
    for name in ("_last_ms", "_last_time", "_last_random"):
        monkeypatch.setattr(ids, name, getattr(ids, name))


@pytest.mark.parametrize("kind", [CONVERSATION, MESSAGE, GENERATION])
def test_a_new_id_is_one_of_its_kind_alone(kind):
    made = new_id(kind)

    assert [other for other in ("conv", "msg", "gen") if is_id(other, made)] == [kind]


def test_ids_sort_in_the_order_they_were_made():
    made = [new_id(GENERATION) for _ in range(5000)]

    assert made == sorted(set(made))


def test_no_two_ids_are_alike_whatever_chance_says(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    monkeypatch.setattr(ids.secrets, "randbits", lambda _: 0)

    assert new_id(GENERATION) != new_id(GENERATION)


def test_ids_stay_in_order_when_the_clock_goes_back(monkeypatch):
    before = new_id(GENERATION)
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)

    assert before < new_id(GENERATION) < new_id(GENERATION)


def test_an_id_made_meanwhile_in_another_thread_stays_before_those_that_follow(monkeypatch):
    _keep_state(monkeypatch)
    later = time.time_ns() + 3_600_000_000_000
    made: list[str] = []
    meanwhile = threading.Thread(target=lambda: made.append(new_id(SUMMARY)))

    def switch_threads(_: int) -> int:
        if meanwhile.ident is None:
            meanwhile.start()
            # It ends, unless it waits for its turn.
            meanwhile.join(0.02)
        return 0

    monkeypatch.setattr(time, "time_ns", lambda: later)
    monkeypatch.setattr(ids.secrets, "randbits", switch_threads)
    new_id(SUMMARY)
    meanwhile.join()

    assert made[0] < new_id(SUMMARY)


def test_ids_made_in_one_millisecond_never_run_over_into_the_next(monkeypatch):
    _keep_state(monkeypatch)
    later = time.time_ns() + 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    # The greatest number a millisecond may begin with, and the greatest steps.
    monkeypatch.setattr(ids.secrets, "randbits", lambda bits: 2**bits - 1)

    made = [new_id(GENERATION) for _ in range(100)]

    assert made == sorted(set(made))
    assert len({one[: len("gen_") + 10] for one in made}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gen_",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD[:-1] + "u",
        GOOD[:-1] + "i",
        GOOD[:-1] + "é",
        GOOD.replace("gen_", "gen-"),
        GOOD.replace("gen_", "job_"),
    ],
)
def test_what_was_never_made_here_is_no_id(text):
    assert is_id(GENERATION, GOOD)
    assert not is_id(GENERATION, text)
