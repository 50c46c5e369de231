"""Whether a value is one of many, which are a single parameter.

So asking for seven is the same statement as asking for eight, compiled and prepared already.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Dialect, Text, TypeDecorator, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from chatserver.storage.tables import Json


class _Many(TypeDecorator[Any]):
    """A list: an array where a database has those, else JSON."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Json())


class _Among(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: OperatorType | None = None) -> "_Among":
        # It is a condition already; SQLite would be asked whether that equals 1, which no index answers.
        del against
        return self


def among(column: ColumnElement[Any], values: Iterable[str] | str) -> ColumnElement[bool]:
    """Say that a column has one of these values, or of those of the parameter that is named."""
    if isinstance(values, str):
        return _Among(column, bindparam(values, type_=_Many()))
    return _Among(column, bindparam(None, list(values), type_=_Many()))


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: SQLCompiler, **given: Any) -> str:
    column, many = (compiler.process(clause, **given) for clause in element.clauses)
    return f"{column} = ANY ({many})"


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: SQLCompiler, **given: Any) -> str:
    column, many = (compiler.process(clause, **given) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({many}))"  # noqa: S608 - nothing in it is anybody's
