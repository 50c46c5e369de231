"""The settings: read and checked once at start, frozen afterwards, each knowing where it came from."""

from chatserver.settings.describe import Row, describe
from chatserver.settings.layers import Loaded, load
from chatserver.settings.models import (
    ContextSettings,
    GenerationSettings,
    HousekeepingSettings,
    LimitSettings,
    LogSettings,
    OllamaSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    StreamSettings,
)
from chatserver.settings.shares import share_of

__all__ = [
    "ContextSettings",
    "GenerationSettings",
    "HousekeepingSettings",
    "LimitSettings",
    "Loaded",
    "LogSettings",
    "OllamaSettings",
    "Row",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "StreamSettings",
    "describe",
    "load",
    "share_of",
]
