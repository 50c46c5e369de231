from chatserver.commands.table import table


def test_columns_are_as_wide_as_their_longest_text() -> None:
    assert table(["a", "b"], [["long", "x"], ["y", ""]]) == "a     b\nlong  x\ny"
