import pytest

from chatserver.__main__ import main


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--host", "0.0.0.0"], "server.host"),
        (["--workers", "2"], "server.workers"),
        (["--port", "-1"], "server.port"),
    ],
)
def test_its_options_are_settings_and_checked_like_them(capsys, options: list[str], named: str) -> None:
    assert main(["serve", *options]) == 2
    assert capsys.readouterr().err.startswith(f"chatserver: {named}")
