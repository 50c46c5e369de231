"""A model's vocabulary, as Ollama describes it, made into what counts its tokens."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiktoken import Encoding

from chatserver.context.patterns import PATTERNS

#: Token types of GGUF that are found in text as they stand: control, and defined by the model's maker.
_FOUND_AS_THEY_STAND = {3, 4}
#: No vocabulary in use has as many tokens or merges, or as many tokens that are found as they stand.
_MOST = 2_000_000
_MOST_SPECIAL = 4_096


class UnusableVocabularyError(Exception):
    """A vocabulary that isn't there, that is of a kind not known here, or that is broken."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    #: How text is cut into words: a name in PATTERNS.
    cut: str
    #: Every token that merging can make, after the 256 bytes, in the order of merging.
    merged: Sequence[bytes]
    #: Tokens that are found in text as they stand.
    special: Sequence[str]

    @property
    def name(self) -> str:
        """Tell it from any other one: the same name, the same counts."""
        digest = hashlib.sha256()
        for part in (PATTERNS[self.cut].encode(), *map(str.encode, self.special), b"", *self.merged):
            digest.update(len(part).to_bytes(4) + part)
        return digest.hexdigest()[:16]

    def encoding(self) -> Encoding:
        """Make what counts. It takes some 0.6 µs a token, in which nothing else runs in the process."""
        ranks = {bytes([byte]): byte for byte in range(256)}
        ranks.update(zip(self.merged, range(256, 256 + len(self.merged)), strict=True))
        special = {token: len(ranks) + number for number, token in enumerate(self.special)}
        return Encoding(self.name, pat_str=PATTERNS[self.cut], mergeable_ranks=ranks, special_tokens=special)


def read_vocabulary(model_info: Mapping[str, Any]) -> Vocabulary:
    """Read what a verbose description holds; UnusableVocabularyError where it can't be counted by."""
    kind, cut = model_info.get("tokenizer.ggml.model"), model_info.get("tokenizer.ggml.pre")
    if kind != "gpt2" or not isinstance(cut, str) or cut not in PATTERNS:
        raise UnusableVocabularyError(f"its kind ({kind}, {cut}) isn't known")
    tokens = _strings(model_info, "tokenizer.ggml.tokens")
    merges = _strings(model_info, "tokenizer.ggml.merges")
    types = model_info.get("tokenizer.ggml.token_type")
    if not isinstance(types, list) or len(types) != len(tokens):
        raise UnusableVocabularyError("its token types are missing or don't match its tokens")
    special = [token for token, kind in zip(tokens, types, strict=True) if kind in _FOUND_AS_THEY_STAND]
    special = list(dict.fromkeys(filter(None, special)))
    if len(special) > _MOST_SPECIAL:
        raise UnusableVocabularyError("it has too many tokens that are found as they stand")
    return Vocabulary(cut, _merged(merges, set(tokens)), special)


def _strings(model_info: Mapping[str, Any], name: str) -> list[str]:
    values = model_info.get(name)
    if not isinstance(values, list) or not values or len(values) > _MOST:
        raise UnusableVocabularyError(f"{name} is missing or too long")
    if not all(isinstance(value, str) for value in values):
        raise UnusableVocabularyError(f"{name} holds something else than text")
    return values


def _merged(merges: Iterable[str], tokens: set[str]) -> list[bytes]:
    """Give what each merge makes, once, in the order of merging, which is what ranks are.

    Some vocabularies name every pair that makes a token; then the first one counts.
    """
    made = dict.fromkeys(merge.replace(" ", "", 1) for merge in merges)
    if not made.keys() <= tokens:
        raise UnusableVocabularyError("its merges make tokens that it doesn't have")
    alphabet = byte_alphabet()
    try:
        spelled = [bytes(alphabet[ord(letter)] for letter in token) for token in made]
    except KeyError:
        raise UnusableVocabularyError("its tokens aren't spelled in bytes") from None
    if any(len(token) < 2 for token in spelled):
        raise UnusableVocabularyError("a merge makes a single byte")
    return spelled


def byte_alphabet() -> dict[int, int]:
    """Give the byte that each printable character stands for, as GPT-2 defined it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + n: byte for n, byte in enumerate(hidden)}
