import pytest
from websockets.frames import Frame, Opcode

from chatserver.wire.websocket import text_message


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_message_of_any_length_is_written_as_the_protocol_has_it(length) -> None:
    payload = b"x" * length
    assert text_message(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
