from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.cutting import MARK
from chatserver.context.summarising import Refusal, Update, refusal, request, update_of
from chatserver.storage.records import Said
from tests.unit.properties import PROPERTY


def said(role: Literal["user", "assistant"], content: str) -> Said:
    return Said("msg", role, content, None, None)


SAID = st.builds(said, st.sampled_from(["user", "assistant"]), st.text(max_size=200))
ENGLISH = (said("user", "We fly to Porto on 12 May with Bruno and 3 dogs."), said("assistant", "Have fun!"))


def count(text: str) -> int:
    """As many tokens as words, in a language without long ones."""
    return len(text) // 4 + 1


def update(*added: Said, old: str | None = None, most_tokens: int = 200) -> Update:
    return update_of(old, added or ENGLISH, 2000, most_tokens, count)


def test_an_update_pins_the_facts_of_the_new_messages_and_of_the_old_summary() -> None:
    assert update(old="They live in Lisbon").facts == ("3", "Bruno", "May", "12", "Porto", "Lisbon")


def test_a_long_message_is_cut_in_the_middle_and_short_ones_stay_whole() -> None:
    long = said("assistant", "Begin " + "word " * 5000 + "end")
    made = update_of(None, [ENGLISH[0], long, ENGLISH[1]], 300, 200, count)
    assert (made.added[0], made.added[2]) == ENGLISH
    cut = made.added[1].content
    assert cut.startswith("Begin ")
    assert cut.endswith("end")
    assert MARK in cut
    assert sum(count(one.content) + 4 for one in made.added) <= 300


@PROPERTY
@given(st.lists(SAID, min_size=1, max_size=8), st.integers(1, 200))
def test_what_is_shown_fits_its_budget(added, budget) -> None:
    made = update_of(None, added, budget, 200, count)
    assert len(made.added) == len(added)
    assert sum(count(one.content) for one in made.added if one.content) <= budget
    assert all(
        shown == one or MARK in shown.content or not shown.content
        for shown, one in zip(made.added, added, strict=True)
    )


def test_the_request_has_the_old_summary_the_messages_and_what_must_be_kept() -> None:
    system, user = request(update(old="- Name: Joana"))
    assert system["role"] == "system"
    assert "at most 120 words" in system["content"]
    assert "Keep these as they are: 3; Bruno; May; 12; Porto; Joana." in system["content"]
    assert user["content"].splitlines() == [
        "Summary so far:",
        "- Name: Joana",
        "",
        "Messages since:",
        "user: We fly to Porto on 12 May with Bruno and 3 dogs.",
        "assistant: Have fun!",
    ]


def test_a_first_summary_is_made_of_the_messages_alone() -> None:
    _, user = request(update())
    assert user["content"] == "\n".join(f"{one.role}: {one.content}" for one in ENGLISH)


@pytest.mark.parametrize("before", Refusal)
def test_who_is_asked_once_more_is_told_what_was_wrong(before) -> None:
    first, second = request(update()), request(update(), before)
    assert second[1] == first[1]
    assert second[0]["content"].startswith(first[0]["content"])
    assert second != first


@pytest.mark.parametrize(
    ("candidate", "tokens", "refused"),
    [
        ("They fly to Porto on 12 May with Bruno.", 12, None),
        ("Bruno, Porto, 12, 3", 12, None),
        ("  \n", 1, Refusal.EMPTY),
        ("They fly to Porto on 12 May with Bruno.", 201, Refusal.TOO_LONG),
        ("Они летят в Порту 12 мая с Бруно и 3 собаками.", 20, Refusal.OTHER_SCRIPT),
        ("They fly to Porto with Bruno.", 12, Refusal.FACTS_LOST),
    ],
)
def test_a_candidate_is_judged(candidate, tokens, refused) -> None:
    assert refusal(candidate, update(), tokens) is refused


RUSSIAN = said("user", "Меня зовут Мария, я живу в Москве с 1998 года.")
PORTUGUESE = said("user", "O meu cão chama-se Farrusco e moro em Évora desde 2011.")
JAPANESE = said("user", "私の犬は2019年に生まれました。予算は4500ユーロです。")
CHINESE = said("user", "我的预算是4500欧元，我们2019年认识。")


@pytest.mark.parametrize(
    ("told", "candidate", "refused"),
    [
        (RUSSIAN, "Мария живёт в Москве с 1998 года.", None),
        (RUSSIAN, "Maria has lived in Moscow since 1998.", Refusal.OTHER_SCRIPT),
        (RUSSIAN, "Человек живёт в городе.", Refusal.FACTS_LOST),
        (PORTUGUESE, "- Cão: Farrusco\n- Évora desde 2011", None),
        (PORTUGUESE, "Mora numa cidade e tem um cão.", Refusal.FACTS_LOST),
        (JAPANESE, "犬は2019年生まれ、予算は4500ユーロ。", None),
        (JAPANESE, "The dog was born in 2019; the budget is 4500.", Refusal.OTHER_SCRIPT),
        (CHINESE, "预算4500欧元，2019年认识。", None),
        (CHINESE, "予算は4500ユーロ、2019年に知り合いました。", Refusal.OTHER_SCRIPT),
    ],
)
def test_a_candidate_is_judged_in_any_language(told, candidate, refused) -> None:
    assert refusal(candidate, update(told), 50) is refused


@PROPERTY
@given(st.lists(SAID, min_size=1, max_size=5), st.none() | st.text(max_size=100))
def test_the_talk_itself_would_do_as_its_summary_if_it_were_short_enough(added, old) -> None:
    made = update_of(old, added, 100_000, 200, count)
    talk = "\n".join([old or "", *(one.content for one in added)])
    expected = None if talk.strip() else Refusal.EMPTY
    assert refusal(talk, made, 1) is expected
    assert refusal(talk, made, 201) in (Refusal.TOO_LONG, Refusal.EMPTY)
