"""Every statement there is, collected while everything is done once, and how each database carries it out."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from sqlalchemy import Engine, event

from chatserver.generation.pieces import Channel
from chatserver.generation.principal import Principal
from chatserver.generation.states import Status
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.housekeeping import ForgetHousekeeping, ForgetLeftHousekeeping
from chatserver.storage.instances import Instances
from chatserver.storage.keys import KEPT_MS, ForgetKeys
from chatserver.storage.lifecycle import BeginAttempt, Cancel, Claim
from chatserver.storage.postgresql import PostgresDatabase
from chatserver.storage.probes import KeepProbe, Probes
from chatserver.storage.summaries import SetSummary
from chatserver.storage.tables import metadata
from chatserver.storage.titles import GiveTitle
from chatserver.storage.words import sought_in
from tests.contract.storage.store import (
    ALICE,
    NOW,
    Store,
    again,
    begin,
    chore,
    finish,
    key,
    save,
    turn,
    work,
)

# The indexes that are read whole hold nothing but what is asked for.
_SCAN = re.compile(r"SCAN (\w+)(?! USING INDEX ix_generations_(?:unfinished|housekeeping))\b")
_INDEX = re.compile(r"USING (?:COVERING )?INDEX (\w+)")
_SORT = re.compile(r"USE TEMP B-TREE FOR ORDER BY")
#: A branch is as deep as it is read, and what a search finds is no more than somebody has.
_IN_NO_INDEX = ("RECURSIVE", "search_entries")
_NO_QUERIES = ("BEGIN", "PRAGMA", "SET", "SHOW")

#: Statement -> parameters that it was made with.
Statements = dict[str, Any]


class Plan(NamedTuple):
    #: Tables that are read whole.
    whole: set[str]
    sorts: bool
    indexes: set[str]


#: Statement -> how it is carried out.
Plans = dict[str, Plan]

#: So many rows that a planner has reason to use indexes: 60 users, one of them with much of everything.
_ROWS = """
    INSERT INTO conversations (id, tenant, "user", change, own_change, created_at, active_at)
        SELECT 'conv_' || n, 'home', CASE WHEN n % 3 = 0 THEN 'alice' ELSE 'user ' || n % 60 END, 1, 1, n, n
        FROM generate_series(1, 3000) AS n;
    INSERT INTO messages (id, conversation, parent, role, content, change, created_at)
        SELECT 'msg_' || n, 'conv_' || 1 + n % 100, CASE WHEN n > 3000 THEN 'msg_' || n - 3000 END,
            CASE WHEN n / 3000 % 2 = 0 THEN 'user' ELSE 'assistant' END, repeat('word ', 40), n, n
        FROM generate_series(1, 30000) AS n;
    INSERT INTO generations (id, tenant, "user", conversation, message, status, lane, model, request, epoch,
            attempts, cancel, change, created_at)
        SELECT 'gen_' || n, 'home', CASE WHEN n % 3 = 0 THEN 'alice' ELSE 'user ' || n % 60 END,
            conversation, id, CASE WHEN n % 500 = 0 THEN 'queued' ELSE 'completed' END,
            'interactive', 'llama', '{}', 1, 1, false, n, n
        FROM (SELECT id, conversation, created_at AS n FROM messages
            WHERE role = 'assistant' AND created_at < 1000000) AS answers;
    INSERT INTO search_entries (conversation, number, words)
        SELECT conversation, 1, 'abcdefword' || created_at % 1000 || ' abcdefother' FROM messages;
    INSERT INTO checkpoints (generation, attempt, seq, channel, text)
        SELECT id, 1, part, 'answer', 'word' FROM generations, generate_series(1, 3) AS part
        WHERE change % 5 = 0;
    INSERT INTO idempotency (tenant, "user", key, fingerprint, status, body, generation, created_at)
        SELECT tenant, "user", 'key ' || id, 'one', 202, '{}', id, 1800000000000 + created_at
        FROM generations;
    INSERT INTO summaries (id, conversation, message, covers, text, by_hand, created_at)
        SELECT 'sum_' || id, conversation, id, 5, 'words', false, created_at FROM messages
        WHERE created_at % 5 = 0;
    ANALYZE
