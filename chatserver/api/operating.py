"""For those who run the server: is it well, and what are its figures."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.outbound import Health, PartHealth
from chatserver.errors import Unavailable
from chatserver.telemetry.metrics import Metrics

TAG = "Operating"

Check = Callable[[], Awaitable[PartHealth]]
GiveFigures = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True)
class OperatingCalls:
    #: Gives the server's figures as Prometheus reads them.
    figures: GiveFigures
    #: Each part of the server, and how to tell whether it is well.
    checks: Mapping[str, Check]

    def operations(self) -> Iterable[Operation[Any, Any, Any]]:
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/health/live",
            name="get_liveness",
            tag=TAG,
            summary="Does the process answer",
            handler=self.live,
            answers=(Answer(description="It does.", model=Health),),
            security=(),
        )
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/health/ready",
            name="get_readiness",
            tag=TAG,
            summary="Can it take work, part by part",
            handler=self.ready,
            answers=(
                Answer(description="It can.", model=Health),
                Answer(description="Not now; the parts tell why.", status=503, model=Health),
            ),
            security=(),
        )
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/metrics",
            name="get_metrics",
            tag=TAG,
            summary="Figures for Prometheus",
            handler=self.measured,
            answers=(Answer(description="Figures.", media_type="text/plain"),),
            errors=(Unavailable,),
            security=(),
        )

    async def live(self, _: Call[Nothing, Nothing, Nothing]) -> Health:
        return Health(ok=True, parts={})

    async def ready(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        parts = {name: await check() for name, check in self.checks.items()}
        health = Health(ok=all(part.ok for part in parts.values()), parts=parts)
        return Response(
            health.model_dump_json(),
            status_code=200 if health.ok else 503,
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def measured(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        return Response(await self.figures(), headers={"Content-Type": Metrics.content_type})
