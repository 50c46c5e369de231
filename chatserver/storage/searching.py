"""Finding conversations by words, in the index that each database has for that."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Select, Text, TypeDecorator, bindparam, select
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


def that_have(query: Select[Any], key: str, sought: Sequence[Sought]) -> Select[Any]:
    """Narrow a query of conversations to those that have every word, in whichever of their texts."""
    for each in sought:
        term = bindparam(None, Sought(key + each.word, each.beginning), type_=_Term(), unique=True)
        found = select(search_entries.c.conversation).where(_has_word(term))
        query = query.where(conversations.c.id.in_(found))
    return query
