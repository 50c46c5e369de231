"""After the death of its owner an answer goes on: soon, and with the text it would have had."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from tests.harness.instances import LEASE_S, Cluster, cluster_of
from tests.harness.postgres import Postgres
from tests.harness.readers import READ_S, TRANSPORTS, Moment, Transport, read, read_whole
from tests.harness.received import Received

_ANSWERS = 12
_QUESTION = "Tell me of the sea. [[tokens=150]]"
_BEGUN = 20
#: Seconds that finding an owner dead, claiming its work and asking the model may take beside the lease.
_SOON_S = 2

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def cluster(tmp_path, postgres: Postgres) -> AsyncIterator[Cluster]:
    model = ("--rate", "60", "--parallel", str(_ANSWERS))
    async with cluster_of(tmp_path, postgres, 2, {"ollama.slots": _ANSWERS}, model) as cluster:
        yield cluster


class _Watched:
    """An answer as a reader of the instance that stays gets it, and when the next owner had gone on."""

    def __init__(self, generation: str) -> None:
        self.received = Received(generation)
        self.went_on_at: float | None = None

    def look(self, received: Received) -> None:
        if self.went_on_at is None and received.after is not None and not received.after.startswith("1."):
            self.went_on_at = asyncio.get_running_loop().time()


async def _killed_in_mid_answer(cluster: Cluster, model: str) -> tuple[Sequence[_Watched], float]:
    """Have answers made by the first instance and kill it; gives them read to the end, and when it died."""
    here, there = cluster.clients
    asking = [here.hand_in(_QUESTION, model=model) for _ in range(_ANSWERS)]
    answers = [_Watched(generation) for generation in await asyncio.gather(*asking)]
    begun = Moment(lambda: all(len(answer.received.answer) > _BEGUN for answer in answers))

    async def follow(answer: _Watched, transport: Transport) -> None:
        def look(received: Received) -> bool:
            answer.look(received)
            return begun.look(received)

        await read(there, answer.received, transport, look)

    async with asyncio.timeout(READ_S), asyncio.TaskGroup() as tasks:
        for n, answer in enumerate(answers):
            tasks.create_task(follow(answer, TRANSPORTS[n % len(TRANSPORTS)]), name=f"reader {n}")
        await begun.wait()
        died_at = asyncio.get_running_loop().time()
        await cluster.servers[0].kill()
    return answers, died_at


async def _undisturbed(cluster: Cluster, model: str, *, continues: bool) -> str:
    """Give the answer as it is without a death, when it is known whether the model can go on with one."""
    here = cluster.clients[0]
    whole = await read_whole(here, await here.hand_in(_QUESTION, model=model))
    assert json.loads(await cluster.servers[0].said("template_probed"))["continues"] is continues
    return whole.answer


@pytest.mark.parametrize(
    ("model", "continues", "resets"), [("sim-chat", True, []), ("sim-closed", False, ["attempt_failed"])]
)
async def test_the_next_piece_comes_soon_and_the_text_is_that_of_an_undisturbed_run(
    cluster: Cluster, record_property, model: str, continues: bool, resets: list[str]
) -> None:
    text = await _undisturbed(cluster, model, continues=continues)
    answers, died_at = await _killed_in_mid_answer(cluster, model)
    pauses = [answer.went_on_at - died_at for answer in answers if answer.went_on_at is not None]
    record_property("seconds until the next piece", f"{min(pauses):.2f} to {max(pauses):.2f}")
    assert len(pauses) == _ANSWERS
    assert max(pauses) <= LEASE_S + _SOON_S
    for received in (answer.received for answer in answers):
        assert received.end is not None
        assert (received.end["reason"], received.answer) == ("completed", text)
        assert received.resets == resets
