"""Every setting in force and where it came from, for people."""

from typing import NamedTuple

from chatserver.settings.layers import Loaded
from chatserver.settings.sentences import shown


class Row(NamedTuple):
    name: str
    value: str
    origin: str


def describe(loaded: Loaded) -> list[Row]:
    """One row per setting, in the order of configs/default.toml, secrets masked."""
    return [
        Row(name := f"{section}.{key}", shown(name, value), loaded.origins[name])
        for section, settings in loaded.settings
        for key, value in settings
    ]