"""

#: One of the users with 50 conversations, which aren't found faster by reading all of them.
_SEARCHING = Principal("home", "user 1")
#: One with 300 messages.
_LONG = "conv_1"


async def do_everything(store: Store) -> None:
    """Each command and each read, so that each statement there is gets made."""
    conversation = (await store.submit(begin(idempotency=key("c")))).conversation
    await store.submit(begin(idempotency=key("c")))
    accepted = await store.submit(turn(conversation, idempotency=key("t"), claimed=False))
    generation = accepted.generation
    await store.submit(turn(conversation, idempotency=key("t")))
    await store.submit(work(idempotency=key("w")))
    await store.submit(work(idempotency=key("w"), now_ms=NOW + KEPT_MS))
    await store.submit(Claim(generation.id, "me", 0, NOW))
    await store.submit(BeginAttempt(generation.id, 1, 2))
    await store.submit(Checkpoint((Part(generation.id, 1, 2, 0, Channel.ANSWER, "Hi"),)))
    await store.submit(Cancel(generation.id, ALICE, NOW))
    await store.generations.text_so_far(generation.id)
    await store.submit(finish(generation, epoch=1))
    await store.turn(conversation, parent=generation.message)
    await store.submit(again(conversation, generation.message))
    await store.generations.of_message(generation.message)
    await store.submit(ForgetKeys(NOW))
    await store.submit(chore(conversation))
    await store.submit(ForgetHousekeeping(generation.id))
    await store.submit(KeepProbe("0" * 64, True, NOW))
    await Probes(store.database).continues("0" * 64, NOW)
    await store.submit(ForgetLeftHousekeeping())
    await store.submit(GiveTitle(conversation.id, "A title"))
    await store.submit(SetSummary(ALICE, conversation.id, "All", NOW))
    await store.submit(SetSummary(ALICE, conversation.id, "All of it", NOW))
    await store.submit(save(conversation, accepted.message.id, "More", None))
    await store.summaries.on_branch(conversation.id, accepted.message.id)
    await store.summaries.departed(conversation.id, accepted.message.id, 5)
    await store.submit(
        ChangeConversation(ALICE, conversation.id, {"leaf": accepted.message.id, "title": "New"})
    )
    await read_everything(store, conversation.id, accepted.message.id, generation.id)
    await store.submit(DeleteConversation(ALICE, conversation.id))


async def read_everything(store: Store, conversation: str, message: str, generation: str) -> None:
    page = await store.conversations.page(ALICE, 1, None)
    await store.conversations.page(ALICE, 1, page.next or f"{NOW}.{conversation}")
    await store.conversations.page(_SEARCHING, 1, None, sought_in("hello wor"))
    await store.conversations.get(ALICE, conversation)
    await store.conversations.changes(ALICE, conversation, 0, 10)
    await store.messages.branch(ALICE, conversation, None, None, 1)
    await store.messages.branch(ALICE, conversation, message, None, 1)
    await store.messages.branch(ALICE, conversation, None, message, 1)
    await store.messages.transcript(conversation, message, 10)
    await store.exports.section(ALICE, conversation, 0, 10)
    await store.exports.openings([message], 10)
    await store.generations.get(ALICE, generation)
    for status in (None, Status.QUEUED):
        await store.generations.page(ALICE, status, 1, None)
        await store.generations.page(ALICE, status, 1, generation)
    await store.generations.unfinished("", 2)
    await store.conversations.numbers([conversation])
    await Instances(store.database).owned("inst_1")
    await store.generations.unfinished_elsewhere(ALICE, "inst_1", 10)


@pytest.fixture
async def statements(store) -> Statements:
    """Every statement that is made while everything is done."""
    made: Statements = {}

    def note(_connection, _cursor, statement, parameters, _context, many) -> None:
        if not statement.startswith(_NO_QUERIES):
            made[statement] = parameters[0] if many else parameters

    for engine in engines(store.database._backend):
        event.listen(engine, "before_cursor_execute", note)
    await do_everything(store)
    assert len(made) > 30
    assert any("INTERSECT" in statement for statement in made), "searches were not seen"
    return made


def engines(backend) -> list[Engine]:
    if isinstance(backend, PostgresDatabase):
        return [backend._readers.sync_engine, backend._writer.sync_engine]
    return [part._engine for part in (backend._readers, backend._writer, backend._glances)]


@pytest.fixture
async def plans(statements, database, request) -> Plans:
    if isinstance(database, Path):
        return dict(plans_of_a_file(database, statements))
    request.getfixturevalue("postgres").sql(_ROWS, database.rpartition("/")[2])
    return {statement: plan async for statement, plan in plans_of_a_server(database, statements)}


def plans_of_a_file(path: Path, statements: Statements) -> Iterator[tuple[str, Plan]]:
    tables = {*metadata.tables, "answers"}
    with closing(sqlite3.connect(path)) as connection:
        for statement, parameters in statements.items():
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plan = "\n".join(row[3] for row in rows)
            whole = tables & set(_SCAN.findall(plan))
            yield statement, Plan(whole, bool(_SORT.search(plan)), set(_INDEX.findall(plan)))


async def plans_of_a_server(address: str, statements: Statements) -> AsyncIterator[tuple[str, Plan]]:
    connection = await asyncpg.connect(address)
    try:
        for statement, parameters in statements.items():
            # What was done was done in a short conversation, whose rows a planner may well sort.
            given = [_LONG if str(each).startswith("conv_") else each for each in parameters]
            explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *given)
            nodes = list(nodes_of(json.loads(explained)[0]["Plan"]))
            whole = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
            indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
            yield statement, Plan(whole, any("Sort" in node["Node Type"] for node in nodes), indexes)
    finally:
        await connection.close()


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)


async def test_no_query_reads_a_whole_table(plans) -> None:
    # There are as few instances as there are processes, and as few probes as versions of models.
    found = {statement: plan.whole - {"instances", "probes"} for statement, plan in plans.items()}
    assert {statement: whole for statement, whole in found.items() if whole} == {}


async def test_pages_come_out_of_their_index_in_order(plans) -> None:
    pages = {
        statement: plan.sorts
        for statement, plan in plans.items()
        if "LIMIT" in statement and not any(other in statement for other in _IN_NO_INDEX)
    }
    assert pages
    assert not any(pages.values()), pages


async def test_roots_are_looked_for_among_those_of_their_conversation(plans) -> None:
    # The index of parents has them too, but those of all conversations.
    found = [plan.indexes for statement, plan in plans.items() if "parent IS NULL" in statement]
    assert found
    assert all("ix_messages_roots" in indexes and "ix_messages_parent_id" not in indexes for indexes in found)
