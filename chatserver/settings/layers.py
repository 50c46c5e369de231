"""The layers that settings come in, the later stronger than the earlier, joined into one checked whole."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from chatserver.errors import SettingsError
from chatserver.settings.environment import read_environment
from chatserver.settings.models import SECTIONS, Settings
from chatserver.settings.rules import (
    refuse_contradictions,
    refuse_indivisible,
    refuse_unavailable,
    refuse_unsafe,
)
from chatserver.settings.sentences import allowed, listed, shown

#: Setting ("section.name") -> (value, where it came from).
Layer: TypeAlias = dict[str, tuple[Any, str]]


@dataclass(frozen=True)
class Loaded:
    settings: Settings
    #: Setting ("section.name") -> the file, variable or option that decided it.
    origins: Mapping[str, str]


def load(config_file: Path | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> Loaded:
    """Join all layers; `options` maps "section.name" to the value given on the command line.

    Raises SettingsError with one sentence that names the first unknown or wrong setting and what is allowed.
    """
    layer = _defaults().copy()
    if config_file is not None:
        layer |= _read_file(config_file, str(config_file))
    layer |= read_environment(environ)
    layer |= {_known(name, "the command line"): (value, "command line") for name, value in options.items()}
    settings = _checked(layer)
    refuse_unavailable(settings)
    refuse_unsafe(settings)
    refuse_contradictions(settings)
    refuse_indivisible(settings)
    return Loaded(settings, {name: origin for name, (_, origin) in layer.items()})


def default_file() -> Path:
    """Beside this module when installed from a wheel, else in the repository."""
    installed = Path(__file__).with_name("default.toml")
    return installed if installed.exists() else Path(__file__).parents[2] / "configs" / "default.toml"


@cache
def _defaults() -> Layer:
    """Read what comes with the program, and so doesn't change while that runs."""
    return _read_file(default_file(), "default")


def _read_file(path: Path, origin: str) -> Layer:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The settings file {path} is no TOML: {error}.") from error
    layer: Layer = {}
    for section, values in tables.items():
        if not isinstance(values, dict):
            raise SettingsError(
                f"{section} in {path} stands outside of a section; allowed are {listed(list(SECTIONS))}."
            )
        for name, value in values.items():
            layer[_known(f"{section}.{name}", str(path))] = (_frozen(value), origin)
    return layer


def _known(name: str, place: str) -> str:
    section, _, key = name.partition(".")
    if section not in SECTIONS:
        raise SettingsError(
            f"{name} in {place} is in no known section; allowed are {listed(list(SECTIONS))}."
        )
    if key not in SECTIONS[section].model_fields:
        names = listed(list(SECTIONS[section].model_fields))
        raise SettingsError(f"{name} in {place} is no setting; allowed in {section} are {names}.")
    return name


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked(layer: Layer) -> Settings:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, (value, _) in layer.items():
        section, _, key = name.partition(".")
        sections[section][key] = value
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        section, key, *_ = map(str, error.errors()[0]["loc"])
        raise SettingsError(_sentence(layer, section, key)) from error


def _sentence(layer: Layer, section: str, key: str) -> str:
    value, origin = layer[f"{section}.{key}"]
    given = shown(f"{section}.{key}", value)
    return (
        f"{section}.{key} = {given} ({origin}) isn't allowed; it has to be {allowed(SECTIONS[section], key)}."
    )
