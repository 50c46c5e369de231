def test_a_list_has_as_many_entries_as_asked_for(ask) -> None:
    answer = ask("Give me a list of 4 tips about sleeping well")
    assert [line[:2] for line in answer.splitlines()[2:]] == ["1.", "2.", "3.", "4."]
    assert "sleeping well" in answer or "**" in answer


def test_a_list_takes_the_things_that_were_named(ask) -> None:
    assert ask("Make a list of bread, milk and eggs").splitlines()[2:] == ["1. bread", "2. milk", "3. eggs"]


def test_a_table_compares_what_was_named(ask) -> None:
    rows = ask("Compare tea and coffee in a table").splitlines()[2:]
    assert rows[1] == "| --- | --- | --- |"
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| tea", "| coffee"]


def test_code_is_fenced_and_in_the_language_asked_for(ask) -> None:
    assert "```python\ndef " in ask("Write some code about tea")
    assert "```sql\nSELECT" in ask("Show me an SQL query about orders")
    assert "def is_prime" in ask("Python function for prime numbers, please: show the code")


def test_the_code_is_valid_python(ask) -> None:
    for question in ("Write code about the blue sea", "code for fibonacci", "code for a factorial", "code"):
        program = ask(question).split("```python\n")[1].split("```")[0]
        compile(program, "answer", "exec")


def test_everything_asked_for_comes_in_its_order(ask) -> None:
    answer = ask("A table, some code and a list of two ideas about tea")
    assert answer.index("| --- |") < answer.index("```") < answer.index("2. ")


def test_a_code_word_is_no_code(ask) -> None:
    assert "```" not in ask("What is the code word?")
