import tracemalloc

import pytest

from chatserver.access.hosts import Hosts
from chatserver.errors import ForeignHost

hosts = Hosts(["https://chat.example.org", "http://chat.lan:8080"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.168.1.5:8000",
        "chat.example.org",
        "Chat.Example.org:443",
        "chat.lan:8080",
    ],
)
def test_our_names_and_plain_addresses_are_ours(host) -> None:
    hosts.check(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example.org",
        "chat.example.org.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "evil.example@localhost.evil.example",
        "[::1",
        "[v1.x]",
        "local host",
        "é",
        "x" * 10_000,
    ],
)
def test_any_other_name_is_foreign(host) -> None:
    with pytest.raises(ForeignHost):
        hosts.check(host)


def test_what_is_too_long_for_a_name_is_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(1000):
            with pytest.raises(ForeignHost):
                hosts.check(f"{number}{'X' * 10_000}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
