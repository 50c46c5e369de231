"""Finding conversations by words, in the index that each database has for that."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Select, Text, TypeDecorator, bindparam, intersect, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from chatserver.storage.tables import conversations, search_entries
from chatserver.storage.words import Sought


class _Term(TypeDecorator[Sought]):
    """A word in the language of an index; it has letters and digits alone, so nothing has to be escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sought | None, dialect: Dialect) -> str:
        assert value is not None
        if dialect.name == "sqlite":
            return f'"{value.word}"' + "*" * value.beginning
        return f"'{value.word}'" + ":*" * value.beginning


class _has_word(FunctionElement[Any]):  # noqa: N801 - it reads as a function of SQL
    """Whether an entry has a word."""

    name = "has_word"
    # Of a Boolean SQLite would be asked whether it is 1, and then not use its index.
    type = NullType()
    inherit_cache = True


@compiles(_has_word, "sqlite")
def _in_full_text(element: _has_word, compiler: SQLCompiler, **more: Any) -> str:
    term = compiler.process(element.clauses, **more)
    # The term is a parameter's place.
    return f"search_entries.id IN (SELECT rowid FROM search_index WHERE search_index MATCH {term})"  # noqa: S608


@compiles(_has_word, "postgresql")
def _in_vector(element: _has_word, compiler: SQLCompiler, **more: Any) -> str:
    term = compiler.process(element.clauses, **more)
    return f"array_to_tsvector(string_to_array(search_entries.words, ' ')) @@ CAST({term} AS tsquery)"


class _one_of(FunctionElement[Any]):  # noqa: N801 - it reads as a function of SQL
    """Whether a column is among what a query finds."""

    name = "one_of"
    type = NullType()
    inherit_cache = True


@compiles(_one_of, "sqlite")
def _in_query(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    column, found = element.clauses
    return f"{compiler.process(column, **more)} IN {compiler.process(found, **more)}"


@compiles(_one_of, "postgresql")
def _in_array(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    # What is found comes first, once. As a join it is looked up for each of somebody's conversations, for
    # the planner takes words to be rare: 14 ms against 1 for two words among 200 conversations.
    column, found = element.clauses
    return f"{compiler.process(column, **more)} = ANY (ARRAY {compiler.process(found, **more)})"


def that_have(query: Select[Any], key: str, sought: Sequence[Sought]) -> Select[Any]:
    """Narrow a query of conversations to those that have every word, in whichever of their texts."""
    if not sought:
        return query
    found = intersect(*(_that_have_one(Sought(key + each.word, each.beginning)) for each in sought))
    return query.where(_one_of(conversations.c.id, found.scalar_subquery()))


def _that_have_one(keyed: Sought) -> Select[Any]:
    term = bindparam(None, keyed, type_=_Term(), unique=True)
    return select(search_entries.c.conversation).where(_has_word(term))
