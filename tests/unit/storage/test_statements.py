"""The statements that are made once, and executed for as many rows as a group has."""

from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import UpdateBase

from chatserver import storage


def test_what_changes_rows_can_be_executed_for_many_at_once() -> None:
    modules = [import_module(f"{storage.__name__}.{found.name}") for found in iter_modules(storage.__path__)]
    statements = {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, UpdateBase)
    }
    # A list whose length becomes part of the statement: two such rows can only be written one by one.
    one_by_one = [
        name
        for name, statement in statements.items()
        if any(parameter.expanding for parameter in statement.compile().binds.values())
    ]
    assert len(statements) > 10
    assert one_by_one == []
