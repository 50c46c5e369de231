"""What every command is made of, and the settings most of them begin with."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatserver.settings import Loaded, load


@dataclass(frozen=True)
class Command:
    name: str
    #: One line for the list of commands.
    summary: str
    #: What its own --help says before the options.
    description: str
    add_options: Callable[[ArgumentParser], None]
    #: Returns the exit code.
    run: Callable[[Namespace], int]


def add_config_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="a settings file, stronger than the defaults (TOML)"
    )


def load_settings(arguments: Namespace, options: Mapping[str, Any] | None = None) -> Loaded:
    """All layers; `options` are the settings given on the command line."""
    return load(arguments.config, os.environ, options or {})
