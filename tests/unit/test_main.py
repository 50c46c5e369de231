import pytest

from chatserver.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_explains_itself(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: chatserver {command}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert all(command.summary.split(",")[0] in listed for command in COMMANDS)


def test_without_a_command_it_says_how_it_is_used(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: chatserver")


def test_a_wrong_setting_is_one_sentence_and_exit_code_2(capsys) -> None:
    assert main(["serve", "--port", "65536"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "chatserver: server.port = 65536 (command line) isn't allowed; "
        "it has to be a whole number from 0 to 65535.\n"
    )


def test_ctrl_c_ends_it_as_shells_expect(monkeypatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    # Where a person's Ctrl-C arrives can't be timed from outside.
    monkeypatch.setattr("chatserver.commands.config.describe", interrupted)
    assert main(["config"]) == 130
