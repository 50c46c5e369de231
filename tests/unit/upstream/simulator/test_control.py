"""The simulator's own endpoints."""

import httpx
import pytest

from chatserver.upstream.simulator.faults import FAULTS, Fault


async def test_requests_are_counted_by_path_but_not_the_controls(simulated) -> None:
    await simulated.chat("Hi")
    await simulated.chat("Hi", model="nope")
    await simulated.http.get("/api/tags")
    counters = await simulated.stats()
    assert counters["requests"] == {"/api/chat": 2, "/api/tags": 1}
    assert (counters["served"], counters["refused"], counters["connections"]) == (1, 1, 1)
    assert counters["tokens"] > 0


async def test_waiting_for_numbers_ends_with_the_time(simulated) -> None:
    answer = await simulated.http.get("/_sim/stats", params={"served": 1, "wait": 0.01})
    assert answer.json()["served"] == 0


async def test_the_last_requests_can_be_read(simulated) -> None:
    for number in range(3):
        await simulated.chat(f"Hi {number}")
    kept = (await simulated.http.get("/_sim/requests", params={"last": 2})).json()
    assert [one["body"]["messages"][0]["content"] for one in kept] == ["Hi 1", "Hi 2"]
    assert kept[0]["path"] == "/api/chat"


async def test_faults_change_while_it_runs(start) -> None:
    simulated = await start(faults=(Fault("status-500"),))
    shown = (await simulated.http.get("/_sim/faults")).json()
    assert shown == {"faults": ["status-500"], "known": FAULTS}
    changed = await simulated.http.put("/_sim/faults", json=["refuse", "cut:0.5"])
    assert changed.json()["faults"] == ["refuse", "cut:0.5"]
    with pytest.raises(httpx.RemoteProtocolError):
        await simulated.chat("Hi")
    await simulated.http.put("/_sim/faults", json=[])
    assert (await simulated.chat("Hi")).status_code == 200


@pytest.mark.parametrize("faults", ['["flood"]', "{}", "[5]", "no json", '["cut:9"]'])
async def test_wrong_faults_are_refused_and_change_nothing(start, faults: str) -> None:
    simulated = await start(faults=(Fault("status-500"),))
    assert (await simulated.http.put("/_sim/faults", content=faults)).status_code == 400
    assert (await simulated.http.get("/_sim/faults")).json()["faults"] == ["status-500"]


@pytest.mark.parametrize("path", ["/_sim/stats?wait=long", "/_sim/stats?odd=1", "/_sim/requests?last=all"])
async def test_what_is_asked_for_must_make_sense(simulated, path: str) -> None:
    assert (await simulated.http.get(path)).status_code == 400
