import orjson

from chatserver.wire import sse


def test_an_event_has_a_name_and_one_line_of_data() -> None:
    assert sse.event("hello", b"{}") == b"event: hello\ndata: {}\n\n"


def test_only_an_event_with_a_position_has_an_id() -> None:
    assert sse.event("delta", b'{"a":1}', "1.2") == b'id: 1.2\nevent: delta\ndata: {"a":1}\n\n'


def test_json_never_breaks_a_line_of_data() -> None:
    data = orjson.dumps({"text": "a\r\nb\rc\nd"})
    assert len(sse.event("delta", data).splitlines()) == 3
