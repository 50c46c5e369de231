import asyncio

from starlette.applications import Starlette

from chatserver.api.operating import OperatingCalls
from chatserver.api.operation import routes
from chatserver.api.outbound import PartHealth
from chatserver.telemetry.metrics import Metrics
from tests.unit.asgi import Answer, call


async def well() -> PartHealth:
    return PartHealth(ok=True, detail="fine")


async def unwell() -> PartHealth:
    return PartHealth(ok=False, detail="broken")


def get(path: str, **checks) -> Answer:
    app = Starlette(routes=list(routes(OperatingCalls(Metrics().figures, checks).operations(), 10)))
    return asyncio.run(call(app, "GET", path))


def test_it_is_ready_when_every_part_is_well() -> None:
    answer = get("/health/ready", store=well, work=well)
    assert (answer.status, answer.json["ok"]) == (200, True)
    assert answer.json["parts"]["store"] == {"ok": True, "detail": "fine"}
    assert answer.header("cache-control") == "no-store"


def test_one_part_that_is_unwell_is_named() -> None:
    answer = get("/health/ready", store=unwell, work=well)
    assert (answer.status, answer.json["ok"]) == (503, False)
    assert [name for name, part in answer.json["parts"].items() if not part["ok"]] == ["store"]


def test_it_lives_whatever_is_unwell() -> None:
    assert get("/health/live", store=unwell).json == {"ok": True, "parts": {}}


def test_figures_come_as_prometheus_reads_them() -> None:
    answer = get("/metrics")
    assert answer.header("content-type") == Metrics.content_type
    assert b"# TYPE chatserver_connections gauge" in answer.body
