from chatserver.settings import Row, describe, load


def test_every_setting_has_a_row_with_its_value_and_origin() -> None:
    loaded = load(None, {"CHATSERVER_MODEL": "llama3.2"}, {"server.port": 9000})
    rows = describe(loaded)
    assert [row.name for row in rows] == list(loaded.origins)
    assert Row("server.port", "9000", "command line") in rows
    assert Row("ollama.model", '"llama3.2"', "CHATSERVER_MODEL") in rows
    assert Row("server.data_dir", '"data"', "default") in rows


def test_secrets_are_masked() -> None:
    rows = describe(load(None, {"CHATSERVER_SECRET": "top-secret-" * 4}, {}))
    assert Row("server.secret", '"***"', "CHATSERVER_SECRET") in rows
