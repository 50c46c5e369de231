import socket

import pytest

from chatserver.__main__ import main
from chatserver.upstream.simulator.faults import FAULTS


def test_help_tells_what_every_fault_does(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["simulate-ollama", "--help"])
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown and effect in shown for name, effect in FAULTS.items())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--fault", "flood"], "there is no fault 'flood'"),
        (["--fault", "stall:often"], "must be a number"),
        (["--fault", "stall:2"], "must be from 0 to 1"),
        (["--port", "65536"], "the port must be from 0 to 65535"),
        (["--port", "9" * 5000], "the port must be from 0 to 65535"),
    ],
)
def test_a_wrong_option_is_told(capsys, options: list[str], reason: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate-ollama", *options])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_what_the_simulator_refuses_is_told(capsys) -> None:
    assert main(["simulate-ollama", "--rate", "0"]) == 2
    assert capsys.readouterr().err.startswith("chatserver: rate must be above 0")


def test_a_port_in_use_is_told(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert main(["simulate-ollama", "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith(f"chatserver: 127.0.0.1 port {port} can't be listened on: ")
