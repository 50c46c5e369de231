from pathlib import Path

import pytest

from chatserver.errors import SettingsError
from chatserver.settings import load
from chatserver.settings.environment import VARIABLES, read_environment


def test_short_names_set_what_they_stand_for() -> None:
    loaded = load(
        None,
        {
            "CHATSERVER_OLLAMA_URLS": "http://a:1, http://b:2",
            "CHATSERVER_REDIS_URL": "",
            "CHATSERVER_DATABASE_URL": "sqlite:////srv/chat.db",
            "CHATSERVER_DATA_DIR": "/srv",
            "CHATSERVER_AUTH": "open",
            "CHATSERVER_MODEL": "llama3.2",
            "CHATSERVER_SECRET": "s" * 32,
        },
        {},
    )
    settings = loaded.settings
    assert settings.ollama.urls == ("http://a:1", "http://b:2")
    assert settings.store.redis_url == ""
    assert settings.store.database_url == "sqlite:////srv/chat.db"
    assert settings.server.data_dir == Path("/srv")
    assert settings.server.auth == "open"
    assert settings.ollama.model == "llama3.2"
    assert settings.server.secret.get_secret_value() == "s" * 32
    assert loaded.origins["ollama.urls"] == "CHATSERVER_OLLAMA_URLS"


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CHATSERVER_SERVER__PORT", " 80 ", 80),
        ("CHATSERVER_SERVER__GRACE_S", "1.5", 1.5),
        ("CHATSERVER_SERVER__ALLOW_OPEN_ON_ANY_ADDRESS", "true", True),
        ("CHATSERVER_SERVER__ALLOW_OPEN_ON_ANY_ADDRESS", "0", False),
        ("CHATSERVER_SERVER__PUBLIC_ORIGINS", "", ()),
        ("CHATSERVER_LOG__LEVEL", "debug", "debug"),
        ("CHATSERVER_OLLAMA__MODEL", "7", "7"),
    ],
)
def test_text_becomes_the_type_of_its_setting(variable: str, text: str, value: object) -> None:
    assert read_environment({variable: text}) == {VARIABLES[variable]: (value, variable)}


@pytest.mark.parametrize("text", ["", "eighty", "80.5", "0x50"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r'^server\.port = ".*" \(CHATSERVER_SERVER__PORT\) isn\'t allowed'
    ):
        load(None, {"CHATSERVER_SERVER__PORT": text}, {})


def test_an_unknown_variable_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(SettingsError, match=r"CHATSERVER_SERVER__PROT is no setting; .*SERVER__PORT"):
        load(None, {"CHATSERVER_SERVER__PROT": "1"}, {})
    with pytest.raises(SettingsError, match=r"CHATSERVER_OLAMA_URLS is no setting; .*CHATSERVER_OLLAMA_URLS"):
        load(None, {"CHATSERVER_OLAMA_URLS": "http://a"}, {})


def test_variables_of_other_programs_are_left_alone() -> None:
    assert read_environment({"PATH": "/bin", "OTHER_CHATSERVER_X": "1"}) == {}


def test_two_variables_for_one_setting_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^CHATSERVER_MODEL and CHATSERVER_OLLAMA__MODEL both set"):
        load(None, {"CHATSERVER_MODEL": "a", "CHATSERVER_OLLAMA__MODEL": "a"}, {})
