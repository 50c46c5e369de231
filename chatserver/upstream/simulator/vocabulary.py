"""The simulated models' vocabulary: byte-level byte-pair encoding, small but real, so that counts are true.

It is what `/api/show` hands out, and what the simulator itself counts and streams by. Text is cut the way
llama.cpp's `llama-bpe` pre-tokenizer cuts it, so whoever reads the vocabulary gets the same numbers.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files

from chatserver.upstream.simulator.merging import merge

#: Tokens that stand for the template's markers; the tokenizer never finds them inside ordinary words.
TEXT_END, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (TEXT_END, TURN_START, TURN_END)

#: What `tokenizer.ggml.pre` names; whoever counts must cut text the same way.
PRE_TOKENIZER = "llama-bpe"

_SPECIAL_CUT = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
#: Unicode's White_Space; Python's own \s has four control characters more.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: Encoded words kept for reuse; a conversation's words repeat, random input must not grow it for ever.
_MOST_WORDS = 50_000
#: Longer segments are encoded each time, so that the cache of segments stays within some 30 MB.
_LONGEST_CACHED_SEGMENT = 2_000


def byte_alphabet() -> list[str]:
    """Return the printable character that stands for each byte, as GPT-2 defined it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(hidden)) for byte in range(256)]


def _numeral_ranges() -> str:
    """Return the numbers which are not decimal digits (², Ⅷ, ½), as a character class."""
    ranges: list[list[int]] = []
    for code in range(0x80, 0x20000):
        if unicodedata.category(chr(code)) in ("Nl", "No"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


@cache
def word_pattern() -> re.Pattern[str]:
    """Return the pattern that cuts text into words before any merging: `llama-bpe` in Python's terms."""
    numerals = _numeral_ranges()
    # Python's \w is exactly the letters, all numbers and the underscore.
    letter, number = rf"[^\W\d_{numerals}]", rf"[\d{numerals}]"
    return re.compile(
        "'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])"
        rf"|(?:[^\r\n\w]|_)?{letter}+"
        rf"|{number}{{1,3}}"
        rf"| ?(?:_|[^\w{_SPACE}])+[\r\n]*"
        rf"|[{_SPACE}]*[\r\n]+"
        rf"|[{_SPACE}]+(?![^{_SPACE}])"
        rf"|[{_SPACE}]+"
    )


class Vocabulary:
    """Text to token ids and back."""

    def __init__(self, merges: Iterable[tuple[str, str]]) -> None:
        self.merges = list(merges)
        alphabet = byte_alphabet()
        #: All tokens in the order of their ids, spelled in the byte alphabet: bytes, merges, markers.
        self.tokens = [*alphabet, *(left + right for left, right in self.merges), *SPECIAL_TOKENS]
        self._spelling = str.maketrans({chr(byte): letter for byte, letter in enumerate(alphabet)})
        self._byte_of = {letter: byte for byte, letter in enumerate(alphabet)}
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self._bytes = [self._spell_out(token) for token in self.tokens]
        self._words: dict[str, tuple[int, ...]] = {}
        self._cut = word_pattern().findall
        self._cached_segment = lru_cache(4_096)(self._encode_segment)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; markers of the template in it become their special tokens."""
        ids: list[int] = []
        for segment in _SPECIAL_CUT.split(text):
            if segment in SPECIAL_TOKENS:
                ids.append(self._ids[segment])
            elif len(segment) <= _LONGEST_CACHED_SEGMENT:
                ids.extend(self._cached_segment(segment))
            else:
                ids.extend(self._encode_segment(segment))
        return ids

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self._bytes[number] for number in ids).decode("utf-8", "replace")

    def pieces(self, text: str) -> list[str]:
        """Cut `text` as a model would stream it: one token each, but never half a character."""
        return list(self._whole_characters(self.encode(text)))

    def _whole_characters(self, ids: list[int]) -> Iterator[str]:
        held = b""
        for number in ids:
            held += self._bytes[number]
            try:
                text = held.decode()
            except UnicodeDecodeError:
                continue
            held = b""
            yield text

    def _encode_segment(self, segment: str) -> tuple[int, ...]:
        ids: list[int] = []
        for word in self._cut(segment):
            known = self._words.get(word)
            ids.extend(self._encode_word(word) if known is None else known)
        return tuple(ids)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        spelled = word.encode().decode("latin-1").translate(self._spelling)
        whole = self._ids.get(spelled)
        ids = (whole,) if whole is not None else tuple(self._ids[part] for part in merge(spelled, self._rank))
        if len(self._words) >= _MOST_WORDS:
            self._words.clear()
        self._words[word] = ids
        return ids

    def _spell_out(self, token: str) -> bytes:
        if token in SPECIAL_TOKENS:
            return token.encode()
        return bytes(self._byte_of[letter] for letter in token)


def spelled_words(text: str) -> Iterator[str]:
    """Yield the words of `text` in the byte alphabet, as training counts them."""
    spelling = str.maketrans({chr(byte): letter for byte, letter in enumerate(byte_alphabet())})
    for word in word_pattern().findall(text):
        yield word.encode().decode("latin-1").translate(spelling)


@cache
def load_vocabulary() -> Vocabulary:
    """Return the vocabulary that is shipped with the package."""
    lines = files(__package__).joinpath("texts/merges.txt").read_text(encoding="utf-8").splitlines()
    return Vocabulary((left, right) for left, right in map(str.split, lines))
