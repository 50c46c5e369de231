from chatserver.upstream.simulator.vocabulary import load_vocabulary

TALK = (
    "My name is Joana. I live in Porto. The budget is 4500 euros.",
    "Nice to meet you! What a lovely city.",
    "We fly on 12 May 2026 with Bruno. It is sunny today and everybody is happy.",
    "Have a good flight!",
)


def test_a_summary_holds_facts_names_numbers_and_dates_first(ask) -> None:
    summary = ask(*TALK, "Please summarise our conversation.").splitlines()
    assert summary[1:5] == [
        "- Name: Joana",
        "- Home: Porto",
        "- Budget: 4500 euros",
        "- We fly on 12 May 2026 with Bruno.",
    ]


def test_a_summary_keeps_to_its_limit(ask) -> None:
    summary = ask(*TALK, "Summarise this in at most 40 tokens.")
    assert "Joana" in summary
    assert load_vocabulary().count(summary) <= 40


def test_a_pasted_conversation_is_summarised_by_instruction(ask) -> None:
    pasted = "user: my name is Ana\nassistant: My name is Sim.\nuser: The deadline is 3 March."
    summary = ask(pasted, system="You summarise conversations in at most 200 tokens.")
    assert "- Name: Ana" in summary
    assert "- Deadline: 3 March" in summary


def test_a_summary_of_a_summary_keeps_the_facts(ask) -> None:
    summary = ask(*TALK, "Please summarise our conversation.")
    request = f"Update the summary.\n\nOld summary:\n{summary}\n\nNew messages:\nuser: I live in Braga"
    again = ask(request)
    assert "- Name: Joana" in again
    assert "- Budget: 4500 euros" in again
    assert "- Home: Braga" in again
    assert "Porto" not in again


def test_a_summary_answers_later_questions(ask) -> None:
    summary = ask(*TALK, "Please summarise our conversation.")
    assert "4500" in ask("What is the budget?", system=f"What was said before:\n{summary}")


def test_a_summary_leaves_out_requests_courtesies_markup_and_echoes(ask) -> None:
    talk = (
        "My name is Ana.",
        "As you told me, your name is Ana.",
        "Write a list of 5 things for Rome",
        "Here it is:\n\n1. Bread\n| a | 1 |\nThe trip to Rome takes 9 hours.",
        "Thank you very much indeed! What is next?",
        "Nothing.",
    )
    summary = ask(*talk, "Summarise our conversation please")
    assert summary.splitlines()[1:] == ["- Name: Ana", "- The trip to Rome takes 9 hours."]


def test_summaries_in_portuguese(ask) -> None:
    summary = ask("Meu nome é Rui. A reunião é na sexta.", "Certo!", "Resuma a nossa conversa, por favor.")
    assert summary.splitlines() == ["O que importa até agora:", "- Nome: Rui", "- Reunião: na sexta"]


def test_nothing_to_summarise_is_said(ask) -> None:
    assert ask("Summarise our conversation.") == "There is nothing to summarise yet."


def test_a_summary_has_what_its_instructions_want_kept_if_it_was_said(ask) -> None:
    pasted = "user: my name is Ana. Tell me about Rome in 1960.\nassistant: It was hot."
    system = "Update the summary.\nKeep these as they are: 1960; Rome; Ana; Atlantis."
    assert ask(pasted, system=system).splitlines()[1:] == ["- Name: Ana", "- Also named were 1960, Rome."]


def test_a_summary_does_not_say_again_what_the_one_before_has_named(ask) -> None:
    pasted = "- Also named were Rome, Porto.\nuser: Tell me about Oslo."
    system = "Update the summary.\nKeep these as they are: Oslo; Rome."
    assert ask(pasted, system=system).splitlines()[1:] == ["- Also named were Oslo, Rome."]
