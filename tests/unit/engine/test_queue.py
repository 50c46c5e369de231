from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatserver.engine.queue import FirstCome, Pace, Waiting
from chatserver.generation.states import Lane
from tests.unit.properties import PROPERTY

MODELS = ["small", "large"]
models = st.sampled_from(MODELS)
lanes = st.sampled_from(Lane)


def waiting(name: str, model: str = "small", lane: Lane = Lane.INTERACTIVE) -> Waiting:
    return Waiting(name, model, lane, since=0.0, start=lambda _: None)


def queue_of(*all_waiting: Waiting) -> FirstCome:
    order = FirstCome()
    for each in all_waiting:
        order.add(each)
    return order


def next_name(order: FirstCome, *having_slots: str) -> str | None:
    found = order.next(lambda model: model in having_slots)
    return found and found.generation


def test_who_came_first_is_next_among_those_whose_model_has_a_slot() -> None:
    order = queue_of(waiting("a", "large"), waiting("b"), waiting("c", "large"), waiting("d"))
    assert next_name(order, "small") == "b"
    assert next_name(order, "small", "large") == "a"
    assert next_name(order) is None
    assert [each.generation for each in order.in_order()] == ["c", "d"]


def test_background_waits_until_nothing_interactive_does_whatever_the_model() -> None:
    order = queue_of(waiting("back", "small", Lane.BACKGROUND), waiting("front", "large"))
    assert next_name(order, "small") is None
    assert next_name(order, "small", "large") == "front"
    assert next_name(order, "small") == "back"


def test_one_that_waits_can_be_taken_out_wherever_it_stands() -> None:
    order = queue_of(waiting("a"), waiting("b"), waiting("c"))
    assert order.remove("b") is not None
    assert order.remove("b") is None
    assert order.remove("never there") is None
    assert [next_name(order, "small") for _ in range(3)] == ["a", "c", None]


class Queueing(RuleBasedStateMachine):
    """Whatever comes and goes, the queue is what a plain list sorted by lane and arrival would be."""

    def __init__(self) -> None:
        super().__init__()
        self.order = FirstCome()
        self.expected: list[Waiting] = []
        self.count = 0

    def in_order(self) -> list[Waiting]:
        lanes = list(Lane)
        return sorted(self.expected, key=lambda each: lanes.index(each.lane))

    @rule(model=models, lane=lanes)
    def add(self, model, lane) -> None:
        self.count += 1
        each = waiting(f"gen_{self.count}", model, lane)
        self.order.add(each)
        self.expected.append(each)

    @rule(number=st.integers(1, 20))
    def remove(self, number) -> None:
        found = self.order.remove(f"gen_{number}")
        assert found in [*self.expected, None]
        self.expected = [each for each in self.expected if each.generation != f"gen_{number}"]

    @rule(having_slots=st.sets(models))
    def next(self, having_slots) -> None:
        in_order = self.in_order()
        first = in_order[0].lane if in_order else None
        able = [each for each in in_order if each.lane is first and each.model in having_slots]
        found = self.order.next(having_slots.__contains__)
        assert found == (able[0] if able else None)
        if found is not None:
            self.expected.remove(found)

    @invariant()
    def stands_as_expected(self) -> None:
        in_order = self.in_order()
        assert list(self.order.in_order()) == in_order
        assert len(self.order) == len(in_order)
        for lane in Lane:
            of_lane = [each for each in in_order if each.lane is lane]
            assert self.order.waits(lane) == len(of_lane)
            assert self.order.oldest(lane) == (of_lane[0] if of_lane else None)


class TestQueueing(Queueing.TestCase):  # type: ignore[misc]
    settings = settings(PROPERTY, stateful_step_count=25)


def test_there_is_no_estimate_before_anything_has_run_or_without_a_server() -> None:
    pace = Pace()
    assert pace.eta_ms(1, 4) is None
    pace.ran(2.0)
    assert pace.eta_ms(1, 0) is None


def test_the_estimate_grows_with_the_place_and_shrinks_with_the_slots() -> None:
    pace = Pace()
    pace.ran(2.0)
    assert [pace.eta_ms(place, 1) for place in (1, 2, 3)] == [2000, 4000, 6000]
    assert pace.eta_ms(3, 4) == 1500


@PROPERTY
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30))
def test_the_pace_stays_between_the_fastest_and_the_slowest_run(runs) -> None:
    pace = Pace()
    for seconds in runs:
        pace.ran(seconds)
    eta = pace.eta_ms(1, 1)
    assert eta is not None
    assert 1000 * min(runs) - 1 <= eta <= 1000 * max(runs) + 1


def test_the_pace_follows_what_changes() -> None:
    pace = Pace()
    pace.ran(10.0)
    for _ in range(30):
        pace.ran(1.0)
    eta = pace.eta_ms(1, 1)
    assert eta is not None
    assert 1000 <= eta < 1100
