"""WebSocket messages and positions that nobody thought of: each gets its answer, and no connection ends."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect

from chatserver.api.frames import ConversationFrame, Frame
from tests.harness.client import CALL_S
from tests.harness.readers import read_whole
from tests.harness.received import Received
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

service = module_service(
    {"ollama.slots": 8, "limits.subscriptions_per_connection": 100_000}, "--rate", "2000", "--parallel", "8"
)

_MESSAGES, _POSITIONS = 450, 300
#: With a ping for each fewer than a connection may say in a second, however fast the machine is.
_ON_ONE_CONNECTION = 100
_ANSWERS = {"ok", "accepted", "error", "pong"}
_PROBLEM = {"type", "title", "status", "code", "detail", "request_id", "ref"}
_POSITION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,11})", re.ASCII)


def _generated(count: int) -> settings:
    """The same each time, and without a clock."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def _positions(known: list[str]) -> st.SearchStrategy[str]:
    numbers = st.integers(-1, 10**13).map(str)
    return (
        st.sampled_from(known)
        | st.from_regex(_POSITION, fullmatch=True)
        | st.builds("{}.{}".format, numbers, numbers)
        | st.text(max_size=70)
    )


#: What each kind of message has to have, and what it may have.
_FIELDS = {
    "send": (["ref", "conversation", "content"], ["parent", "model", "options"]),
    "subscribe": (["generation"], ["ref", "after"]),
    "unsubscribe": (["generation"], ["ref"]),
    "watch": (["conversation"], ["ref", "change"]),
    "unwatch": (["conversation"], ["ref"]),
    "cancel": (["generation"], ["ref"]),
    "ping": ([], ["ref"]),
}


def _messages(conversation: str, generation: str, positions: list[str]) -> st.SearchStrategy[str | bytes]:
    """Messages as described, messages that are nearly so, and anything else."""
    right = {
        "ref": st.from_regex(r"[!-~]{1,64}", fullmatch=True),
        "conversation": st.sampled_from([conversation, "conv_nobody"]),
        "generation": st.sampled_from([generation, "gen_nobody"]),
        "content": st.text(min_size=1, max_size=60),
        "parent": st.none() | st.sampled_from([conversation, "msg_1"]),
        "model": st.none() | st.just("sim-chat"),
        "options": st.fixed_dictionaries(
            {}, optional={"seed": st.integers(0, 9), "stop": st.lists(st.text())}
        ),
        "after": _positions(positions),
        "change": st.integers(0, 100),
    }
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
    anything = st.recursive(
        plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=8
    )
    as_described = st.one_of(
        st.fixed_dictionaries(
            {"type": st.just(kind), **{name: right[name] for name in needed}},
            optional={"after" if name == "change" else name: right[name] for name in more},
        )
        for kind, (needed, more) in _FIELDS.items()
    )
    nearly = st.builds(
        lambda message, name, value: {**message, name: value},
        as_described,
        st.sampled_from(["type", "colour", *right]),
        anything,
    )
    texts = st.builds(json.dumps, as_described | nearly, ensure_ascii=st.booleans()).filter(_is_text)
    broken = st.builds(lambda text, cut: text[:cut], texts, st.integers(0, 80))
    return texts | broken | st.text(max_size=40) | st.binary(max_size=40)


def _is_text(text: str) -> bool:
    # Half a surrogate pair can't even be sent, unless it is escaped.
    return text.isprintable() or text.encode(errors="ignore").decode() == text


@dataclass
class _Saying:
    """Says one thing after another, and reads what comes between two pings."""

    address: str
    answers: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    _connections: ExitStack = field(default_factory=ExitStack)
    _connection: ClientConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()

    def say(self, message: str | bytes) -> None:
        said = self.answers.total()
        if said % _ON_ONE_CONNECTION == 0:
            self._connection = self._connections.enter_context(connect(self.address, proxy=None))
        connection = self._connection
        assert connection is not None
        connection.send(message)
        mark = f"mark-{said}"
        connection.send(orjson.dumps({"type": "ping", "ref": mark}).decode())
        answers = []
        while (frame := orjson.loads(connection.recv(timeout=CALL_S))) != {"type": "pong", "ref": mark}:
            if frame["type"] in _ANSWERS:
                answers.append(frame)
            else:
                self._follow(frame)
        assert len(answers) == 1, (message, answers)
        self._check(answers[0])

    def _check(self, answer: dict[str, Any]) -> None:
        self.answers[str(answer.get("status", answer["type"]))] += 1
        if answer["type"] == "error":
            assert set(answer) >= _PROBLEM - {"type"}
            assert answer["status"] in {400, 404, 409, 422}, answer

    def _follow(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ready":
            return
        (Frame if "generation" in frame else ConversationFrame).model_validate(frame)
        self.frames[frame["type"]] += 1


async def test_whatever_is_said_gets_one_answer_and_the_connection_lives_on(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    client = service.client
    conversation = await client.begin()
    generation = (await client.send(conversation, "Hi. [[tokens=5]]"))["generation"]["id"]
    whole = await read_whole(client, generation)
    messages = _messages(conversation, generation, [str(whole.after), "0.0", "1.1"])

    def say_all() -> _Saying:
        with _Saying(f"{service.url.replace('http', 'ws')}/api/v1/ws") as saying:
            _generated(_MESSAGES)(given(messages)(saying.say))()
        return saying

    # In a thread, so that the loop goes on reading what the server says.
    saying = await asyncio.to_thread(say_all)
    record_property("answers", dict(saying.answers))
    assert saying.answers.total() >= _MESSAGES
    assert min(saying.answers[kind] for kind in ("400", "404", "422", "ok", "accepted")) > 0
    assert saying.frames["end"] > 0


async def test_from_whatever_position_the_rest_or_the_whole_is_read(service: Service) -> None:
    client = service.client
    whole = await read_whole(client, await client.ask("Hi. [[tokens=12]]"))
    polled = await client.call("GET", f"/generations/{whole.generation}/events")
    known = [event["id"] for event in polled["events"]]
    final = int(known[-1].partition(".")[2])
    address = f"{service.url}/api/v1/generations/{whole.generation}/events"
    session = requests.Session()
    session.trust_env = False
    tried: Counter[int] = Counter()

    @_generated(_POSITIONS)
    @given(_positions(known))
    def read_from(position: str) -> None:
        answer = session.get(address, params={"after": position, "wait": 0}, timeout=CALL_S)
        tried[answer.status_code] += 1
        if not _POSITION.fullmatch(position):
            assert (answer.status_code, answer.json()["field"]) == (422, "after")
            return
        assert answer.status_code == 200
        assert answer.json()["ended"]
        received = Received(whole.generation)
        epoch, n = map(int, position.split("."))
        if (epoch == 1 and n <= final) or (epoch, n) == (0, 0):
            # It starts in the middle, so only the text tells whether it is the rest.
            rest = "".join(event.get("text", "") for event in answer.json()["events"])
            assert whole.answer.endswith(rest)
            assert rest == whole.answer or n > 0
            assert all(int(event["id"].partition(".")[2]) > n for event in answer.json()["events"])
            return
        for event in answer.json()["events"]:
            received.take(event)
        assert (received.resets, received.answer) == (["position_unknown"], whole.answer)

    await asyncio.to_thread(read_from)
    session.close()
    assert tried.total() >= _POSITIONS
    assert min(tried[200], tried[422]) > 20
