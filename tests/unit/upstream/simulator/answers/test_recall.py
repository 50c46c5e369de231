import pytest

TOLD = "Hello! My name is Joana and my favourite colour is teal. The code word is heron. I live in Porto."


@pytest.mark.parametrize(
    ("question", "known"),
    [
        ("What is my name?", "Joana"),
        ("what's my name", "Joana"),
        ("Who am I?", "Joana"),
        ("Do you remember my name?", "Joana"),
        ("Can you tell me what my favorite color is?", "teal"),
        ("What did I say my favourite colour was?", "teal"),
        ("What is the code word?", "heron"),
        ("Do you remember the code word?", "heron"),
        ("Where do I live?", "Porto"),
        ("Qual é a minha cor favorita?", "teal"),
        ("Como eu me chamo?", "Joana"),
        ("Você sabe meu nome?", "Joana"),
    ],
)
def test_what_was_told_early_is_known_late(ask, question: str, known: str) -> None:
    assert known in ask(TOLD, "Hi!", "Tell me a joke", "Ha.", question)


@pytest.mark.parametrize(
    ("question", "admission"),
    [
        ("What is my name?", "don't know your name"),
        ("Who am I?", "don't know your name"),
        ("Do you know my dog's name?", "don't know your dog's name"),
        ("What is the code word?", "don't know the code word"),
        ("Qual é o meu sobrenome?", "ão sei seu sobrenome"),
        ("Onde eu moro?", "ão sei onde você mora"),
    ],
)
def test_what_was_not_told_is_not_known(ask, question: str, admission: str) -> None:
    assert admission in ask("Hello!", "Hi!", question)


def test_facts_in_the_instructions_are_known_too(ask) -> None:
    assert "Ana" in ask(
        "What is my name?", system="Summary of what was said before:\n- Name: Ana\n- Home: Porto"
    )


def test_other_statements_are_quoted(ask) -> None:
    answer = ask(
        "We booked the red boat for Saturday morning.", "Nice", "When did we want to take the red boat?"
    )
    assert "We booked the red boat for Saturday morning." in answer


def test_a_statement_is_noted_and_found_by_the_stems_of_its_words(ask) -> None:
    told = "I have a meeting with Paulo at 15:30 tomorrow."
    assert ask(told) in ("Thank you, I've made a note of that.", "Noted! Ask me about it whenever you like.")
    assert told in ask(told, "Noted!", "When do I meet Paulo?")


def test_the_last_question_can_be_asked_for(ask) -> None:
    assert "Why is the sky blue?" in ask("Why is the sky blue?", "Air.", "What did I just ask?")


def test_general_questions_are_not_taken_for_personal_ones(ask) -> None:
    assert "don't know" not in ask("What is the best way to learn chess?")
    assert "don't know" not in ask("How do I fix my bike?")


def test_being_told_something_is_confirmed(ask) -> None:
    answer = ask("My name is Joana and my favourite colour is teal.")
    assert "Joana" in answer
    assert "our favourite colour is teal" in answer


def test_confirmations_come_in_the_language_of_the_person(ask) -> None:
    assert "sua cor favorita é azul" in ask("Minha cor favorita é azul.")
