import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chatserver.chat import idempotency as keys
from chatserver.chat.idempotency import forget_old_keys, idempotency
from chatserver.storage.records import Idempotency
from tests.unit.chat.desk import Desk
from tests.unit.clock import MovedClock
from tests.unit.properties import PROPERTY
from tests.unit.works import working

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=3), JSON, max_size=3)
#: Operation, target, body.
REQUESTS = st.tuples(st.text(max_size=3), st.text(max_size=3), BODIES)


def test_without_a_key_nothing_is_a_repeat() -> None:
    assert idempotency(None, "send", "conv_1", {}) is None


@PROPERTY
@given(BODIES)
def test_the_order_of_names_makes_no_other_request(body) -> None:
    turned = dict(reversed(body.items()))
    assert idempotency("k", "send", "conv_1", body) == idempotency("k", "send", "conv_1", turned)


@PROPERTY
@given(REQUESTS, REQUESTS)
def test_another_operation_target_or_body_is_another_request(one, other) -> None:
    first, second = idempotency("k", *one), idempotency("k", *other)
    assert isinstance(first, Idempotency)
    assert (first == second) == (one == other)


def keys_in(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "chatserver.db")) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM idempotency ORDER BY key")]


async def test_old_keys_are_removed_now_and_then(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(keys, "_FORGET_EVERY_S", 0.001)
    clock = MovedClock()
    async with working(tmp_path, clock=clock) as works:
        desk = Desk(works)
        await desk.begin(key="old")
        clock.move(25 * 3600)
        await desk.begin(key="new")
        forgetting = asyncio.create_task(forget_old_keys(works.parts.store.writer, clock))
        async with works.store_away():
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            while keys_in(works.folder) != ["new"]:  # noqa: ASYNC110 - the disk tells nobody
                await asyncio.sleep(0.001)
        assert not forgetting.done()
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
