import re

from chatserver.__main__ import main


def test_every_setting_is_shown_with_its_origin_and_secrets_masked(capsys, monkeypatch, tmp_path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("[ollama]\nslots = 2\n")
    monkeypatch.setenv("CHATSERVER_SECRET", "top-secret-" * 4)
    assert main(["config", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^setting +value +from$", shown, re.MULTILINE)
    assert re.search(rf"^ollama\.slots +2 +{file}$", shown, re.MULTILINE)
    assert re.search(r'^server\.secret +"\*\*\*" +CHATSERVER_SECRET$', shown, re.MULTILINE)
    assert re.search(r"^server\.port +8000 +default$", shown, re.MULTILINE)
    assert "top-secret" not in shown


def test_a_missing_file_is_told(capsys, tmp_path) -> None:
    assert main(["config", "--config", str(tmp_path / "no.toml")]) == 2
    assert "can't be read" in capsys.readouterr().err
