"""Calls that nobody thought of, made from the API's own description: each is answered as that says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.harness.client import CALL_S
from tests.harness.readers import read_whole
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

service = module_service({"streams.longpoll_longest_s": 0.02, "ollama.slots": 8}, "--rate", "2000")

#: Calls of one operation, right ones and as many wrong ones; of one that takes nothing.
_EACH = 24
_EACH_PLAIN = 3
#: What the description can't say of a value: where it came from, or that it must not be white space alone.
_OPAQUE = {"cursor", "after", "before", "leaf", "ticket", "If-Match", "content"}
_OTHER_REASONS = {"context_length", "malformed_position"}
#: Nor that a text has no NUL and is base64, and that 1.0 isn't taken for an integer.
_UNTOLD = ("NUL", "base64", "integer")
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass
class _Calls:
    """Makes calls of a running server, from a thread of its own."""

    url: str
    #: What is there, by the first word of its path.
    there: Mapping[str, str]
    session: requests.Session = field(default_factory=requests.Session)
    answered: Counter[int] = field(default_factory=Counter)

    def make(self, mode: GenerationMode) -> None:
        self.session.trust_env = False
        schema = schemathesis.openapi.from_url(f"{self.url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            if any(map(len, (operation.path_parameters, operation.query, operation.body))):
                self._try(operation, mode, _EACH)
            elif mode is GenerationMode.POSITIVE:
                self._try(operation, mode, _EACH_PLAIN)

    def _try(self, operation: Any, mode: GenerationMode, count: int) -> None:
        @settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def call(case: Case) -> None:
            self._call(case, mode)

        call()

    def _call(self, case: Case, mode: GenerationMode) -> None:
        count = self.answered.total()
        # Every other one of something that is there, and few with a ticket, which is never one of ours.
        if "{id}" in case.path and count % 2:
            case.path_parameters = {"id": self._target(case)}
        if count % 8:
            case.query.pop("ticket", None)
        response = case.call(base_url=self.url, session=self.session, timeout=CALL_S)
        self.answered[response.status_code] += 1
        case.validate_response(response, checks=_CHECKS)
        if mode is GenerationMode.POSITIVE:
            _check_taken(response)
        elif response.status_code < 300:
            case.validate_response(response, checks=[negative_data_rejection])

    def _target(self, case: Case) -> str:
        if case.method == "DELETE":
            made = self.session.post(f"{self.url}/api/v1/conversations", json={}, timeout=CALL_S)
            return str(made.json()["id"])
        return self.there[case.path.split("/")[3]]


def _check_taken(response: Response) -> None:
    """What is as described is refused only for what no description can say."""
    assert response.status_code not in {400, 405, 413, 415}, response.text
    if response.status_code == 422:
        problem = response.json()
        # Without a field it is about several together.
        name = problem.get("field", "content").rpartition(".")[2]
        if problem["code"] not in _OTHER_REASONS and name not in _OPAQUE:
            assert any(word in problem["detail"] for word in _UNTOLD), response.text


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
async def test_generated_calls_are_answered_as_the_description_says(
    service: Service, mode: GenerationMode, record_property: Callable[[str, object], None]
) -> None:
    client = service.client
    conversation = await client.begin()
    turn = await client.send(conversation, "Hi. [[tokens=3]]")
    generation = turn["generation"]["id"]
    await read_whole(client, generation)
    calls = _Calls(service.url, {"conversations": conversation, "generations": generation})
    # The loop goes on reading what the server says.
    await asyncio.to_thread(calls.make, mode)
    record_property("answers", dict(sorted(calls.answered.items())))
    assert calls.answered.total() > 250
    assert not {500, 502, 503, 429} & set(calls.answered)
    assert (await read_whole(client, await client.ask("Still there? [[tokens=2]]"))).answer
