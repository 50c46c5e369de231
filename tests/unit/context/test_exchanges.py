from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.counting import Estimate, Measure, Overhead
from chatserver.context.exchanges import Entry, Part, exchanges, fewest, shortened, together
from tests.unit.properties import PROPERTY

MEASURE = Measure(Estimate(), Overhead(message=4, prompt=3))


def entry(name: str, role: str = "user", content: str = "", **more) -> Entry:
    message = {"role": role, "content": content, **more}
    return Entry(name, message, MEASURE.message(message))


def test_an_exchange_begins_with_a_person_and_holds_all_that_follows() -> None:
    newest_first = [
        entry("u2"),
        entry("a1", "assistant"),
        entry("t1", "tool"),
        entry("c1", "assistant"),
        entry("u1"),
        entry("a0", "assistant"),
    ]
    assert [[one.id for one in exchange] for exchange in exchanges(newest_first)] == [
        ["u2"],
        ["u1", "c1", "t1", "a1"],
    ]


def test_what_has_no_person_in_it_is_one_exchange() -> None:
    assert [[one.id for one in exchange] for exchange in exchanges([entry("t", "tool")])] == [["t"]]


def test_exchanges_are_put_together_again_oldest_first() -> None:
    found = exchanges([entry("u2"), entry("a1", "assistant"), entry("u1")])
    assert [one.id for one in together(found)] == ["u1", "a1", "u2"]
    assert (fewest(found, 1), fewest(found, 2), fewest(found, 3), fewest(found, 9)) == (1, 2, 2, 2)


def test_only_what_is_too_long_is_cut() -> None:
    short, long = entry("s", content="Hello."), entry("l", content="word " * 500)
    part = shortened((short, long), 200, MEASURE)
    assert part is not None
    assert part.entries[0] is short
    assert part.cut == ("l",)
    assert 150 < part.cost(MEASURE) <= 200
    assert shortened((short, long), 10_000, MEASURE) == Part((short, long))


def test_what_would_be_left_with_next_to_nothing_is_left_out() -> None:
    many = tuple(entry(str(n), content="word " * 100) for n in range(20))
    assert shortened(many, 200, MEASURE) is None


def test_what_is_no_text_is_not_cut() -> None:
    call = entry("c", "assistant", "word " * 100, tool_calls=[{"arguments": {"text": "x" * 600}}])
    part = shortened((call,), 320, MEASURE)
    assert part is not None
    assert part.entries[0].message["tool_calls"] == call.message["tool_calls"]
    assert len(part.entries[0].message["content"]) < len(call.message["content"])
    assert part.tokens == MEASURE.message(part.entries[0].message) <= 316
    assert shortened((call,), 200, MEASURE) is None


@PROPERTY
@given(st.lists(st.text(max_size=600), min_size=1, max_size=8), st.integers(0, 800))
def test_what_is_shortened_fits_and_is_counted_right(texts, most) -> None:
    entries = tuple(entry(str(number), content=text) for number, text in enumerate(texts))
    part = shortened(entries, most, MEASURE)
    if part is not None:
        assert part.cost(MEASURE) <= most
        assert [one.id for one in part.entries] == [one.id for one in entries]
        for was, now in zip(entries, part.entries, strict=True):
            assert now.tokens == MEASURE.message(now.message)
            assert (now.id in part.cut) is (now is not was)
