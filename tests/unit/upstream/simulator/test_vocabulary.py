from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.upstream.simulator.training import MERGES_FILE, train, training_text
from chatserver.upstream.simulator.vocabulary import SPECIAL_TOKENS, Vocabulary, load_vocabulary, word_pattern
from tests.unit.properties import tried

VOCABULARY = load_vocabulary()
SAMPLES = st.text() | st.text(alphabet="etaoinshrdlu ,.'\n") | st.sampled_from(training_text().splitlines())


@tried(100)
@given(SAMPLES)
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    assert VOCABULARY.decode(VOCABULARY.encode(text)) == text


@tried(100)
@given(SAMPLES)
def test_pieces_are_the_whole_text_and_never_half_a_character(text: str) -> None:
    pieces = VOCABULARY.pieces(text)
    assert "".join(pieces) == text
    assert len(pieces) <= VOCABULARY.count(text)


@tried(100)
@given(SAMPLES)
def test_cutting_into_words_loses_nothing(text: str) -> None:
    assert "".join(word_pattern().findall(text)) == text


@tried(100)
@given(SAMPLES)
def test_merging_by_rank_of_the_result_gives_the_same_tokens(text: str) -> None:
    """Readers of the vocabulary may merge as tiktoken does, by the ids of the tokens alone."""
    ids = {token: number for number, token in enumerate(VOCABULARY.tokens)}
    for word in word_pattern().findall(text):
        spelled = word.encode().decode("latin-1").translate(VOCABULARY._spelling)
        assert [ids[part] for part in merged_by_id(spelled, ids)] == VOCABULARY.encode(word)


def merged_by_id(spelled: str, ids: dict[str, int]) -> list[str]:
    parts = [spelled] if spelled in ids else list(spelled)
    while joined := [left + right for left, right in pairwise(parts) if left + right in ids]:
        best = min(joined, key=ids.__getitem__)
        at = next(at for at, (left, right) in enumerate(pairwise(parts)) if left + right == best)
        parts[at : at + 2] = [best]
    return parts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello world", ["Hello", " world"]),
        ("it's 12345!", ["it", "'s", " ", "123", "45", "!"]),
        ("a_b  c", ["a", "_b", " ", " c"]),
        ("line\n\n  next", ["line", "\n\n", " ", " next"]),
        ("x = y;\n", ["x", " =", " y", ";\n"]),
        ("½ Ⅷ você", ["½", " ", "Ⅷ", " você"]),
        ("end  ", ["end", "  "]),
    ],
)
def test_text_is_cut_as_llama_bpe_cuts_it(text: str, words: list[str]) -> None:
    assert word_pattern().findall(text) == words


def test_markers_of_the_template_are_one_token_each() -> None:
    assert [VOCABULARY.tokens[number] for number in VOCABULARY.encode("".join(SPECIAL_TOKENS))] == [
        *SPECIAL_TOKENS
    ]


def test_everyday_words_are_one_token() -> None:
    assert all(VOCABULARY.count(word) == 1 for word in (" the", " people", " você", " message"))


def test_the_shipped_merges_are_what_training_on_the_shipped_texts_gives() -> None:
    merges = [tuple(line.split()) for line in MERGES_FILE.read_text().splitlines()]
    assert merges == train(training_text()), "run: python -m chatserver.upstream.simulator.training"
    assert 1_000 < len(merges) <= 2_000


def test_training_learns_the_most_frequent_pair_first_and_nothing_from_a_single_sight() -> None:
    assert train("abab ab cd") == [("a", "b")]
    assert train("xyz") == []


def test_random_words_do_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr("chatserver.upstream.simulator.vocabulary._MOST_WORDS", 10)
    vocabulary = Vocabulary([("a", "b")])
    for number in range(100):
        vocabulary.encode(f"ab{chr(97 + number % 26)}{chr(97 + number // 26)}")
    assert len(vocabulary._words) <= 10
