import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from chatserver.errors import BadUpstreamData, NoDone, Unreachable, UpstreamError
from chatserver.generation.pieces import Channel, Delta, ToolCalls, Usage
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from chatserver.wire.ollama import Done
from tests.unit.clock import loop_time
from tests.unit.upstream.server import DONE, END, OK, Again, Pause, Wait, chunk, line, plain, says, scripted

PATIENT = Deadlines(connect=5, first_token=5, between_tokens=5, plain=5)
HASTY = Deadlines(connect=5, first_token=0.05, between_tokens=0.05, plain=0.05)


def body_of(said: str) -> dict[str, Any]:
    return {"model": "sim-chat", "messages": [{"role": "user", "content": said}], "stream": True}


BODY = body_of("Hello")


class Log:
    def __init__(self) -> None:
        self.pieces: list[Delta | ToolCalls] = []
        self.news = asyncio.Event()

    def take(self, pieces: Sequence[Delta | ToolCalls]) -> None:
        self.pieces.extend(pieces)
        self.news.set()

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Delta))


async def asked(url: str, deadlines: Deadlines = PATIENT) -> tuple[Done | UpstreamError, str]:
    """Ask, and tell how it ended and what was said until then."""
    log = Log()
    async with OllamaClient(url, deadlines) as client:
        try:
            return await client.chat(BODY, log.take), log.text
        except UpstreamError as error:
            return error, log.text


async def test_an_answer_is_handed_over_as_it_comes() -> None:
    wait, log = Wait(), Log()
    async with (
        scripted(OK, says("Hel"), wait, says("lo"), DONE, END) as server,
        OllamaClient(server.url, PATIENT) as client,
    ):
        asking = asyncio.create_task(client.chat(BODY, log.take))
        await asyncio.wait_for(log.news.wait(), 5)
        assert log.pieces == [Delta(Channel.ANSWER, "Hel")]
        wait.go.set()
        assert await asking == Done("stop", Usage(0, 1), {})
        assert log.text == "Hello"


async def test_what_is_asked_is_a_plain_post_without_anything_of_the_asker() -> None:
    async with scripted(OK, DONE, END) as server:
        await asked(server.url + "/")
        head, body = server.requests[0].split(b"\r\n\r\n", 1)
        lines = head.lower().split(b"\r\n")
        assert head.startswith(b"POST /api/chat HTTP/1.1\r\n")
        assert b"content-type: application/json" in lines
        assert not [each for each in lines if each.startswith((b"origin", b"cookie", b"authorization"))]
        assert orjson.loads(body) == BODY


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_where_the_bytes_are_cut_changes_nothing(size) -> None:
    stream = OK + says("Hé") + says("llo 😀") + DONE + END
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    async with scripted(*pieces) as server:
        ended, text = await asked(server.url)
        assert isinstance(ended, Done)
        assert text == "Héllo 😀"


async def test_the_last_line_needs_no_line_break() -> None:
    done = chunk(orjson.dumps({"message": {"content": "!"}, "done": True}))
    async with scripted(OK, says("Hi"), done, END) as server:
        ended, text = await asked(server.url)
        assert (ended, text) == (Done("", Usage(0, 0), {}), "Hi!")


async def test_an_answer_may_end_with_the_connection() -> None:
    async with scripted(
        b"HTTP/1.1 200 OK\r\n\r\n", b'{"message":{"content":"Hi"}}\n{"done":true}\n'
    ) as server:
        ended, text = await asked(server.url)
        assert isinstance(ended, Done)
        assert text == "Hi"


async def test_what_follows_the_done_line_is_not_waited_for() -> None:
    async with scripted(OK, says("Hi"), DONE, Pause()) as server:
        began = time.monotonic()
        ended, _ = await asked(server.url)
        assert isinstance(ended, Done)
        assert time.monotonic() - began < 2
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_what_is_said_after_the_done_line_does_not_count() -> None:
    async with scripted(OK, says("Hi"), DONE + says(" there"), END) as server:
        ended, text = await asked(server.url)
        assert isinstance(ended, Done)
        assert text == "Hi"


#: What may come before the answer itself.
PROVISIONAL = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"]


@pytest.mark.parametrize("before", [*PROVISIONAL, b"".join(PROVISIONAL)])
async def test_a_provisional_answer_is_not_the_answer(before) -> None:
    async with scripted(before, OK, says("Hi"), DONE, END) as server:
        ended, text = await asked(server.url)
        assert (type(ended), text) == (Done, "Hi")
    async with scripted(before + plain(b'{"error":"busy"}', "503 Service Unavailable")) as server:
        ended, _ = await asked(server.url)
        assert isinstance(ended, UpstreamError)
        assert (ended.code, ended.detail) == (
            "upstream_busy",
            "The model server refused with status 503: busy",
        )


