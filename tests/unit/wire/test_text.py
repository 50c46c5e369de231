import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.wire.text import storable, storable_json
from tests.unit.properties import PROPERTY

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("é 😀 \u2028", "é 😀 \u2028"),
        ("a\x00b", "a\ufffdb"),
        ("\ud83d and \ude00", "\ufffd and \ufffd"),
        ("é\x00\udfff", "é\ufffd\ufffd"),
        ("\ufffd\uffff\ue000\ud7ff", "\ufffd\uffff\ue000\ud7ff"),
    ],
)
def test_only_what_no_store_holds_is_replaced(text, kept) -> None:
    assert storable(text) == kept


@PROPERTY
@given(ANY_TEXT)
def test_storable_text_can_be_stored_and_is_as_long_as_before(text) -> None:
    kept = storable(text)
    assert kept.encode().decode() == kept
    assert "\x00" not in kept
    assert len(kept) == len(text)
    assert storable(kept) == kept


@PROPERTY
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | ANY_TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_every_string_inside_a_json_value_is_storable_afterwards(value) -> None:
    kept = storable_json(value)
    assert orjson.loads(orjson.dumps(kept)) == kept
    assert b"\\u0000" not in orjson.dumps(kept)
