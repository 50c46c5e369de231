"""The scenarios. Each is a module whose docstring is its question and whose `run` answers it.

One that needs more rounds than is usual says how many in `PAIRS`.
"""

import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from loadtests.measures import Plan, Result

_USUAL_PAIRS = 3


@dataclass(frozen=True)
class Scenario:
    name: str
    question: str
    #: Rounds in which each side takes its turn, if nobody says how many.
    pairs: int
    run: Callable[[Plan], Awaitable[Result]]


def all_scenarios() -> dict[str, Scenario]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: _scenario(name) for name in names}


def _scenario(name: str) -> Scenario:
    module = import_module(f"{__name__}.{name}")
    assert module.__doc__ is not None
    question = module.__doc__.strip().partition("\n")[0]
    return Scenario(name, question, getattr(module, "PAIRS", _USUAL_PAIRS), module.run)
