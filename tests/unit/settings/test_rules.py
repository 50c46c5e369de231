import pytest

from chatserver.errors import SettingsError
from chatserver.settings import load
from chatserver.settings.rules import is_loopback

#: What several processes work on.
SHARED = {
    "store.redis_url": "redis://127.0.0.1",
    "store.database_url": "postgresql://127.0.0.1/chat",
    "server.secret": "x" * 32,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.auth", "keys"),
        ("store.database_url", "mysql://user:hunter2@127.0.0.1/chat"),
    ],
)
def test_what_is_not_available_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}.* isn't available.*; allowed is") as refused:
        load(None, {}, {name: value})
    assert "hunter2" not in refused.value.detail


def test_several_processes_need_what_they_can_share() -> None:
    with pytest.raises(SettingsError, match=r"^server\.workers = 2 needs a Redis and a PostgreSQL"):
        load(None, {}, {"server.workers": 2})
    assert load(None, {}, {**SHARED, "server.workers": 2})


def test_each_process_needs_some_of_what_is_divided() -> None:
    with pytest.raises(SettingsError, match=r"^ollama\.slots is divided among 5 processes"):
        load(None, {}, {**SHARED, "server.workers": 5})
    assert load(None, {}, {**SHARED, "server.workers": 5, "ollama.slots": 5})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "chat.example.org"])
def test_open_access_from_other_machines_has_to_be_asked_for(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^server\.host = .*allow_open_on_any_address = true"):
        load(None, {}, {"server.host": host})
    meant = load(None, {}, {"server.host": host, "server.allow_open_on_any_address": True})
    assert meant.settings.server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


def test_the_room_for_an_answer_is_smaller_than_the_context() -> None:
    with pytest.raises(SettingsError, match=r"below ollama\.num_ctx, which is 1024\.$"):
        load(None, {}, {"ollama.num_ctx": 1024})


def test_a_postgresql_server_needs_a_secret_that_its_users_share() -> None:
    options = {"store.database_url": "postgresql://user:hunter2@127.0.0.1/chat"}
    with pytest.raises(SettingsError, match=r"server\.secret \(CHATSERVER_SECRET\) is needed") as refused:
        load(None, {}, options)
    assert "hunter2" not in refused.value.detail
    assert load(None, {}, {**options, "server.secret": "x" * 32})


@pytest.mark.parametrize("database", ["", "sqlite:///chat.db"])
def test_redis_is_for_those_who_share_a_postgresql_database(database: str) -> None:
    options = {"store.redis_url": "redis://:hunter2@127.0.0.1", "store.database_url": database}
    with pytest.raises(SettingsError, match=r"^store\.redis_url .* store\.database_url") as refused:
        load(None, {}, options)
    assert "hunter2" not in refused.value.detail
