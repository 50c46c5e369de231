import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.access.signing import LONGEST, Signer
from tests.unit.properties import PROPERTY

SECRET = b"a secret of thirty-two bytes ..."
signer = Signer(SECRET, "ticket")


@PROPERTY
@given(st.binary(max_size=300))
def test_what_was_signed_is_read_again(payload) -> None:
    assert signer.read(signer.sign(payload)) == payload


@PROPERTY
@given(st.binary(max_size=30), st.integers(0, 100), st.sampled_from(string.printable))
def test_one_changed_character_anywhere_makes_it_foreign(payload, place, character) -> None:
    text = signer.sign(payload)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    assert signer.read(changed) == (payload if changed == text else None)


@PROPERTY
@given(st.binary(max_size=30), st.integers(0, 100), st.sampled_from(string.printable))
def test_one_character_more_anywhere_makes_it_foreign(payload, place, character) -> None:
    text = signer.sign(payload)
    place %= len(text) + 1
    assert signer.read(text[:place] + character + text[place:]) is None


@PROPERTY
@given(st.text(max_size=600))
def test_whatever_text_comes_is_looked_at_without_harm(text) -> None:
    assert signer.read(text) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a.", ".a", "YQ", "YQ.", "YQ.YQ", "é.é", "a" * 100_000])
def test_what_is_no_signed_text_is_foreign(text) -> None:
    assert signer.read(text) is None


def test_another_purpose_or_secret_makes_it_foreign() -> None:
    text = signer.sign(b"alice")
    assert Signer(SECRET, "visitor").read(text) is None
    assert Signer(SECRET[::-1], "ticket").read(text) is None
    assert Signer(SECRET, "ticket").read(text) == b"alice"


def test_what_is_longer_than_anything_we_sign_is_not_looked_at() -> None:
    text = signer.sign(b"a" * LONGEST)
    assert signer.read(text) is None
