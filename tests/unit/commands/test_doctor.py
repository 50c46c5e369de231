import re

from chatserver.__main__ import main


def test_a_failed_check_is_told_with_what_to_do_and_exit_code_1(
    capsys, monkeypatch, tmp_path, silent_port
) -> None:
    monkeypatch.setenv("CHATSERVER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHATSERVER_OLLAMA_URLS", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setenv("CHATSERVER_SERVER__PORT", "0")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"^settings +ok +All \d+ are allowed; 3 differ from the default\.$", shown, re.MULTILINE)
    assert re.search(r"^Ollama http://127\.0\.0\.1:\d+ +FAILED +The model server", shown, re.MULTILINE)
    assert re.search(r"^- Ollama http.*: Start Ollama there, or name", shown, re.MULTILINE)


def test_a_wrong_setting_is_a_failed_check_too(capsys, monkeypatch) -> None:
    monkeypatch.setenv("CHATSERVER_SERVER__PORT", "eighty")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r'^settings +FAILED +server\.port = "eighty"', shown, re.MULTILINE)
    assert "What to do:\n- settings: " in shown
