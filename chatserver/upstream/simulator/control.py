"""The simulator's own endpoints: what it has seen, and what is to go wrong from now on."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatserver.upstream.simulator.answering import Server
from chatserver.upstream.simulator.arrivals import CONTROLS
from chatserver.upstream.simulator.connection import connection_of
from chatserver.upstream.simulator.faults import FAULTS, parse_fault
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.routes import JSON

_LONGEST_WAIT_S = 30
_DEFAULT_REQUESTS = 20


def control_routes(server: Server) -> list[BaseRoute]:
    async def stats(request: Request) -> Response:
        """Tell the numbers; `?in_flight=0&wait=5` answers when they are so, or after that many seconds."""
        wanted, seconds = _wish(request.query_params)
        unknown = wanted.keys() - server.stats.snapshot().keys()
        if unknown:
            raise Refusal(400, f"there is no counter {min(unknown)!r}")
        await server.stats.wait_for(wanted, seconds)
        connections = connection_of(request.scope).count_open()
        return JSON({**server.stats.snapshot(), "connections": connections})

    async def last_requests(request: Request) -> Response:
        count = _number(request.query_params.get("last", str(_DEFAULT_REQUESTS)))
        return JSON(server.stats.last_requests(int(count)))

    async def faults(request: Request) -> Response:
        if request.method == "PUT":
            server.board.faults = tuple(map(parse_fault, await _names(request)))
        return JSON({"faults": [str(fault) for fault in server.board.faults], "known": FAULTS})

    return [
        Route(CONTROLS + "stats", stats),
        Route(CONTROLS + "requests", last_requests),
        Route(CONTROLS + "faults", faults, methods=["GET", "PUT"]),
    ]


def _wish(query: Mapping[str, str]) -> tuple[dict[str, int], float]:
    numbers = {name: _number(value) for name, value in query.items()}
    seconds = min(numbers.pop("wait", 0), _LONGEST_WAIT_S)
    return {name: int(number) for name, number in numbers.items()}, seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as problem:
        raise Refusal(400, f"{text!r} is not a number") from problem


async def _names(request: Request) -> list[str]:
    try:
        names: Any = orjson.loads(await request.body())
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("a list of names is wanted")  # noqa: TRY301 - one refusal for both
        for name in names:
            parse_fault(name)
    except ValueError as problem:
        raise Refusal(400, str(problem)) from problem
    return names
