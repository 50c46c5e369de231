import re
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import event

from chatserver.generation.pieces import Channel
from chatserver.generation.states import Status
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.keys import KEPT_MS, ForgetKeys
from chatserver.storage.lifecycle import BeginAttempt, Cancel, Claim
from chatserver.storage.tables import metadata
from tests.unit.storage.store import ALICE, NOW, Store, begin, finish, key, turn, work

# The one index that is read whole holds nothing but what is asked for.
_SCAN = re.compile(r"SCAN (\w+)(?! USING INDEX ix_generations_unfinished)\b")
_SORT = re.compile(r"USE TEMP B-TREE FOR ORDER BY")


async def do_everything(store: Store) -> None:
    """Each command and each read, so that each statement there is gets made."""
    conversation = (await store.submit(begin(idempotency=key("c")))).conversation
    await store.submit(begin(idempotency=key("c")))
    accepted = await store.submit(turn(conversation, idempotency=key("t"), owner=None))
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
    await store.submit(ForgetKeys(NOW))
    await store.submit(ChangeConversation(ALICE, conversation.id, {"leaf": accepted.message.id}))
    await read_everything(store, conversation.id, accepted.message.id, generation.id)
    await store.submit(DeleteConversation(ALICE, conversation.id))


async def read_everything(store: Store, conversation: str, message: str, generation: str) -> None:
    page = await store.conversations.page(ALICE, 1, None)
    await store.conversations.page(ALICE, 1, page.next or f"{NOW}.{conversation}")
    await store.conversations.get(ALICE, conversation)
    await store.conversations.changes(ALICE, conversation, 0, 10)
    await store.messages.branch(ALICE, conversation, None, None, 1)
    await store.messages.branch(ALICE, conversation, message, None, 1)
    await store.messages.branch(ALICE, conversation, None, message, 1)
    await store.messages.transcript(conversation, message, 10)
    await store.generations.get(ALICE, generation)
    for status in (None, Status.QUEUED):
        await store.generations.page(ALICE, status, 1, None)
        await store.generations.page(ALICE, status, 1, generation)
    await store.generations.unfinished()


@pytest.fixture
def statements(store) -> dict[str, object]:
    """Every statement that is made, with parameters of its."""
    made: dict[str, object] = {}

    def note(_connection, _cursor, statement, parameters, _context, many) -> None:
        made[statement] = parameters[0] if many else parameters

    for part in (store.database._readers, store.database._writer, store.database._glances):
        event.listen(part._engine, "before_cursor_execute", note)
    return made


@pytest.fixture
async def plans(store, statements, database_file) -> dict[str, str]:
    """Statement -> how SQLite would carry it out."""
    await do_everything(store)
    with closing(sqlite3.connect(database_file)) as connection:
        return {
            statement: "\n".join(
                row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            )
            for statement, parameters in statements.items()
            if not statement.startswith(("BEGIN", "PRAGMA"))
        }


async def test_no_query_reads_a_whole_table(plans) -> None:
    assert len(plans) > 30
    tables = {*metadata.tables, "answers"}
    scans = {statement: plan for statement, plan in plans.items() if tables & set(_SCAN.findall(plan))}
    assert scans == {}


async def test_pages_come_out_of_their_index_in_order(plans) -> None:
    sorts = {
        statement: plan
        for statement, plan in plans.items()
        if _SORT.search(plan) and "LIMIT" in statement and "RECURSIVE" not in statement
    }
    assert sorts == {}
