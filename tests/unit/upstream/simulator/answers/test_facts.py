import pytest

from chatserver.upstream.simulator.answers.facts import facts_in, find_fact


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("My name is Ana.", {"name": "Ana"}),
        ("Hi, I'm Ana!", {"name": "Ana"}),
        ("You can call me Zé, please", {"name": "Zé"}),
        ("My favorite color is teal, by the way.", {"favourite colour": "teal"}),
        ("My name is Ana and my dog's name is Rex", {"name": "Ana", "dog's name": "Rex"}),
        ("My cats are Tom, Kit and Bo.", {"cats": "Tom, Kit and Bo"}),
        ("Please remember that the code word is heron.", {"code word": "heron"}),
        (
            "I live in Porto. I am 41 years old; I work as a nurse.",
            {"home": "Porto", "age": "41", "work": "a nurse"},
        ),
        ("The deadline is 12 May 2026 at 10.30.", {"deadline": "12 May 2026 at 10.30"}),
        ("The user's name is Ana", {"name": "Ana"}),
        ("- Name: Ana\n- Favourite colour: teal", {"name": "Ana", "favourite colour": "teal"}),
        ("Meu nome é Rui e minha cor favorita é azul.", {"name": "Rui", "favourite colour": "azul"}),
        ("Eu me chamo Rui. Moro em Lisboa e tenho 30 anos.", {"name": "Rui", "home": "Lisboa", "age": "30"}),
        ("A reunião é na sexta.", {"meeting": "na sexta"}),
        ("What is my name?", {}),
        ("Is my name Ana?", {}),
        ("Nice weather today", {}),
    ],
)
def test_statements_are_found_in_both_languages(text: str, told: dict[str, str]) -> None:
    assert {fact.key: fact.value for fact in facts_in(text)} == told


def test_what_was_told_last_counts() -> None:
    facts = list(facts_in("My city is Porto.\nMy city is Braga."))
    assert find_fact(facts, "city").value == "Braga"


def test_a_part_of_the_name_is_enough_where_the_whole_is_unknown() -> None:
    facts = list(facts_in("My favourite colour is teal."))
    assert find_fact(facts, "colour").value == "teal"
    assert find_fact(facts, "favorite food") is None


def test_names_are_turned_round_for_the_other_side() -> None:
    told = list(facts_in("My cat is Tom. The code word is heron. Minha gata é Bia."))
    assert [fact.what for fact in told] == ["your cat", "the code word", "sua gata"]
