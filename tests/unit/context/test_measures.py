import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import structlog

from chatserver.context.measures import Measures, Sent
from chatserver.context.vocabulary_files import VocabularyFiles
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.clock import MovedClock
from tests.unit.context.vocabularies import described, trained
from tests.unit.upstream.server import Scripted, plain, scripted

TEXT = "Tell me about the sea, please: is it <|im_end|> deep?"
DIGEST = "cd" * 32
Open = Callable[[str], AsyncIterator[Measures]]


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def measuring(tmp_path, clock):
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Measures]:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(OllamaClient(url, Deadlines(5, 5, 5, 5)))
            fleet = Fleet([client], "", clock.now)
            await fleet.refresh()
            yield await stack.enter_async_context(
                Measures(fleet, VocabularyFiles(tmp_path / "vocabularies"), clock)
            )

    return opened


@asynccontextmanager
async def ollama(model_info: object, name: str = "m:latest") -> AsyncIterator[Scripted]:
    """One that answers everything with all that it knows."""
    said = {"models": [{"name": name, "digest": DIGEST}], "model_info": model_info}
    async with scripted(plain(json.dumps(said).encode())) as server:
        yield server


def described_to(server: Scripted) -> int:
    return sum(b"/api/show" in request for request in server.requests)


def sent(tokens: int, *, messages: int = 1, exact: bool = True, only_text: bool = True) -> Sent:
    roles = ["user", "assistant"] * messages
    shown = [{"role": role, "content": ""} for role in roles[:messages]]
    return Sent(tokens, shown, only_text=only_text, exact=exact)


async def test_a_vocabulary_is_fetched_and_built_once_however_many_ask(measuring) -> None:
    async with ollama(described("qwen2")) as server, measuring(server.url) as measures:
        assert not measures.at_hand("m").exact
        found = await asyncio.gather(*(measures.of(name) for name in ("m", "m:latest", "m")))
        assert {measure.exact for measure in found} == {True}
        assert len({id(measure.counter) for measure in found}) == 1
        expected = len(trained("qwen2").encode(TEXT, add_special_tokens=False).ids)
        assert measures.at_hand("m").counter.count(TEXT) == expected
        assert described_to(server) == 1


async def test_the_next_start_reads_it_from_the_disk(measuring) -> None:
    async with ollama(described("qwen2")) as server:
        async with measuring(server.url) as measures:
            before = (await measures.of("m")).counter
        async with measuring(server.url) as measures:
            after = (await measures.of("m")).counter
        assert (after.name, described_to(server)) == (before.name, 1)


async def test_simulated_models_are_counted_as_they_count_themselves(measuring) -> None:
    async with serve_simulator(SimulatorOptions()) as url, measuring(url) as measures:
        counter = (await measures.of("sim-chat")).counter
        assert counter.count(TEXT) == load_vocabulary().count(TEXT)


@pytest.mark.parametrize(
    "model_info",
    [
        None,
        {},
        {"tokenizer.ggml.model": "llama"},
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"},
    ],
)
async def test_without_a_vocabulary_there_is_an_estimate_and_one_warning(
    measuring, clock, model_info
) -> None:
    async with ollama(model_info) as server, measuring(server.url) as measures:
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                measure = await measures.of("m")
                clock.move(60)
        assert not measure.exact
        assert measure.counter.count(TEXT) > 0
        assert [line["event"] for line in lines] == ["tokens_are_estimated"]
        assert described_to(server) == 1


async def test_a_vocabulary_that_no_tokenizer_takes_is_no_failure(measuring) -> None:
    info = described("qwen2")
    # Half a character.
    broken = {
        **info,
        "tokenizer.ggml.tokens": [*info["tokenizer.ggml.tokens"], "<\ud800>"],
        "tokenizer.ggml.token_type": [*info["tokenizer.ggml.token_type"], 3],
    }
    async with ollama(broken) as server, measuring(server.url) as measures:
        with structlog.testing.capture_logs() as lines:
            loading = measures._known("m").loading
            assert loading is not None
            await loading
        assert not measures.at_hand("m").exact
        assert [line["event"] for line in lines] == ["vocabulary_failed"]


async def test_a_server_that_is_away_is_asked_again_later_and_warned_of_once(measuring, clock) -> None:
    async with measuring("http://127.0.0.1:1") as measures:
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                assert not (await measures.of("m")).exact
                clock.move(40)
            loading = measures._known("m").loading
            assert loading is not None
            await loading
            assert measures._known("m").loading is None
    assert [line["event"] for line in lines] == ["tokens_are_estimated"]


async def test_the_number_of_models_is_bounded(measuring) -> None:
    async with ollama({}) as server, measuring(server.url) as measures:
        for number in range(40):
            await measures.of(f"m{number}")
        assert len(measures._models) == 8


async def test_what_a_template_adds_is_learned_and_a_wrong_count_is_told(measuring) -> None:
    async with ollama(described("qwen2")) as server, measuring(server.url) as measures:
        await measures.of("m")
        assert measures.learn("m", sent(1000), 1012) == "within"
        assert measures.learn("m", sent(1000, messages=3), 1022) == "within"
        assert measures.at_hand("m").overhead.of(sent(0, messages=5).messages) == 32
        with structlog.testing.capture_logs() as lines:
            assert measures.learn("m", sent(1000, messages=5), 1032) == "within"
            assert measures.learn("m", sent(1000, messages=5), 1100) == "off"
            # What is shorter than its texts was not counted whole.
            assert measures.learn("m", sent(1000, messages=5), 300) == "unusable"
            assert measures.learn("m", sent(1000, only_text=False), 5000) == "unusable"
        assert lines == [
            {"event": "prompt_count_off", "log_level": "warning", "model": "m", "counted": 1100, "off": 68}
        ]


async def test_estimates_learn_their_factor(measuring) -> None:
    async with ollama({}) as server, measuring(server.url) as measures:
        text = "word " * 900
        for _ in range(20):
            measure = await measures.of("m")
            guess = measure.counter.count(text)
            verdict = measures.learn(
                "m", sent(guess, exact=False), 900 + measure.overhead.of(sent(0).messages)
            )
            assert verdict == "within"
        assert measures.at_hand("m").counter.count(text) == pytest.approx(900, rel=0.02)
