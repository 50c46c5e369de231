"""Model servers behind TLS, with a certificate of the organisation's own."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatserver.errors import Unreachable
from chatserver.upstream import client as upstream
from chatserver.upstream.client import Deadlines, OllamaClient
from tests.unit.upstream.server import DONE, END, OK, plain, says, scripted

PATIENT = Deadlines(connect=5, first_token=5, between_tokens=5, plain=5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, with its key in the same file, that nobody knows."""
    made = tmp_path_factory.mktemp("tls") / "own.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    where = [
        "-subj",
        "/CN=models",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        made,
        "-out",
        f"{made}.crt",
    ]
    subprocess.run([*command.split(), *where], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


@pytest.fixture
def served(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    upstream._trusted.cache_clear()
    yield
    upstream._trusted.cache_clear()


async def test_whom_the_machine_trusts_is_trusted_for_answers_and_for_lists(
    served, certificate, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    async with (
        scripted(OK, says("Hi"), DONE, END, tls=served) as server,
        OllamaClient(server.url, PATIENT) as client,
    ):
        assert (await client.chat({}, lambda _: None)).reason == "stop"
    async with (
        scripted(plain(b'{"version":"0.1"}'), tls=served) as server,
        OllamaClient(server.url, PATIENT) as client,
    ):
        assert await client.version() == "0.1"


async def test_nobody_else_is(served) -> None:
    async with scripted(OK, tls=served) as server, OllamaClient(server.url, PATIENT) as client:
        for asked in (client.chat({}, lambda _: None), client.version()):
            with pytest.raises(Unreachable):
                await asked
