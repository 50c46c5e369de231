"""A process that stands still for a while, as when its machine is moved, goes on where it was."""

import asyncio
import signal
from pathlib import Path

from tests.harness.readers import Moment, by_sse, read
from tests.harness.received import Received
from tests.harness.service import service_of

_ANSWERS = 8
_SILENCE_S = 1
_SIMULATOR = ("--rate", "40", "--parallel", str(_ANSWERS))
#: Longer than a model may be silent.
_STILL_S = 1.5
_QUESTION = "Long. [[tokens=100]]"
_BEGUN = 10


async def test_an_answer_outlasts_a_standstill_longer_than_a_model_may_be_silent(tmp_path: Path) -> None:
    silence = {"ollama.first_token_timeout_s": _SILENCE_S, "ollama.stall_timeout_s": _SILENCE_S}
    async with service_of(tmp_path, {"ollama.slots": _ANSWERS, **silence}, _SIMULATOR) as service:
        readings = [Received(await service.client.ask(_QUESTION)) for _ in range(_ANSWERS)]
        begun = Moment(lambda: all(len(received.answer) > _BEGUN for received in readings))
        async with asyncio.TaskGroup() as group:
            for received in readings:
                group.create_task(read(service.client, received, by_sse, begun.look))
            await begun.wait()
            service.server.signal(signal.SIGSTOP)
            await asyncio.sleep(_STILL_S)
            service.server.signal(signal.SIGCONT)
    assert [received.end["reason"] for received in readings if received.end] == ["completed"] * _ANSWERS
    assert not any(received.resets for received in readings)
