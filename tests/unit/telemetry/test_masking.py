import pytest

from chatserver.telemetry.masking import mask


@pytest.mark.parametrize(
    "name",
    [
        "content",
        "text",
        "prompt",
        "messages",
        "Authorization",
        "cookie",
        "set-cookie",
        "ticket",
        "client_secret",
    ],
)
def test_private_facts_are_replaced(name: str) -> None:
    assert mask(None, "info", {name: "private"}) == {name: "***"}


@pytest.mark.parametrize(
    "name", ["prompt_tokens", "text_bytes", "content_type", "tokens", "generation", "event"]
)
def test_facts_about_them_are_kept(name: str) -> None:
    assert mask(None, "info", {name: 7}) == {name: 7}


def test_private_facts_inside_others_are_replaced() -> None:
    headers = {"Cookie": "private", "Accept": "text/html", "more": [{"secret": "private"}]}
    assert mask(None, "info", {"headers": headers}) == {
        "headers": {"Cookie": "***", "Accept": "text/html", "more": [{"secret": "***"}]}
    }


def test_what_lies_very_deep_is_left_out() -> None:
    assert mask(None, "info", {"a": {"b": {"c": {"d": {"e": {"f": ["deep"]}}}}}}) == {
        "a": {"b": {"c": {"d": {"e": {"f": "***"}}}}}
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('"GET /events?ticket=abc.def&after=1" 200', '"GET /events?ticket=***&after=1" 200'),
        ("GET /ws?after=1&Token=abc", "GET /ws?after=1&Token=***"),
        ("postgresql://user:hunter2@host/db", "postgresql://user:***@host/db"),
        ("somebody@example.org = x", "somebody@example.org = x"),
    ],
)
def test_secrets_in_addresses_are_replaced_wherever_they_stand(given: str, kept: str) -> None:
    assert mask(None, "info", {"event": given}) == {"event": kept}
