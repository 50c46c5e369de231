"""Every setting in force and where it came from, for people."""

from typing import NamedTuple

from chatserver.settings.layers import Loaded
from chatserver.settings.sentences import shown
from chatserver.settings.shares import shares


class Row(NamedTuple):
    name: str
    value: str
    origin: str


def describe(loaded: Loaded) -> list[Row]:
    """One row per setting, in the order of configs/default.toml, secrets masked."""
    return [
        Row(name := f"{section}.{key}", shown(name, value) + _shared(loaded, name), loaded.origins[name])
        for section, settings in loaded.settings
        for key, value in settings
    ]


def _shared(loaded: Loaded, name: str) -> str:
    divided = shares(loaded.settings, name)
    if divided is None:
        return ""
    least, largest = divided
    return f" ({least if least == largest else f'{least} or {largest}'} for each worker)"
