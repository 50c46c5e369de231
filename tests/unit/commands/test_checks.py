import asyncio
import json
import os
import socket
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from chatserver.commands import checks
from chatserver.settings import Settings, load
from chatserver.storage.folder import DataFolder


def settings(**options: object) -> Settings:
    return load(None, {}, {name.replace("__", "."): value for name, value in options.items()}).settings


def test_a_data_folder_that_is_not_there_yet_is_fine_and_stays_away(tmp_path) -> None:
    finding = checks.check_data_folder(tmp_path / "deep" / "data")
    assert finding.good
    assert finding.found == "Will be made at the first start."
    assert list(tmp_path.iterdir()) == []


def test_an_empty_data_folder_is_fine_and_stays_empty(tmp_path) -> None:
    assert checks.check_data_folder(tmp_path).good
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_nobody_uses_now_is_fine(tmp_path) -> None:
    asyncio.run(used(tmp_path))
    assert checks.check_data_folder(tmp_path).good


async def used(path: Path) -> None:
    async with DataFolder(path, wait_s=0):
        pass


def test_a_data_folder_that_another_process_uses_is_not(tmp_path) -> None:
    async def look_while_used() -> checks.Finding:
        async with DataFolder(tmp_path, wait_s=0):
            return await asyncio.to_thread(checks.check_data_folder, tmp_path)

    finding = asyncio.run(look_while_used())
    assert f"in use by process {os.getpid()}" in finding.found
    assert "CHATSERVER_DATA_DIR" in finding.remedy


def test_a_file_is_no_data_folder(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert not checks.check_data_folder(tmp_path / "file").good


def test_a_database_is_looked_at_without_changing_it(tmp_path) -> None:
    path = tmp_path / "chat.db"
    at = settings(store__database_url=f"sqlite:///{path}")
    assert checks.check_database(at).found == "Will be made at the first start."
    assert not path.exists()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0007')")
        connection.commit()
        # Still open, so that what was written stands in the -wal file alone.
        assert checks.check_database(at).found == "Readable; its version is 0007."
    connection.close()
    before = path.read_bytes()
    assert checks.check_database(at).found == "Readable; its version is 0007."
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_database_is_told(tmp_path) -> None:
    (tmp_path / "chatserver.db").write_text("nothing of the kind, but long enough to be looked at" * 20)
    finding = checks.check_database(settings(server__data_dir=str(tmp_path)))
    assert "Can't be read: file is not a database." in finding.found
    assert "backup" in finding.remedy


def test_a_wrong_database_address_is_told() -> None:
    assert not checks.check_database(settings(store__database_url="sqlite:nowhere")).good


@pytest.fixture
def ollama():
    """A server that says what Ollama says; the list of its models can be changed."""
    models: list[str] = ["llama3.2:latest"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tags = {"models": [{"name": name} for name in models]}
            body = json.dumps({"version": "0.33.0"} if self.path == "/api/version" else tags).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", models
        server.shutdown()
        thread.join()


def test_an_ollama_tells_its_version_and_models(ollama) -> None:
    url, _ = ollama
    finding = checks.check_ollama(url, settings())
    assert finding.good
    assert finding.found == "Version 0.33.0, models: llama3.2:latest."
    assert checks.check_ollama(url, settings(ollama__model="llama3.2")).good


def test_an_ollama_without_the_default_model_is_told(ollama) -> None:
    url, _ = ollama
    finding = checks.check_ollama(url, settings(ollama__model="other"))
    assert finding.remedy == "Fetch it there: ollama pull other."


def test_an_ollama_without_models_is_told(ollama) -> None:
    url, models = ollama
    models.clear()
    assert checks.check_ollama(url, settings()).remedy == "Fetch one there: ollama pull NAME."


def test_an_ollama_that_is_not_there_is_told(silent_port) -> None:
    finding = checks.check_ollama(f"http://127.0.0.1:{silent_port}", settings())
    assert "can't be reached" in finding.found
    assert "CHATSERVER_OLLAMA_URLS" in finding.remedy


def test_a_port_is_free_or_it_is_told_what_to_do() -> None:
    assert checks.check_port("127.0.0.1", 0).good
    with socket.create_server(("127.0.0.1", 0)) as listening:
        finding = checks.check_port("127.0.0.1", listening.getsockname()[1])
    assert "another port with CHATSERVER_SERVER__PORT" in finding.remedy


def test_an_address_of_another_machine_is_told() -> None:
    assert "CHATSERVER_SERVER__HOST" in checks.check_port("192.0.2.1", 0).remedy


def test_the_page_is_looked_for_where_it_is_installed_and_where_it_is_built(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("chatserver.api.page.__file__", str(tmp_path / "chatserver" / "api" / "page.py"))
    assert "make page" in checks.check_page().remedy
    for folder in ("frontend_shim/page/dist", "chatserver/api/page"):
        (tmp_path / folder).mkdir(parents=True)
        page: Path = tmp_path / folder / "index.html"
        page.write_text("")
        assert checks.check_page().good
        page.unlink()
