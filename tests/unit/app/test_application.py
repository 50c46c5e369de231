import re
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute

import chatserver
from chatserver.settings.models import SECTIONS
from tests.unit.asgi import HOST, Http, call
from tests.unit.works import ELSEWHERE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Settings that have one value left once the others were refused, so there is nothing to read.
REFUSED_UNLESS_ONE = {"server.auth", "server.allow_open_on_any_address"}


async def document_of(works: Works) -> dict[str, Any]:
    document: dict[str, Any] = (await call(works.app, "GET", "/openapi.json")).json
    return document


async def test_every_route_stands_in_the_document_and_the_other_way_round(works) -> None:
    described = {
        (method.upper(), path)
        for path, item in (await document_of(works))["paths"].items()
        for method in item
    }
    served = set()
    for route in works.app.routes:
        assert isinstance(route, Route | WebSocketRoute)
        methods = route.methods if isinstance(route, Route) else {"GET"}
        served |= {(method, route.path) for method in methods or () if method != "HEAD"}
    assert served == described


async def test_every_call_of_the_document_is_answered_as_it_says(works) -> None:
    for path, item in (await document_of(works))["paths"].items():
        for method, operation in item.items():
            if "101" in operation["responses"]:
                continue
            address = path.replace("{id}", "nobody")
            async with Http(works.app, method.upper(), address) as http:
                await http.begin()
                assert str(http.status) in operation["responses"], f"{method} {path}: {http.status}"


async def test_every_setting_is_read_somewhere() -> None:
    known = {(section, name) for section, model in SECTIONS.items() for name in model.model_fields}
    read = {
        (section, name)
        for owner, name in read_outside_of_the_settings()
        for section in SECTIONS
        # Parts that get one section call it their options.
        if owner.lstrip("_") in {section, "options"}
    }
    unread = {f"{section}.{name}" for section, name in known - read}
    assert unread == REFUSED_UNLESS_ONE


def read_outside_of_the_settings() -> set[tuple[str, str]]:
    """Find each `owner.name` in code that isn't about the settings themselves."""
    root = Path(chatserver.__path__[0])
    rooms = [path for path in root.iterdir() if path.name not in {"settings", "commands"}]
    files = [file for room in rooms for file in room.rglob("*.py")]
    return {found for file in files for found in re.findall(r"\b(\w+)(?=\.(\w+))", file.read_text())}


async def test_a_body_has_as_long_as_the_settings_say(tmp_path) -> None:
    async with working(tmp_path, limits__body_timeout_s=0.02) as works:
        headers = {"content-type": "application/json", "content-length": "100"}
        async with Http(works.app, "POST", "/api/v1/conversations", headers=headers) as http:
            http.hold_body()
            await http.begin()
            assert http.status == 408
        body = (await document_of(works))["paths"]["/api/v1/conversations"]["post"]["requestBody"]
        assert "within 0.02 s" in body["description"]


@pytest.mark.parametrize("path", ["/", "/api/v1/models", "/openapi.json", "/nowhere"])
async def test_who_calls_by_a_foreign_name_is_refused(works, path) -> None:
    answer = await call(works.app, "GET", path, headers={"host": "evil.example:8000"})
    assert (answer.status, answer.json["code"]) == (403, "foreign_host")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_probes_may_call_by_any_name(works, path) -> None:
    answer = await call(works.app, "GET", path, headers={"host": "10-0-0-7.pod.example"})
    assert answer.status == 200


async def test_every_answer_tells_browsers_what_they_must_not_do(works) -> None:
    for path in ("/", "/api/v1/models", "/nowhere", "/docs"):
        answer = await call(works.app, "GET", path)
        assert answer.header("x-content-type-options") == "nosniff"
        policy = answer.header("content-security-policy") or ""
        assert policy.startswith(("default-src 'none'", "default-src 'self'"))
        assert "frame-ancestors 'none'" in policy
        assert len([name for name, _ in answer.headers if name == "content-security-policy"]) == 1
        assert answer.header("x-request-id")


async def test_a_page_elsewhere_may_call_and_read_even_refusals(works) -> None:
    preflight = {
        "origin": ELSEWHERE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key",
    }
    answer = await call(works.app, "OPTIONS", "/api/v1/conversations", headers=preflight)
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, ELSEWHERE)
    refused = await call(works.app, "GET", "/api/v1/conversations", headers={"origin": ELSEWHERE})
    assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
    assert refused.header("access-control-allow-origin") == ELSEWHERE
    assert refused.header("access-control-allow-credentials") == "true"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://["])
async def test_a_foreign_page_may_neither_call_nor_read(works, origin) -> None:
    for method, path in (("GET", "/api/v1/conversations"), ("POST", "/api/v1/tickets")):
        answer = await call(works.app, method, path, headers={"origin": origin})
        assert (answer.status, answer.json["code"]) == (403, "foreign_origin")
        assert answer.header("access-control-allow-origin") is None


async def test_paths_with_a_slash_too_many_are_not_led_elsewhere(works) -> None:
    assert (await call(works.app, "GET", "/api/v1/models/")).status == 404


async def test_calls_are_counted_by_the_template_of_their_route_and_refusals_by_their_code(works) -> None:
    def counted(name: str, **labels: str) -> float:
        return works.parts.metrics.registry.get_sample_value(f"chatserver_{name}_total", labels) or 0

    def calls(route: str, status: str) -> float:
        return counted("http_requests", route=route, method="GET", status=status)

    route = "/api/v1/generations/{id}"
    before, calls_before = counted("rejected", code="not_found"), calls(route, "404")
    for name in ("a", "b"):
        await call(works.app, "GET", f"/api/v1/generations/{name}")
    await call(works.app, "GET", "/made/up/by/anyone")
    assert calls(route, "404") == calls_before + 2
    assert calls("unknown", "404") >= 1
    assert counted("rejected", code="not_found") == before + 3
    figures = (await call(works.app, "GET", "/metrics")).body
    assert b"/made/up" not in figures
    assert HOST.encode() not in figures


async def test_it_is_ready_until_it_drains(tmp_path) -> None:
    async with working(tmp_path) as works:
        ready = await call(works.app, "GET", "/health/ready")
        assert (ready.status, ready.json["ok"]) == (200, True)
        works.engine.drain()
        drained = await call(works.app, "GET", "/health/ready")
        assert (drained.status, drained.json["parts"]["work"]["detail"]) == (503, "draining")
        assert (await call(works.app, "GET", "/health/live")).status == 200


async def test_it_stays_ready_while_no_model_server_answers(tmp_path) -> None:
    async with working(tmp_path, urls=("http://127.0.0.1:1",)) as works:
        ready = await call(works.app, "GET", "/health/ready")
        assert (ready.status, ready.json["parts"]["model_servers"]["detail"]) == (200, "0 of 1 answer")
