"""What settings may not be together, or not yet."""

import ipaddress

from chatserver.errors import SettingsError
from chatserver.settings.models import POSTGRESQL, Settings
from chatserver.settings.shares import DIVIDED, shares


def refuse_unavailable(settings: Settings) -> None:
    """Refuse by name what this version can't do, rather than do something else."""
    if settings.server.auth == "keys":
        raise SettingsError('server.auth = "keys" isn\'t available yet; allowed is "open".')
    address = settings.store.database_url
    if address and not address.startswith(("sqlite:", *POSTGRESQL)):
        raise SettingsError(
            "store.database_url isn't available for this kind of database; allowed is none, a file like "
            "sqlite:///chat.db, or PostgreSQL like postgresql://user:password@host/name."
        )


def refuse_unsafe(settings: Settings) -> None:
    """Everyone who reaches an open server may use it, so other machines reach one only when that is meant."""
    server = settings.server
    if server.auth == "open" and not server.allow_open_on_any_address and not is_loopback(server.host):
        raise SettingsError(
            f"server.host = {server.host} is reached from other machines while server.auth is open; allowed "
            "are a loopback address such as 127.0.0.1, or server.allow_open_on_any_address = true if "
            "everyone there may use the models."
        )


def refuse_contradictions(settings: Settings) -> None:
    reserve, context = settings.generation.answer_reserve_tokens, settings.ollama.num_ctx
    if reserve >= context:
        raise SettingsError(
            f"generation.answer_reserve_tokens = {reserve} leaves no room for a question; it has to be below "
            f"ollama.num_ctx, which is {context}."
        )

    if settings.store.redis_url and not settings.store.database_url.startswith(POSTGRESQL):
        raise SettingsError(
            "store.redis_url is for instances that share one PostgreSQL database, so store.database_url "
            "(CHATSERVER_DATABASE_URL) is needed as well, like postgresql://user:password@host/name."
        )
    if settings.store.database_url.startswith(POSTGRESQL) and not settings.server.secret.get_secret_value():
        raise SettingsError(
            "store.database_url names a PostgreSQL server, which several machines may share, so "
            "server.secret (CHATSERVER_SECRET) is needed as well: at least 32 characters, the same on each."
        )


def refuse_indivisible(settings: Settings) -> None:
    """Several processes need what they can share, and each at least one of what is divided among them."""
    workers = settings.server.workers
    if workers > 1 and not settings.store.redis_url:
        raise SettingsError(
            f"server.workers = {workers} needs a Redis and a PostgreSQL that the processes share: "
            "store.redis_url (CHATSERVER_REDIS_URL) and store.database_url (CHATSERVER_DATABASE_URL)."
        )
    for name in DIVIDED:
        divided = shares(settings, name)
        if divided is not None and divided[0] == 0:
            raise SettingsError(
                f"{name} is divided among {workers} processes (server.workers) and has to be at least that."
            )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
