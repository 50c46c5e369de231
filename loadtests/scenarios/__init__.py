"""The scenarios. Each is a module whose docstring is its question and whose `run` answers it."""

import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from loadtests.measures import Plan, Result


@dataclass(frozen=True)
class Scenario:
    name: str
    question: str
    run: Callable[[Plan], Awaitable[Result]]


def all_scenarios() -> dict[str, Scenario]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: _scenario(name) for name in names}


def _scenario(name: str) -> Scenario:
    module = import_module(f"{__name__}.{name}")
    assert module.__doc__ is not None
    return Scenario(name, module.__doc__.strip().partition("\n")[0], module.run)