#: (what the server says, code, what of it is text)
FAILURES = [
    ((plain(b'{"error":"model is required"}', "400 Bad Request"),), "bad_request", ""),
    ((plain(b'{"error":"not found"}', "404 Not Found"),), "model_not_found", ""),
    ((plain(b"", "429 Too Many Requests"),), "upstream_busy", ""),
    ((plain(b"<html>oops</html>", "500 Internal Server Error"),), "upstream_failed", ""),
    ((plain(b'{"error":"busy"}', "503 Service Unavailable"),), "upstream_busy", ""),
    ((plain(b"", "302 Found\r\nLocation: http://127.0.0.1:1/"),), "upstream_failed", ""),
    ((b"HTTP/1.1 503 Service Unavailable\r\n\r\nbusy",), "upstream_busy", ""),
    ((b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 50\r\n\r\nbusy",), "upstream_busy", ""),
    ((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI",), "upstream_failed", ""),
    ((PROVISIONAL[0],), "unreachable", ""),
    ((b"",), "unreachable", ""),
    ((b"SSH-2.0-OpenSSH_9.2\r\n",), "unreachable", ""),
    ((OK, says("Hi"), END), "no_done", "Hi"),
    ((OK, says("Hi")), "no_done", "Hi"),
    ((OK, says("Hi"), b"zz\r\n"), "no_done", "Hi"),
    ((OK, END), "no_done", ""),
    ((b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",), "no_done", ""),
    ((OK, says("Hi"), b"0\r\n\r\n", PROVISIONAL[0]), "no_done", "Hi"),
    ((OK, says("Hi"), chunk(b"oops\n"), DONE, END), "bad_upstream_data", "Hi"),
    ((OK, says("Hi"), line({"error": "out of memory"}), END), "upstream_failed", "Hi"),
    ((OK, says("Hi"), chunk(b'{"error":"at the very end"}'), END), "upstream_failed", "Hi"),
]


@pytest.mark.parametrize(("script", "code", "text"), FAILURES)
async def test_each_way_to_fail_has_its_name_and_keeps_what_was_said(script, code, text) -> None:
    async with scripted(*script) as server:
        ended, said = await asked(server.url)
        assert isinstance(ended, UpstreamError)
        assert (ended.code, said) == (code, text)


async def test_a_refusal_is_told_in_the_servers_own_words_without_end() -> None:
    async with scripted(plain(orjson.dumps({"error": "no\x00pe " * 100_000}), "400 Bad Request")) as server:
        ended, _ = await asked(server.url)
        assert isinstance(ended, UpstreamError)
        assert ended.detail.startswith("The model server refused with status 400: ")
        assert len(ended.detail) < 1200
        assert "\x00" not in ended.detail


async def test_where_nobody_listens_it_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ended, _ = await asked(f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert isinstance(ended, Unreachable)
        assert "can't be reached" in ended.detail


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ((Pause(),), "first_token_timeout", ""),
        ((OK, Pause()), "first_token_timeout", ""),
        ((OK, line({"message": {}}), line({"message": {}}), Pause()), "first_token_timeout", ""),
        ((OK, says("Hi"), Pause()), "stalled", "Hi"),
        ((OK, says("Hi"), b"5\r\n{", Pause()), "stalled", "Hi"),
        ((OK, says("Hi"), Again(chunk(b"x"))), "stalled", "Hi"),
        ((OK, says("Hi"), Again(chunk(b" \n"))), "stalled", "Hi"),
    ],
)
async def test_silence_has_a_deadline_and_closes_the_connection(script, code, text) -> None:
    async with scripted(*script) as server:
        ended, said = await asyncio.wait_for(asked(server.url, HASTY), 5)
        assert isinstance(ended, UpstreamError)
        assert (ended.code, said) == (code, text)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_an_answer_may_take_much_longer_than_any_silence_in_it() -> None:
    waits, log = [Wait() for _ in range(4)], Log()
    script = [step for wait in waits for step in (says("x"), wait)]
    async with (
        scripted(OK, *script, DONE, END) as server,
        OllamaClient(server.url, PATIENT) as client,
    ):
        moved = loop_time()
        asking = asyncio.create_task(client.chat(BODY, log.take))
        for wait in waits:
            async with asyncio.timeout(5):
                await log.news.wait()
            log.news.clear()
            moved.passes(0.9 * PATIENT.between_tokens)
            wait.go.set()
        assert isinstance(await asking, Done)
    assert log.text == "xxxx"


@pytest.mark.parametrize("first", [[], [says("x")]], ids=["the first", "the next"])
async def test_what_came_while_this_process_stood_still_ends_the_silence(first) -> None:
    wait = Wait()
    async with (
        scripted(OK, *first, wait, says("y"), DONE, END) as server,
        OllamaClient(server.url, PATIENT) as client,
    ):
        log, moved = Log(), loop_time()
        asking = asyncio.create_task(client.chat(BODY, log.take))
        async with asyncio.timeout(5):
            await (log.news if first else server.asked).wait()
        wait.go.set()
        moved.passes(2 * PATIENT.between_tokens)
        assert isinstance(await asking, Done)


async def test_an_answer_that_is_one_line_without_a_break_leaves_no_deadline_behind() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    whole = chunk(orjson.dumps({"message": {"content": "Hi"}, "done": True}))
    async with scripted(OK, whole, END) as server:
        ended, text = await asked(server.url)
        moved = loop_time()
        # Once for each look.
        for _ in range(2):
            moved.passes(2 * PATIENT.between_tokens)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert (ended, text) == (Done("", Usage(0, 0), {}), "Hi")
    assert failures == []


async def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    endless = [chunk(b"x" * 1_000_000)] * 6
    async with scripted(OK, says("Hi"), *endless, Pause()) as server:
        ended, text = await asked(server.url)
        assert isinstance(ended, BadUpstreamData)
        assert text == "Hi"
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_whoever_stops_asking_closes_the_connection() -> None:
    for script in ((Pause(),), (OK, Pause()), (OK, says("Hi"), Pause())):
        async with scripted(*script) as server, OllamaClient(server.url, PATIENT) as client:
            asking = asyncio.create_task(client.chat(BODY, Log().take))
            await asyncio.wait_for(server.asked.wait(), 5)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await asyncio.wait_for(server.gone.wait(), 5)


class FullError(Exception):
    """The taker has had enough."""


async def test_a_taker_that_has_had_enough_closes_the_connection_and_says_so_itself() -> None:
    def full(_: object) -> None:
        raise FullError

    async with scripted(OK, says("Hi"), Pause()) as server, OllamaClient(server.url, PATIENT) as client:
        with pytest.raises(FullError):
            await client.chat(BODY, full)
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_hundreds_of_answers_leave_no_task_and_no_connection() -> None:
    async with serve_simulator(SimulatorOptions(parallel=50)) as url, OllamaClient(url, PATIENT) as client:
        body = {
            "model": "sim-chat",
            "messages": [{"role": "user", "content": "[[tokens=3]]"}],
            "stream": True,
        }
        before = len(asyncio.all_tasks())
        for _ in range(4):
            await asyncio.gather(*(client.chat(body, Log().take) for _ in range(25)))
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) <= before + 1


async def test_plain_questions_are_answered_or_fail_by_name() -> None:
    async with serve_simulator(SimulatorOptions()) as url, OllamaClient(url, PATIENT) as client:
        assert (await client.version()).count(".") == 2
        assert "sim-chat:latest" in [tag["name"] for tag in await client.tags()]
        assert await client.loaded() == []
        assert (await client.show("sim-chat"))["model_info"]["sim.context_length"] == 8192
        with pytest.raises(UpstreamError) as raised:
            await client.show("nobody-has-it")
        assert raised.value.code == "model_not_found"


@pytest.mark.parametrize("body", [b'{"models":null}', b"{}", b'{"models":[]}', b'{"models":[1,"a",null]}'])
async def test_an_empty_list_may_be_written_in_many_ways(body) -> None:
    async with scripted(plain(body)) as server, OllamaClient(server.url, PATIENT) as client:
        assert await client.tags() == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (plain(b"oops"), BadUpstreamData),
        (plain(b"[1]"), BadUpstreamData),
        (plain(b'{"models":{"a":1}}'), BadUpstreamData),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{}", NoDone),
        (b"", Unreachable),
    ],
)
async def test_a_plain_answer_that_is_none_fails_by_name(answer, kind) -> None:
    async with scripted(answer) as server, OllamaClient(server.url, PATIENT) as client:
        with pytest.raises(UpstreamError) as raised:
            await client.tags()
        assert type(raised.value) is kind


async def test_a_plain_answer_has_a_deadline_too() -> None:
    async with scripted(Pause()) as server, OllamaClient(server.url, HASTY) as client:
        with pytest.raises(Unreachable, match="doesn't answer"):
            await client.version()
        await asyncio.wait_for(server.gone.wait(), 5)
