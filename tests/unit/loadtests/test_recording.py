import pytest

from loadtests.recording import Token, socket_tokens_of, status_of, tokens_of, while_all_ran

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST, SECOND, THIRD = (1_795_254_538_515_066 + 20_000 * number for number in range(3))


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def line(*stamps: int) -> bytes:
    return b'{"content":"%b"}\n' % b"".join(b"%d word" % stamp for stamp in stamps)


def test_each_line_of_its_own_is_a_token_alone_with_its_times():
    reads = [(FIRST * 1000 + 5_000, HEAD + chunk(line(FIRST))), (SECOND * 1000 + 9_000, chunk(line(SECOND)))]
    tokens = tokens_of([*reads, (0, b"0\r\n\r\n")], b"\n")
    assert [(token.sent, token.arrived - token.sent, token.alone) for token in tokens] == [
        (FIRST, 5, True),
        (SECOND, 9, True),
    ]


def test_tokens_joined_in_a_frame_are_counted_and_not_alone():
    tokens = tokens_of([(0, HEAD + chunk(line(FIRST, SECOND)) + b"0\r\n\r\n")], b"\n")
    assert [(token.sent, token.alone) for token in tokens] == [(FIRST, False), (SECOND, False)]


def test_frames_in_one_chunk_are_told_apart():
    tokens = tokens_of([(0, HEAD + chunk(line(FIRST) + line(SECOND)) + b"0\r\n\r\n")], b"\n")
    assert [token.alone for token in tokens] == [True, True]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_a_frame_counts_as_arrived_when_its_last_byte_has(size: int):
    raw = HEAD + chunk(line(FIRST)[:9]) + chunk(line(FIRST)[9:] + line(SECOND)) + b"0\r\n\r\n"
    reads = [(1000 * at, raw[at : at + size]) for at in range(0, len(raw), size)]
    ends = [raw.index(b"}\n") + 1, raw.rindex(b"}\n") + 1]
    assert [token.arrived for token in tokens_of(reads, b"\n")] == [end // size * size for end in ends]


def test_frames_without_a_stamp_are_no_tokens():
    events = b'event: hello\ndata: {}\n\nid: 1.2\ndata: {"text":"%d word"}\n\n' % FIRST
    tokens = tokens_of([(0, HEAD + chunk(events) + b"0\r\n\r\n")], b"\n\n")
    assert [token.sent for token in tokens] == [FIRST]


def test_the_status_is_read_from_the_first_line():
    assert status_of([(0, b"HTTP/1.1 503 Service Unavailable\r\n\r\n")]) == 503
    assert status_of([]) == 0


def test_tokens_count_as_sent_together_while_every_stream_ran():
    early = [Token(sent, sent, alone=True) for sent in (10, 20, 30)]
    late = [Token(sent, sent, alone=True) for sent in (20, 30, 40)]
    assert [token.sent for token in while_all_ran([early, late])] == [20, 30, 20, 30]
    assert while_all_ran([[], []]) == []


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_tokens_of_a_websocket_are_found_in_frames_of_every_length(size: int):
    short, long = line(FIRST), line(SECOND) + b"x" * 200
    frames = b"\x81%c" % len(short) + short + b"\x89\x04ping" + b"\x81\x7e\x00%c" % len(long) + long
    raw = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frames + b"\x81\x05brok"
    reads = [(1000 * at, raw[at : at + size]) for at in range(0, len(raw), size)]
    found = socket_tokens_of(reads)
    assert [(token.sent, token.alone) for token in found] == [(FIRST, True), (SECOND, True)]
    assert [token.arrived for token in found] == [
        (raw.index(end) + len(end) - 1) // size * size for end in (short, long)
    ]
