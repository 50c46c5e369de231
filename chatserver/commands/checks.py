"""What `chatserver doctor` looks at, each with what it found and what to do about a failure.

Nothing is made or changed that serving would not make or change too.
"""

import asyncio
import errno
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from chatserver.api.page import ChatPage
from chatserver.backplane.redis.start import check_redis as look_at_redis
from chatserver.commands.finding import Finding
from chatserver.errors import StartRefused, UpstreamError
from chatserver.settings import Settings
from chatserver.storage.folder import DataFolder
from chatserver.storage.migration import Standing, look_at_server
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import is_server
from chatserver.upstream.client import Deadlines, OllamaClient

_ANOTHER_FOLDER = "Stop the server that uses it, or choose another folder with CHATSERVER_DATA_DIR."

_STANDINGS = {
    Standing.EMPTY: "empty; will be set up at the first start",
    Standing.OLDER: "older than this version of the server",
    Standing.CURRENT: "up to date",
    Standing.NEWER: "written by a newer version of this server",
}
_STANDING_REMEDIES = {
    Standing.OLDER: "Bring it up to date: chatserver migrate",
    Standing.NEWER: "Start that newer version, or choose another database.",
}


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, in the order in which a start would trip over it."""
    yield check_data_folder(settings.server.data_dir)
    yield check_database(settings)
    if settings.store.redis_url:
        yield check_redis(settings.store.redis_url)
    for url in settings.ollama.urls:
        yield check_ollama(url, settings)
    yield check_page()
    yield check_port(settings.server.host, settings.server.port)


def check_data_folder(path: Path) -> Finding:
    name = f"data folder {path}"
    if not path.exists():
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return Finding(name, f"{above} can't be written.", _ANOTHER_FOLDER)
        return Finding(name, "Will be made at the first start.")
    if not os.access(path, os.W_OK | os.X_OK) or not path.is_dir():
        return Finding(name, "Is no folder that can be written.", _ANOTHER_FOLDER)
    try:
        # Who looks may be someone else than who serves: an empty folder stays empty, for a lock file made
        # in it would belong to the wrong one.
        if any(path.iterdir()):
            asyncio.run(_lock_and_let_go(path))
    except (StartRefused, OSError) as refusal:
        return Finding(name, str(refusal), _ANOTHER_FOLDER)
    return Finding(name, "Writable, and used by no other process.")


async def _lock_and_let_go(path: Path) -> None:
    async with DataFolder(path, wait_s=0):
        pass


def check_database(settings: Settings) -> Finding:
    address = settings.store.database_url
    if is_server(address):
        return _check_server(address)
    path = _database_file(settings)
    if path is None:
        return Finding(
            "database",
            "store.database_url is no address.",
            "Write it like sqlite:///chat.db or postgresql://user:password@host/name.",
        )
    return _check_file(path)


def _check_file(path: Path) -> Finding:
    name = f"database {path}"
    if not path.exists():
        return Finding(name, "Will be made at the first start.")
    try:
        # Looking must not change it. Even a reader makes files beside it, except where it is told that nobody
        # writes: after a clean end there is no log of writes (-wal).
        quiet = not path.with_name(f"{path.name}-wal").exists()
        options = "mode=ro&immutable=1" if quiet else "mode=ro"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)
        try:
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding(name, f"Can't be read: {error}.", "Put back a backup, or choose another data folder.")
    return Finding(name, f"Readable; its version is {version}.")


def _database_file(settings: Settings) -> Path | None:
    if not settings.store.database_url:
        return DataFolder(settings.server.data_dir, wait_s=0).database
    try:
        return Path(make_url(settings.store.database_url).database or "")
    except ArgumentError:
        return None


def _check_server(address: str) -> Finding:
    name = f"database {address}"
    try:
        seen = asyncio.run(look_at_server(address, DatabaseOptions()))
    except StartRefused as refusal:
        return Finding(
            name,
            refusal.detail,
            "Start that server, mend the address (CHATSERVER_DATABASE_URL), or give its user the rights.",
        )
    found = f"PostgreSQL {seen.version}, {_STANDINGS[seen.standing]}."
    if seen.standing in _STANDING_REMEDIES:
        return Finding(name, found, _STANDING_REMEDIES[seen.standing])
    if not seen.usable:
        return Finding(
            name, f"{found} Its user may not use it.", "Make the user of the address the database's owner."
        )
    return Finding(name, found)


def check_redis(url: str) -> Finding:
    name = f"Redis {url}"
    try:
        asyncio.run(look_at_redis(url))
    except StartRefused as refusal:
        return Finding(
            name,
            refusal.detail,
            "Start that Redis, mend the address (CHATSERVER_REDIS_URL), or give its user the rights.",
        )
    return Finding(name, "Can be written, and its channels can be heard.")


def check_ollama(url: str, settings: Settings) -> Finding:
    name = f"Ollama {url}"
    try:
        version, models = asyncio.run(_ask_ollama(url, settings.ollama.connect_timeout_s))
    except UpstreamError as error:
        return Finding(
            name, error.detail, "Start Ollama there, or name its address with CHATSERVER_OLLAMA_URLS."
        )
    if not models:
        return Finding(name, f"Version {version}, without any model.", "Fetch one there: ollama pull NAME.")
    wanted = settings.ollama.model
    if wanted and not {wanted, f"{wanted}:latest"} & set(models):
        return Finding(name, f"Has no model {wanted}.", f"Fetch it there: ollama pull {wanted}.")
    return Finding(name, f"Version {version}, models: {', '.join(sorted(models))}.")


async def _ask_ollama(url: str, wait_s: float) -> tuple[str, list[str]]:
    """Its version and the names of its models."""
    async with OllamaClient(url, Deadlines(wait_s, wait_s, wait_s, plain=wait_s)) as client:
        return await client.version(), [str(tag.get("name")) for tag in await client.tags()]


def check_page() -> Finding:
    if not ChatPage.find().is_built:
        return Finding("page", "Isn't built.", "Install Node 20.19 or newer with npm, and run: make page")
    return Finding("page", "Is there.")


def check_port(host: str, port: int) -> Finding:
    name = f"address {host} port {port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return Finding(name, f"Can't be listened on: {error.strerror}.", _address_remedy(error))
    return Finding(name, "Free.")


def _address_remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Stop the program that listens there, or choose another port with CHATSERVER_SERVER__PORT."
    if error.errno == errno.EACCES:
        return "Choose a port from 1024 on with CHATSERVER_SERVER__PORT, and put a proxy in front."
    return "Choose an address of this machine with CHATSERVER_SERVER__HOST."
