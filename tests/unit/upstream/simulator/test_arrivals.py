import pytest
from starlette.datastructures import Headers

from chatserver.upstream.simulator.arrivals import is_allowed


def allowed(served_at: str = "127.0.0.1", **headers: str) -> bool:
    return is_allowed(Headers(headers), served_at)


@pytest.mark.parametrize(
    "origin", ["http://localhost", "https://127.0.0.1:8000", "app://obsidian", "file://x"]
)
def test_local_origins_are_let_in(origin: str) -> None:
    assert allowed(host="localhost", origin=origin)


@pytest.mark.parametrize("origin", ["https://chat.example.com", "null", "http://localhost.example.com", ""])
def test_foreign_origins_are_not(origin: str) -> None:
    assert not allowed(host="localhost", origin=origin)


@pytest.mark.parametrize(
    "host", ["localhost:11434", "127.0.0.1", "[::1]:11434", "10.0.0.7:80", "LOCALHOST", "gpu.local", ""]
)
def test_local_hosts_are_let_in(host: str) -> None:
    assert allowed(host=host)


@pytest.mark.parametrize("host", ["chat.example.com", "8.8.8.8", "localhost.example.com"])
def test_foreign_hosts_are_let_in_only_where_it_listens_to_all(host: str) -> None:
    assert not allowed(host=host)
    assert allowed("192.168.1.2", host=host)


async def test_a_refused_origin_gets_403_and_nothing_else(simulated) -> None:
    answer = await simulated.http.get("/api/tags", headers={"origin": "https://chat.example.com"})
    assert (answer.status_code, answer.content) == (403, b"")
