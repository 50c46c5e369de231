import time
from statistics import median

import pytest

from chatserver.context.exact import Exact
from chatserver.context.vocabulary import read_vocabulary
from tests.unit.context.vocabularies import described, trained


@pytest.fixture(scope="module")
def exact() -> Exact:
    return Exact(read_vocabulary(described("qwen2")).encoding())


@pytest.mark.parametrize("character", [" ", "\n", "a", "^", "字", "\t\n", "a ", "👍🏽"])
def test_a_text_of_a_million_characters_is_counted_in_pieces(exact, character) -> None:
    text = character * (2**20 // len(character))
    begun = time.process_time()
    counted = exact.count(text)
    assert time.process_time() - begun < 2
    piece = text[: 30_000 // len(character) * len(character)]
    assert counted == pytest.approx(exact.count(piece) * len(text) / len(piece), rel=0.01)


def test_what_is_counted_in_pieces_is_off_by_next_to_nothing(exact) -> None:
    text = "The quick brown fox jumps over the lazy dog, isn't it?\n" * 5000
    whole = len(trained("qwen2").encode(text, add_special_tokens=False).ids)
    assert exact.count(text) == pytest.approx(whole, abs=len(text) / 32_768 + 1)


def test_a_text_is_counted_once(exact, monkeypatch) -> None:
    exact.count("A system prompt.")
    monkeypatch.setattr(exact, "_encoding", None)
    assert exact.count("A system prompt.") > 0


def test_a_short_question_costs_some_microseconds(exact) -> None:
    texts = [f"What is the capital of country number {number}, please?" for number in range(200)]
    costs = []
    for text in texts:
        begun = time.thread_time()
        exact.count(text)
        costs.append(time.thread_time() - begun)
    assert median(costs) < 100e-6
