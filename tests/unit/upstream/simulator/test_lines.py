import json
import re
import time

from chatserver.upstream.simulator.lines import Lines, Measures, error_line, timestamp

MEASURES = Measures(total_duration=5, prompt_eval_count=7, eval_count=2)


def parsed(data: bytes) -> list[dict]:
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_chat_lines_have_ollamas_shape() -> None:
    first, second = parsed(Lines("chat", "sim").encode([('"Hé"\n', "thinking"), ("😀", "answer")]))
    assert list(first) == ["model", "created_at", "message", "done"]
    assert first["message"] == {"role": "assistant", "content": "", "thinking": '"Hé"\n'}
    assert second["message"] == {"role": "assistant", "content": "😀"}
    assert (second["model"], second["done"]) == ("sim", False)


def test_generate_lines_have_ollamas_shape() -> None:
    first, second = parsed(Lines("generate", "sim").encode([("Hm", "thinking"), ("Hi", "answer")]))
    assert (first["response"], first["thinking"]) == ("", "Hm")
    assert (second["response"], "thinking" in second) == ("Hi", False)


def test_tool_calls_travel_whole() -> None:
    [line] = parsed(Lines("chat", "sim").encode([('[{"id":"call_1"}]', "tool_calls")]))
    assert line["message"] == {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1"}]}


def test_the_done_line_leaves_zeros_out() -> None:
    [line] = parsed(Lines("chat", "sim").done("stop", MEASURES, {}))
    del line["created_at"]
    assert line == {
        "model": "sim",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 5,
        "prompt_eval_count": 7,
        "eval_count": 2,
    }


def test_the_whole_answer_as_one_json() -> None:
    pieces = [("Hm", "thinking"), ("He", "answer"), ("llo", "answer"), ("[1]", "tool_calls")]
    whole = json.loads(Lines("chat", "sim").whole(pieces, "stop", MEASURES, {}))
    assert whole["message"] == {"role": "assistant", "content": "Hello", "thinking": "Hm", "tool_calls": [1]}
    assert json.loads(Lines("generate", "sim").whole(pieces[:3], None, Measures(), {}))["done"] is False


def test_stamped_pieces_begin_with_the_microsecond_they_were_sent() -> None:
    before = time.time_ns() // 1_000
    [line] = parsed(Lines("chat", "sim", stamped=True).encode([("Hi", "answer")]))
    stamp, text = line["message"]["content"].split(" ", 1)
    assert before <= int(stamp) <= time.time_ns() // 1_000
    assert text == "Hi"


def test_garbage_is_no_json() -> None:
    garbage, line = Lines("chat", "sim").encode([("", "garbage"), ("Hi", "answer")]).splitlines()
    assert not garbage.endswith(b"}")
    assert json.loads(line)


def test_times_are_rfc_3339_in_utc() -> None:
    assert timestamp(1_732_178_721_123_456_789) == b"2024-11-21T08:45:21.123456789Z"
    assert re.fullmatch(rb"[\d-]{10}T[\d:]{8}\.\d{9}Z", timestamp(time.time_ns()))


def test_errors_are_flat_sentences() -> None:
    assert error_line('no "m"') == b'{"error":"no \\"m\\""}\n'
