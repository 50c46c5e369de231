"""Puts one simulated server together."""

from typing import get_args

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from chatserver.upstream.simulator.answering import Server
from chatserver.upstream.simulator.answers.language import Language
from chatserver.upstream.simulator.answers.speech import speech
from chatserver.upstream.simulator.arrivals import Arrivals
from chatserver.upstream.simulator.control import control_routes
from chatserver.upstream.simulator.faults import FaultBoard
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.routes import JSON, routes
from chatserver.upstream.simulator.runners import Runners
from chatserver.upstream.simulator.stats import Stats
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from chatserver.upstream.simulator.writer import Writer


def create_simulator(options: SimulatorOptions) -> Starlette:
    """Return the application; to be served by `serve_simulator`, whose connections it needs."""
    _warm_up()
    stats = Stats()
    server = Server(
        options, stats, FaultBoard(options.faults, options.seed), Runners(options, stats), Writer(options)
    )
    return Starlette(
        routes=[*routes(server), *control_routes(server)],
        middleware=[Middleware(Arrivals, stats=stats, board=server.board)],
        exception_handlers={Refusal: _refuse},
    )


def _warm_up() -> None:
    """Read the texts now, so that no answer has to wait for them."""
    load_vocabulary()
    for language in get_args(Language):
        speech(language)


async def _refuse(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSON({"error": refusal.sentence}, status_code=refusal.status)
