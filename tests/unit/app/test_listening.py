import asyncio
import resource
import socket

import pytest
import uvloop
from structlog.testing import capture_logs

from chatserver.app.listening import address_of, allow_descriptors, copies_of, listen
from chatserver.errors import StartRefused


def test_a_free_port_is_taken_and_named() -> None:
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert address_of(listener) == f"http://{host}:{port}"
        with socket.create_connection((host, port)):
            pass


def test_an_address_of_the_newer_kind_stands_in_brackets() -> None:
    with listen("::1", 0) as listener:
        assert address_of(listener).startswith("http://[::1]:")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system hasn't that option")
def test_accepted_connections_give_up_peers_that_take_nothing() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            # Linux doubles what it is asked for.
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 64 * 1024


def test_connections_that_wait_together_are_taken_in_one_turn_of_the_loop() -> None:
    async def turns_until_taken(count: int) -> set[int]:
        loop, turn, taken = asyncio.get_running_loop(), 0, []

        def accept() -> asyncio.Protocol:
            taken.append(turn)
            return asyncio.Protocol()

        with listen("127.0.0.1", 0) as listener:
            callers = [socket.create_connection(listener.getsockname()) for _ in range(count)]
            servers = [await loop.create_server(accept, sock=copy) for copy in copies_of(listener)]
            while len(taken) < count:
                turn += 1
                await asyncio.sleep(0)
            for closed in [*servers, *callers]:
                closed.close()
        return set(taken)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(turns_until_taken(8))) == 1


def test_a_port_in_use_is_refused_in_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            StartRefused, match=f"Can't listen on 127.0.0.1 port {port}: Address already in use."
        ):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused_in_a_sentence() -> None:
    with pytest.raises(StartRefused, match=r"Can't listen on 192.0.2.1 port 0: .+\."):
        listen("192.0.2.1", 0)


def test_descriptors_are_allowed_for_all_sockets_or_their_lack_is_told(monkeypatch) -> None:
    limits = [(1024, 5000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    with capture_logs() as lines:
        allow_descriptors(100)
        allow_descriptors(1000)
        assert lines == []
        allow_descriptors(12_000)
    assert limits[1:] == [(1124, 5000), (2024, 5000), (5000, 5000)]
    assert [(line["event"], line["allowed"]) for line in lines] == [("few_descriptors", 5000)]
