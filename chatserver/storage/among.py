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


class _Condition(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: OperatorType | None = None) -> "_Condition":
        # It is a condition already; SQLite would be asked whether that equals 1, which no index answers.
        del against
        return self


class _Among(_Condition):
    inherit_cache = True


class _Roots(_Condition):
    inherit_cache = True


def among(column: ColumnElement[Any], values: Iterable[str] | str) -> ColumnElement[bool]:
    """Say that a column has one of these values, or of those of the parameter that is named."""
    if isinstance(values, str):
        return _Among(column, bindparam(values, type_=_Many()))
    return _Among(column, bindparam(None, list(values), type_=_Many()))


def roots_of(parameter: str) -> ColumnElement[bool]:
    """Say that a message has none above it, in one of the conversations that a parameter names."""
    return _Roots(bindparam(parameter, type_=_Many()))


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: SQLCompiler, **given: Any) -> str:
    column, many = (compiler.process(clause, **given) for clause in element.clauses)
    return f"{column} = ANY ({many})"


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: SQLCompiler, **given: Any) -> str:
    column, many = (compiler.process(clause, **given) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({many}))"  # noqa: S608 - nothing in it is anybody's


@compiles(_Roots, "postgresql")
def _roots_on_a_server(element: _Roots, compiler: SQLCompiler, **given: Any) -> str:
    many = compiler.process(element.clauses, **given)
    return f"messages.conversation = ANY ({many}) AND messages.parent IS NULL"


@compiles(_Roots, "sqlite")
def _roots_in_a_file(element: _Roots, compiler: SQLCompiler, **given: Any) -> str:
    many = compiler.process(element.clauses, **given)
    # Left to choose, it takes the index of parents, and reads the roots of all conversations there are.
    return f"""messages.id IN (
        SELECT roots.id FROM messages AS roots INDEXED BY ix_messages_roots
        WHERE roots.conversation IN (SELECT value FROM json_each({many})) AND roots.parent IS NULL
    )"""  # noqa: S608 - nothing in it is anybody's
