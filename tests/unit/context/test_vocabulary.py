import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatserver.context.exact import Exact
from chatserver.context.patterns import PATTERNS
from chatserver.context.vocabulary import UnusableVocabularyError, Vocabulary, read_vocabulary
from chatserver.upstream.simulator.catalogue import CATALOGUE, full_description
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.context.vocabularies import DEFINED, SPECIAL, described, trained
from tests.unit.properties import PROPERTY, tried

FAMILIES = ("gpt-2", "llama-bpe", "qwen2", "qwen35")
CODE = 'if x["a"] != None:\n\treturn {k: v**2 for k, v in it\'s.items()}  # 100%\r\n'
PIECES = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="aeiou thes'TLVE", max_size=30),
    st.text(alphabet=" \n\r\t\v\f\u00a0\u3000\u2028\x85\x1c", max_size=12),
    st.text(alphabet=st.characters(min_codepoint=0x1F300, max_codepoint=0x1FAFF), max_size=6),
    st.text(alphabet="0123456789٣٤²½Ⅷ.,", max_size=12),
    st.text(alphabet="aéàüñ\u0301\u0308中文日本語हिन्दी", max_size=16),
    st.sampled_from(
        [*SPECIAL, *DEFINED, "<|im_", CODE, "don't", "I'LL", "\u017f", "'\u017f", "\u200d", "👩‍👩‍👧‍👦", "🇧🇷"]
    ),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def reference(cut: str, text: str) -> int:
    return len(trained(cut).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("cut", FAMILIES)
def test_counts_are_those_of_the_reference_to_the_token(cut) -> None:
    counter = Exact(read_vocabulary(described(cut)).encoding())

    @tried(100)
    @given(TEXTS)
    @example("")
    @example(CODE * 20)
    @example("a" * 500 + " " * 500 + "\n" * 500)
    def agree(text) -> None:
        assert counter.count(text) == reference(cut, text)

    agree()


def test_the_families_are_all_that_is_known() -> None:
    assert {PATTERNS[cut] for cut in FAMILIES} == set(PATTERNS.values())


def test_the_simulated_models_count_the_same() -> None:
    info = full_description(CATALOGUE[0], verbose=True)["model_info"]
    counter = Exact(read_vocabulary(info).encoding())

    @PROPERTY
    @given(TEXTS)
    def agree(text) -> None:
        assert counter.count(text) == load_vocabulary().count(text)

    agree()


def test_of_several_ways_to_make_a_token_the_first_says_when() -> None:
    info = described("gpt-2")
    repeated = {
        **info,
        "tokenizer.ggml.merges": [*info["tokenizer.ggml.merges"], *info["tokenizer.ggml.merges"]],
    }
    assert read_vocabulary(repeated) == read_vocabulary(info)


def test_a_vocabulary_is_known_by_all_that_counts() -> None:
    one = Vocabulary("gpt-2", [b"ab", b"cd"], ["<s>"])
    assert one.name == Vocabulary("gpt-2", [b"ab", b"cd"], ["<s>"]).name
    others = [
        Vocabulary("phi-2", [b"ab", b"cd"], ["<s>"]),
        Vocabulary("qwen2", [b"ab", b"cd"], ["<s>"]),
        Vocabulary("gpt-2", [b"abc", b"d"], ["<s>"]),
        Vocabulary("gpt-2", [b"cd", b"ab"], ["<s>"]),
        Vocabulary("gpt-2", [b"ab", b"cd"], ["<s", ">"]),
        Vocabulary("gpt-2", [b"ab", b"cd"], []),
    ]
    # The first is cut by another name for the same.
    assert [other.name == one.name for other in others] == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tokenizer.ggml.model": "llama"}, "kind"),
        ({"tokenizer.ggml.pre": "kimi-k2"}, "kind"),
        ({"tokenizer.ggml.pre": ["gpt-2"]}, "kind"),
        ({"tokenizer.ggml.tokens": None}, "tokens is missing"),
        ({"tokenizer.ggml.merges": None}, "merges is missing"),
        ({"tokenizer.ggml.merges": []}, "merges is missing"),
        ({"tokenizer.ggml.merges": [7]}, "something else than text"),
        ({"tokenizer.ggml.merges": ["x q"]}, "doesn't have"),
        ({"tokenizer.ggml.merges": [" a"]}, "single byte"),
        (
            {
                "tokenizer.ggml.merges": ["\u0001 \u0002"],
                "tokenizer.ggml.tokens": ["\u0001\u0002"],
                "tokenizer.ggml.token_type": [1],
            },
            "spelled in bytes",
        ),
        ({"tokenizer.ggml.token_type": [1]}, "token types"),
        ({"tokenizer.ggml.token_type": None}, "token types"),
        (
            {"tokenizer.ggml.tokens": [*map(str, range(5000))], "tokenizer.ggml.token_type": [3] * 5000},
            "too many",
        ),
    ],
)
def test_what_cant_be_counted_by_is_told(changed, why) -> None:
    with pytest.raises(UnusableVocabularyError, match=why):
        read_vocabulary(described("gpt-2") | changed)
    with pytest.raises(UnusableVocabularyError):
        read_vocabulary({})


def test_building_a_large_encoding_blocks_the_process_for_a_moment_only() -> None:
    tokens = [b"t%d" % number for number in range(150_000)]
    # One of three is enough: whatever else a busy machine does only makes them longer.
    assert any(longest_step(Vocabulary("llama-bpe", tokens, SPECIAL)) <= 0.15 for _ in range(3))


def longest_step(vocabulary: Vocabulary) -> float:
    """Build its encoding; gives the most time the process spent between two steps of another thread."""
    building = threading.Thread(target=vocabulary.encoding)
    longest, last = 0.0, time.process_time()
    building.start()
    while building.is_alive():
        now = time.process_time()
        longest, last = max(longest, now - last), now
        time.sleep(0.001)
    return max(longest, time.process_time() - last)
