import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.facts import facts_in, kept_facts, pinned_facts
from tests.unit.properties import PROPERTY

TEXTS = st.text(max_size=80) | st.lists(
    st.sampled_from(["Maria", "likes", "12.5", "\n", "New", "York", "2026-03-12", "- ", "1. ", "Иван", "٣"]),
    max_size=20,
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("I paid 4,500.50 euros on 12/03/2026 at 14:30.", ["4,500.50", "12/03/2026", "14:30"]),
        ("Yesterday we met Maria Silva in New York.", ["Maria Silva", "New York"]),
        ("My friends are Ana, Rui and Jean-Luc.", ["Ana", "Rui", "Jean-Luc"]),
        # The first word of a sentence is written like that anyway.
        ("The dog sleeps. Perhaps it dreams!\n- Bones, maybe", []),
        ("- Name: Joana", ["Joana"]),
        ("1. Buy bread\n2. Call NASA\n## Results for Porto", ["NASA", "Porto"]),
        ("I think I know.", []),
        ("Moro em Lisboa desde 1998 e o meu cão chama-se Farrusco.", ["Lisboa", "1998", "Farrusco"]),
        ("Меня зовут Мария, я живу в Москве.", ["Мария", "Москве"]),
        ("私の犬は2019年に生まれました。", ["2019"]),
        ("عمري ٣٥ سنة", ["٣٥"]),
    ],
)
def test_numbers_dates_and_capitalised_names_are_facts(text, facts) -> None:
    assert facts_in(text) == facts


def test_a_fact_counts_once_however_it_is_written() -> None:
    assert pinned_facts(["it costs 1,000 and 1000", "then 01000"], 20) == ["01000"]
    assert pinned_facts(["with Ana, and ANA"], 20) == ["ANA"]


def test_the_newest_facts_are_pinned_first() -> None:
    assert pinned_facts(["in 2001 with Ana", "in 2002 with Rui"], 3) == ["Rui", "2002", "Ana"]


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("4,500.50", "4500.50 euros"),
        ("4500", "about 4.500 euros"),
        ("2026-03-12", "on 12 03 2026"),
        ("12/03/2026", "2026-03-12"),
        ("12.03.2026", "12/3/2026"),
        ("Maria Silva", "MARIA SILVA'S house"),
        ("Jean-Luc", "called Jean-Luc"),
        ("٣٥", "35 years"),
        ("Москве", "город: Москва"),
        ("Барсик", "кота Барсика"),
    ],
)
def test_a_fact_is_kept_in_another_form(fact, text) -> None:
    assert kept_facts([fact], text) == [fact]


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("45", "450"),
        ("3.5", "35"),
        ("Maria", "Mariana"),
        ("Maria Silva", "Maria"),
        ("2026-03-12", "12 March"),
        ("Иван", "Мария"),
    ],
)
def test_something_like_a_fact_is_not_the_fact(fact, text) -> None:
    assert kept_facts([fact], text) == []


@PROPERTY
@given(TEXTS)
def test_a_text_keeps_all_of_its_own_facts(text) -> None:
    facts = facts_in(text)
    assert kept_facts(facts, text) == facts
    assert kept_facts(facts, "") == []


@PROPERTY
@given(st.lists(TEXTS, max_size=5), st.integers(1, 20))
def test_pinned_facts_are_few_different_and_from_the_texts(texts, most) -> None:
    pinned = pinned_facts(texts, most)
    everything = {fact for text in texts for fact in facts_in(text)}
    assert len(pinned) == len(set(pinned)) <= most
    assert set(pinned) <= everything
    assert bool(pinned) == bool(everything)
