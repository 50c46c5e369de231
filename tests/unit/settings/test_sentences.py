import pytest

from chatserver.settings.models import SECTIONS
from chatserver.settings.sentences import allowed, listed, shown


@pytest.mark.parametrize(
    ("given", "visible"),
    [
        ("postgresql://user:pa:ss/w@rd@host/db", '"postgresql://user:***@host/db"'),
        ("redis://:hunter2@host", '"redis://:***@host"'),
        ("postgresql://host/db?user=u&password=hunter2", '"postgresql://host/db?user=u&password=***"'),
        (("http://u:p@a", "http://b"), '["http://u:***@a", "http://b"]'),
        ("http://127.0.0.1:11434", '"http://127.0.0.1:11434"'),
    ],
)
def test_passwords_in_addresses_are_masked(given: object, visible: str) -> None:
    assert shown("store.database_url", given) == visible


def test_a_secret_is_masked_and_an_absent_one_is_not() -> None:
    assert shown("server.secret", "hunter2") == '"***"'
    assert shown("server.secret", "") == '""'


def test_a_very_long_value_is_cut() -> None:
    assert len(shown("ollama.model", "x" * 100_000)) < 300


def test_every_setting_can_say_what_it_allows() -> None:
    for model in SECTIONS.values():
        for name in model.model_fields:
            assert allowed(model, name)


def test_lists_read_like_sentences() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], "or") == "a, b or c"
