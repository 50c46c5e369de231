"""Whose word counts for where a call comes from: that of trusted proxies, over real sockets."""

from typing import Any

import httpx
import pytest

from tests.unit.app.test_serve import serving

#: A call counts for the address it comes from; the second one from the same is too many.
ONCE = {"limits__per_address_per_minute": 1, "server__grace_s": 1.0}


async def statuses(http: httpx.AsyncClient, *forwarded: str) -> list[int]:
    """Hand in work once for each value of X-Forwarded-For."""
    return [
        (await http.post("/api/v1/generations", json=WORK, headers={"x-forwarded-for": value})).status_code
        for value in forwarded
    ]


WORK = {"prompt": "[[tokens=1]]"}


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",)])
async def test_what_anybody_else_forwards_is_not_believed(tmp_path, trusted: tuple[str, ...]) -> None:
    async with serving(tmp_path, server__trusted_proxies=trusted, **ONCE) as served:
        assert await statuses(served.http, "10.0.0.1", "10.0.0.2", "127.0.0.1") == [202, 429, 429]
        answer = await served.http.post("/api/v1/tickets", json={}, headers=_from_page(served.http))
        assert "Secure" not in answer.headers["set-cookie"]


async def test_a_trusted_proxy_tells_whom_it_speaks_for(tmp_path) -> None:
    async with serving(tmp_path, server__trusted_proxies=("127.0.0.0/8",), **ONCE) as served:
        assert await statuses(served.http, "10.0.0.1", "10.0.0.2", "10.0.0.1") == [202, 202, 429]
        # What stands before the address that the proxy itself has seen was sent by the caller.
        assert await statuses(served.http, "10.9.9.9, 10.0.0.1", "10.0.0.3, 127.0.0.5") == [429, 202]
        assert await statuses(served.http, "10.0.0.3:4711", "10.0.0.4", "", ",") == [
            429,
            202,
            202,
            429,
        ]
        answer = await served.http.post("/api/v1/tickets", json={}, headers=_from_page(served.http))
        assert "Secure" in answer.headers["set-cookie"]


def _from_page(http: httpx.AsyncClient) -> dict[str, Any]:
    """Headers of a page of ours that came by HTTPS to the proxy."""
    host = http.base_url.netloc.decode()
    return {"origin": f"https://{host}", "x-forwarded-proto": "https"}
