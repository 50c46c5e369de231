"""Vocabularies on disk, a file for each version of a model, so that a start needs no description of 10 MB."""

import hashlib
import os
import re
from pathlib import Path

import orjson
import structlog

from chatserver.context.patterns import PATTERNS
from chatserver.context.vocabulary import Vocabulary

#: Files kept; those used longest ago go first.
_MOST_FILES = 16
#: Raised when the form of a file or what a vocabulary consists of changes.
_FORM = b"chatserver vocabulary 1\n"
_DIGEST = re.compile(r"[0-9a-f]{64}")

log = structlog.get_logger()


class VocabularyFiles:
    """Blocks: asynchronous callers use a thread. Whatever is wrong with a file, there is another way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, digest: str) -> Vocabulary | None:
        path = self._path(digest)
        if path is None:
            return None
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        vocabulary = _unpacked(data)
        if vocabulary is None:
            log.warning("vocabulary_file_damaged", file=path.name)
            path.unlink(missing_ok=True)
        return vocabulary

    def write(self, digest: str, vocabulary: Vocabulary) -> None:
        path = self._path(digest)
        if path is None:
            return
        unfinished = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # It appears under its name only as a whole; what a crash of the machine damages fails its sum.
            unfinished.write_bytes(_packed(vocabulary))
            unfinished.replace(path)
            self._tidy()
        except OSError as error:
            log.warning("vocabulary_file_not_written", error=error.strerror)

    def _path(self, digest: str) -> Path | None:
        # It comes from a model server, and becomes a name of a file.
        return self._folder / digest if _DIGEST.fullmatch(digest) else None

    def _tidy(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[_MOST_FILES:]:
            path.unlink(missing_ok=True)


def _packed(vocabulary: Vocabulary) -> bytes:
    head = orjson.dumps(
        {
            "cut": vocabulary.cut,
            "special": vocabulary.special,
            "lengths": [len(token) for token in vocabulary.merged],
        }
    )
    body = head + b"\n" + b"".join(vocabulary.merged)
    return _FORM + hashlib.sha256(body).digest() + body


def _unpacked(data: bytes) -> Vocabulary | None:
    body = data[len(_FORM) + 32 :]
    if data[: len(_FORM) + 32] != _FORM + hashlib.sha256(body).digest():
        return None
    line, _, joined = body.partition(b"\n")
    head = orjson.loads(line)
    merged: list[bytes] = []
    start = 0
    for length in head["lengths"]:
        merged.append(joined[start : start + length])
        start += length
    # A version that has learned or unlearned a way of cutting reads anew.
    return Vocabulary(head["cut"], merged, head["special"]) if head["cut"] in PATTERNS else None
