from chatserver.__main__ import main


def test_the_database_is_made_and_then_left_as_it_is(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CHATSERVER_DATA_DIR", str(tmp_path / "data"))
    assert main(["migrate"]) == 0
    made = (tmp_path / "data" / "chatserver.db").read_bytes()
    assert main(["migrate"]) == 0
    assert (tmp_path / "data" / "chatserver.db").read_bytes() == made
    assert capsys.readouterr().out == "The database is up to date.\n" * 2
