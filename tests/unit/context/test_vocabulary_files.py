import os
import stat

import pytest

from chatserver.context import vocabulary_files
from chatserver.context.vocabulary import Vocabulary, read_vocabulary
from chatserver.context.vocabulary_files import VocabularyFiles
from tests.unit.context.vocabularies import described

DIGEST = "ab" * 32


@pytest.fixture
def vocabulary() -> Vocabulary:
    return read_vocabulary(described("llama-bpe"))


@pytest.fixture
def files(tmp_path) -> VocabularyFiles:
    return VocabularyFiles(tmp_path / "vocabularies")


def test_what_is_written_is_read_again(files, vocabulary, tmp_path) -> None:
    assert files.read(DIGEST) is None
    files.write(DIGEST, vocabulary)
    assert files.read(DIGEST) == vocabulary
    assert [path.name for path in (tmp_path / "vocabularies").iterdir()] == [DIGEST]
    assert stat.S_IMODE((tmp_path / "vocabularies").stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["", "short", "turned"])
def test_a_damaged_file_is_removed_and_told(files, vocabulary, tmp_path, damage, capsys) -> None:
    files.write(DIGEST, vocabulary)
    path = tmp_path / "vocabularies" / DIGEST
    data = bytearray(path.read_bytes())
    if damage == "turned":
        data[len(data) // 2] ^= 1
    path.write_bytes(b"" if not damage else data[:-1] if damage == "short" else data)
    assert files.read(DIGEST) is None
    assert not path.exists()
    files.write(DIGEST, vocabulary)
    assert files.read(DIGEST) == vocabulary


def test_a_way_of_cutting_that_isnt_known_any_more_is_read_anew(files, vocabulary, monkeypatch) -> None:
    files.write(DIGEST, vocabulary)
    monkeypatch.delitem(vocabulary_files.PATTERNS, "llama-bpe")
    assert files.read(DIGEST) is None


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "ab", "AB" * 32, "ab" * 32 + "\n"])
def test_only_a_digest_names_a_file(files, vocabulary, tmp_path, digest) -> None:
    files.write(digest, vocabulary)
    assert files.read(digest) is None
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_files_is_bounded_and_those_used_longest_ago_go(files, vocabulary, tmp_path) -> None:
    digests = [f"{number:064x}" for number in range(20)]
    for age, digest in enumerate(digests[:16]):
        files.write(digest, vocabulary)
        os.utime(tmp_path / "vocabularies" / digest, (age, age))
    # Read just now.
    files.read(digests[0])
    for digest in digests[16:]:
        files.write(digest, vocabulary)
    kept = {path.name for path in (tmp_path / "vocabularies").iterdir()}
    assert kept == {digests[0], *digests[5:]}


def test_a_folder_that_cant_be_used_costs_nothing_but_a_line_in_the_log(vocabulary, tmp_path) -> None:
    (tmp_path / "vocabularies").write_text("in the way")
    files = VocabularyFiles(tmp_path / "vocabularies")
    files.write(DIGEST, vocabulary)
    assert files.read(DIGEST) is None
