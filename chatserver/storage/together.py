"""Many rows for several tables in one statement, for a server to which each statement is a journey.

A row alone is work of its own there as well: as arrays, a hundred turns take it a fraction of the time.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Executable, Insert, Text, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from chatserver.storage.connection import Write, WriteStatement

#: A statement, and the names of what it is executed with.
_Shape: TypeAlias = tuple[WriteStatement, tuple[str, ...]]


def as_one(writes: Sequence[Write]) -> tuple[Executable, dict[str, Any]]:
    """Give a statement that does all of them, and its parameters: what each row has, as one array."""
    shapes = tuple((statement, tuple(rows[0])) for statement, rows in writes)
    parameters = {
        _parameter(place, name): [row[name] for row in rows]
        for place, (_, rows) in enumerate(writes)
        for name in rows[0]
    }
    return _joined(shapes), parameters


# Kept, so that it is compiled and prepared once; there are as many as combinations of things to write.
@lru_cache(maxsize=64)
def _joined(shapes: tuple[_Shape, ...]) -> Executable:
    *others, last = [_of_rows(statement, names, place) for place, (statement, names) in enumerate(shapes)]
    return last.add_cte(*(other.cte(f"write_{place}") for place, other in enumerate(others)))


def _of_rows(statement: WriteStatement, names: Sequence[str], place: int) -> WriteStatement:
    if isinstance(statement, Insert):
        columns = {name: statement.table.columns[name].type for name in names}
        return statement.from_select(names, select(*_rows(columns, place).c), include_defaults=False)
    given = {
        element.key: element.type
        for element in visitors.iterate(statement)
        if isinstance(element, BindParameter) and element.key in names
    }
    rows = _rows(given, place)

    def in_rows(element: Any, **_: Any) -> Any:
        return rows.c[element.key] if isinstance(element, BindParameter) and element.key in given else None

    changed: WriteStatement = visitors.replacement_traverse(statement, {}, in_rows)  # type: ignore[assignment]
    return changed


def _rows(types: Mapping[str, TypeEngine[Any]], place: int) -> TableValuedAlias:
    arrays = [bindparam(_parameter(place, name), type_=ARRAY(_plain(of))) for name, of in types.items()]
    columns = [column(name, of) for name, of in types.items()]
    return func.unnest(*arrays).table_valued(*columns, name=f"rows_{place}").render_derived()


def _plain(of: TypeEngine[Any]) -> TypeEngine[Any]:
    # No array says how its texts are compared.
    return Text() if isinstance(of, Text) else of


def _parameter(place: int, name: str) -> str:
    return f"rows_{place}_{name}"
