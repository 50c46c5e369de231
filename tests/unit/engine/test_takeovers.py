"""One instance dies in the middle of an answer, and another brings it to its end."""

from chatserver.generation.log import text_sha256
from chatserver.generation.pieces import Reset, Started
from chatserver.generation.states import Status
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.engine.pair import Pair, Reader, pair

QUESTION = "Write 60 words about the sea."
SPEED = SimulatorOptions(rate=150)


async def taken_over(both: Pair, question: str = QUESTION, **request) -> tuple[str, Reader, str]:
    """Have the first one begin an answer and die, and the second one end it, before the eyes of a reader."""
    generation = await both.first.accept(question, **request)
    with Reader(both.second.parts.peers.feed(generation)) as reader:
        await both.begun(generation)
        await reader.until(lambda reader: len(reader.text) > 8)
        seen = reader.text
        await both.first_dies()
        await both.second_takes(generation)
        ending = await reader.until_end()
    record = await both.second.record(generation)
    assert record.result == reader.text
    assert record.sha256 == ending.sha256 == text_sha256(reader.text)
    assert record.usage == ending.usage
    return generation, reader, seen


async def undisturbed(both: Pair, question: str = QUESTION, **request):
    generation = await both.first.accept(question, **request)
    await both.first.ended(generation)
    return await both.first.record(generation)


async def test_a_model_that_can_goes_on_and_the_text_is_as_if_nothing_had_happened(tmp_path) -> None:
    async with pair(tmp_path, SPEED) as both:
        whole = await undisturbed(both)
        await both.know(continues=True)
        generation, reader, seen = await taken_over(both)
        assert reader.text == whole.result
        assert reader.text.startswith(seen)
        assert reader.resets == 0
        assert [started.attempt for started in reader.started] == [1]
        pieces = both.shared(generation)
        assert not [piece for piece in pieces if isinstance(piece, Reset)]
        assert len([piece for piece in pieces if isinstance(piece, Started)]) == 1
        record = await both.second.record(generation)
        assert (record.status, record.usage, record.attempts) == (Status.COMPLETED, whole.usage, 2)


async def test_a_model_that_can_not_makes_the_whole_anew(tmp_path) -> None:
    async with pair(tmp_path, SPEED) as both:
        await both.know("sim-closed:latest", continues=False)
        whole = await undisturbed(both, model="sim-closed:latest")
        generation, reader, _ = await taken_over(both, model="sim-closed:latest")
        assert reader.text == whole.result
        assert reader.resets == 1
        assert [started.attempt for started in reader.started] == [2]
        assert len([piece for piece in both.shared(generation) if isinstance(piece, Reset)]) == 1
