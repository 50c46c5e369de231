import pytest


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Who are you?", "simulated"),
        ("What is your name?", "sim-chat"),
        ("What can you do?", "Portuguese"),
        ("what is 12 * 7?", "**84**"),
        ("Quanto é 9/4?", "**2.25**"),
        ("3 + 4", "**7**"),
        ("Count to 4", "1, 2, 3, 4"),
        ("Conte de 8 até 10, por favor", "8, 9, 10"),
        ("How are you?", "?"),
        ("What is a token?", "piece of text"),
        ("SSE or WebSocket?", "Server-sent"),
        ("Why is the sky blue?", "scatters"),
        ("What is the capital of France?", "Paris"),
        ("Qual é a capital do Brasil?", "Brasília"),
        ("Repeat after me: one two three", "one two three"),
        ("Diga exatamente: bom dia", "bom dia"),
        ("Tell me a story", "lighthouse"),
        ("Escreva um poema", "onda"),
    ],
)
def test_answers_are_to_the_question(ask, question: str, part: str) -> None:
    assert part in ask(question)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Hello!", "greeting"),
        ("Thanks a lot", "thanks"),
        ("Bye!", "goodbye"),
        ("Olá", "greeting"),
        ("Obrigada!", "thanks"),
    ],
)
def test_courtesies_are_returned(ask, reading, question: str, kind: str) -> None:
    assert ask(question) in reading(question).speech.phrases[kind]


def test_a_date_is_no_sum(ask) -> None:
    assert "**" not in ask("What happened on 2026-01-15?")


def test_dividing_by_zero_has_no_result(ask) -> None:
    assert "**" not in ask("What is 1 / 0?")


def test_a_title_is_short_and_from_the_first_question(ask) -> None:
    title = ask(
        "How do I bake sourdough bread at home in winter?", "Like this.", "Give this conversation a title"
    )
    assert title == "Bake sourdough bread home winter"


def test_any_other_question_gets_a_friendly_and_honest_answer(ask) -> None:
    answer = ask("How do I bake sourdough bread?")
    assert "bake sourdough bread" in answer
    assert "simulated model" in answer


def test_no_question_at_all_gets_an_answer(ask) -> None:
    assert ask()
    assert ask("")
