"""The shape of the settings, one model per section; defaults and reasons stand in configs/default.toml."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

#: How the address of a PostgreSQL server begins.
POSTGRESQL = ("postgresql://", "postgres://")


def _host_and_port(text: str) -> str:
    """What stands between scheme and path of an http(s) address; ValueError where that is none or wrong."""
    address = urlsplit(text)
    # Reading the port is what checks it.
    if address.scheme not in {"http", "https"} or not address.hostname or address.port == 0:
        raise ValueError
    return address.netloc


def _origin(text: str) -> str:
    if text != f"{urlsplit(text).scheme}://{_host_and_port(text)}" or "@" in text:
        raise ValueError
    # Browsers leave out the usual port.
    return text.lower().removesuffix(":443" if text.startswith("https:") else ":80")


def _base_address(text: str) -> str:
    # A user and a password in it would end up wherever the address is named.
    if "@" in _host_and_port(text) or "?" in text or "#" in text:
        raise ValueError
    return text.rstrip("/")


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def _not_empty(path: object) -> object:
    if path == "":
        raise ValueError
    return path


def _long_or_empty(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < 32:
        raise ValueError
    return secret


def _each_once(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) < len(items):
        raise ValueError
    return items


# `description` is what an error's sentence says is allowed, where the bounds don't say it all.
Origin = Annotated[str, AfterValidator(_origin)]
BaseAddress = Annotated[str, AfterValidator(_base_address)]
Network = Annotated[str, AfterValidator(_network)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
ByteCount = Annotated[int, Field(ge=1024, le=2**34)]
#: A deadline: nothing waits for ever, and nothing is given no time at all.
Seconds = Annotated[float, Field(gt=0, le=86_400)]
#: A pause, which may also be none.
Pause = Annotated[float, Field(ge=0, le=86_400)]


class _Section(BaseModel):
    # Strict, so that port = "8000" or port = true isn't silently taken for a number.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class ServerSettings(_Section):
    host: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=0, le=65_535)]
    workers: Annotated[int, Field(ge=1, le=256)]
    public_origins: Annotated[
        tuple[Origin, ...],
        Field(
            max_length=100, description='a list of origins such as "https://chat.example.org", without a path'
        ),
    ]
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(max_length=100, description='a list of addresses or networks such as "10.0.0.0/8"'),
    ]
    allow_open_on_any_address: bool
    data_dir: Annotated[
        Path, BeforeValidator(_not_empty), Field(strict=False, description="the path of a folder")
    ]
    secret: Annotated[
        SecretStr, AfterValidator(_long_or_empty), Field(description="empty or at least 32 characters long")
    ]
    auth: Literal["open", "keys"]
    # In less the last words can't be sent, so a shorter one would be overrun.
    grace_s: Annotated[float, Field(ge=1, le=86_400)]


class StoreSettings(_Section):
    # Both may carry a password, so neither appears when the settings are printed.
    database_url: Annotated[str, Field(max_length=2048, repr=False)]
    redis_url: Annotated[str, Field(max_length=2048, repr=False)]
    lease_s: Annotated[float, Field(ge=0.5, le=600)]
    checkpoint_ms: Annotated[int, Field(ge=10, le=60_000)]
    group_commit_max: Annotated[int, Field(ge=1, le=10_000)]
    readers: Annotated[int, Field(ge=1, le=64)]


class OllamaSettings(_Section):
    urls: Annotated[
        tuple[BaseAddress, ...],
        AfterValidator(_each_once),
        Field(
            min_length=1,
            max_length=100,
            description='a list of addresses such as "http://127.0.0.1:11434", at least one, each once, '
            "without user and password",
        ),
    ]
    model: Annotated[str, Field(max_length=256)]
    slots: Annotated[int, Field(ge=1, le=1024)]
    connect_timeout_s: Seconds
    first_token_timeout_s: Seconds
    stall_timeout_s: Seconds
    num_ctx: Annotated[int, Field(ge=512, le=2**24)]
    keep_alive: Annotated[
        str,
        Field(
            pattern=r"^-?([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)){1,4}$",
            description='a duration with its unit, such as "5m", "1h30m" or "-1m" for ever',
        ),
    ]


class GenerationSettings(_Section):
    max_text_bytes: ByteCount
    max_duration_s: Seconds
    attempts: Annotated[int, Field(ge=1, le=100)]
    retry_first_delay_s: Pause
    retry_longest_delay_s: Pause
    keep_finished_s: Pause
    keep_finished_bytes: Annotated[int, Field(ge=0, le=2**40)]
    answer_reserve_tokens: Annotated[int, Field(ge=1, le=2**20)]


class ContextSettings(_Section):
    total_tokens: Annotated[int, Field(ge=256, le=2**24)]
    history_tokens: Annotated[int, Field(ge=128, le=2**24)]


class HousekeepingSettings(_Section):
    titles: bool
    summaries: bool
    summarise_after: Annotated[int, Field(ge=1, le=32)]
    summary_tokens: Annotated[int, Field(ge=20, le=10_000)]
    summary_input_tokens: Annotated[int, Field(ge=100, le=2**20)]
    waiting: Count


class StreamSettings(_Section):
    sse_heartbeat_s: Seconds
    websocket_heartbeat_s: Seconds
    longpoll_longest_s: Seconds
    pong_timeout_s: Seconds


class LimitSettings(_Section):
    messages_per_minute: Count
    outstanding_per_user: Count
    connections: Count
    sockets: Count
    head_timeout_s: Seconds
    head_bytes: ByteCount
    content_characters: Count
    turn_bytes: ByteCount
    generation_bytes: ByteCount
    message_bytes: ByteCount
    waiting: Count
    subscriptions_per_connection: Count
    body_timeout_s: Seconds
    per_address_per_minute: Count


class LogSettings(_Section):
    format: Literal["auto", "json", "console"]
    level: Literal["debug", "info", "warning", "error"]


class Settings(_Section):
    server: ServerSettings
    store: StoreSettings
    ollama: OllamaSettings
    generation: GenerationSettings
    context: ContextSettings
    housekeeping: HousekeepingSettings
    streams: StreamSettings
    limits: LimitSettings
    log: LogSettings


SECTIONS: dict[str, type[BaseModel]] = {
    "server": ServerSettings,
    "store": StoreSettings,
    "ollama": OllamaSettings,
    "generation": GenerationSettings,
    "context": ContextSettings,
    "housekeeping": HousekeepingSettings,
    "streams": StreamSettings,
    "limits": LimitSettings,
    "log": LogSettings,
}
