from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chatserver.errors import SettingsError
from chatserver.settings import load
from chatserver.settings.models import SECTIONS, Settings


def settings_with(name: str, value: Any) -> Settings:
    return load(None, {}, {name: value}).settings


def test_every_section_of_the_settings_is_known_by_its_name() -> None:
    assert {name: field.annotation for name, field in Settings.model_fields.items()} == SECTIONS


def test_settings_are_frozen() -> None:
    settings = load(None, {}, {}).settings
    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Chat.Example.org", "https://chat.example.org"),
        ("https://chat.example.org:443", "https://chat.example.org"),
        ("http://[::1]:8443", "http://[::1]:8443"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(given: str, kept: str) -> None:
    assert settings_with("server.public_origins", (given,)).server.public_origins == (kept,)


@pytest.mark.parametrize(
    "origin", ["chat.example.org", "https://a/", "https://a/path", "https://a:b", "https://u:p@a", "*"]
)
def test_an_origin_that_no_browser_would_send_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"^server\.public_origins .* a list of origins such as"):
        settings_with("server.public_origins", (origin,))


def test_the_base_address_of_an_upstream_loses_its_last_slash() -> None:
    assert settings_with("ollama.urls", ("http://a:1/", "http://b/ollama/")).ollama.urls == (
        "http://a:1",
        "http://b/ollama",
    )


@pytest.mark.parametrize(
    "urls",
    [
        (),
        ("a:1",),
        ("http://",),
        ("http://a:99999",),
        ("http://a?b",),
        ("http://a", "http://a/"),
        ("http://u:p@a",),
    ],
)
def test_a_wrong_list_of_upstreams_is_refused(urls: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=r"^ollama\.urls .* at least one, each once, without user"):
        settings_with("ollama.urls", urls)


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    kept = settings_with("server.trusted_proxies", ("10.0.0.7", "10.1.2.3/16")).server.trusted_proxies
    assert kept == ("10.0.0.7/32", "10.1.0.0/16")
    with pytest.raises(SettingsError, match=r"^server\.trusted_proxies"):
        settings_with("server.trusted_proxies", ("proxy",))


@pytest.mark.parametrize("duration", ["5m", "1h30m", "-1m", "0s", "1.5h", "250ms"])
def test_a_model_is_kept_alive_for_a_duration_that_ollama_understands(duration: str) -> None:
    assert settings_with("ollama.keep_alive", duration).ollama.keep_alive == duration


@pytest.mark.parametrize("duration", ["", "5", "-1", "5 m", "m", "5m\n"])
def test_a_duration_without_its_unit_is_refused(duration: str) -> None:
    with pytest.raises(SettingsError, match=r"^ollama\.keep_alive .* a duration with its unit"):
        settings_with("ollama.keep_alive", duration)


def test_a_data_folder_has_a_path() -> None:
    assert settings_with("server.data_dir", "/srv/chat").server.data_dir == Path("/srv/chat")
    with pytest.raises(SettingsError, match=r"^server\.data_dir"):
        settings_with("server.data_dir", "")


def test_printed_settings_show_no_secret() -> None:
    settings = load(
        None,
        {},
        {
            "server.secret": "top-secret-" * 4,
            "store.database_url": "sqlite:///top-secret-folder/a.db",
        },
    ).settings
    assert "top-secret" not in repr(settings)
    assert "top-secret" not in str(settings)
