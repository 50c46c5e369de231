import timeit

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from chatserver.telemetry.metrics import LaneFigures, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"chatserver_{sample}", labels)


def test_figures_stand_on_a_registry_of_their_own(metrics: Metrics) -> None:
    metrics.rejected("full")
    assert value(Metrics(), "rejected_total", code="full") is None
    assert not any(family.name.startswith("chatserver_") for family in REGISTRY.collect())


def test_a_connection_counts_while_it_is_open_even_when_it_ends_badly(metrics: Metrics) -> None:
    with pytest.raises(ConnectionResetError), metrics.connection("sse"):  # noqa: PT012
        assert value(metrics, "connections", transport="sse") == 1
        raise ConnectionResetError
    assert value(metrics, "connections", transport="sse") == 0
    assert value(metrics, "connections", transport="websocket") == 0


def test_what_happens_is_counted_under_its_labels(metrics: Metrics) -> None:
    metrics.accepted("interactive")
    metrics.ended("failed", "upstream_error")
    metrics.tokens(prompt=7, completion=5)
    metrics.upstream_request("stalled")
    metrics.rejected("too_many")
    metrics.http_request("/api/v1/generations/{id}", "GET", 200)
    assert value(metrics, "generations_accepted_total", **{"class": "interactive"}) == 1
    assert value(metrics, "generations_ended_total", status="failed", reason="upstream_error") == 1
    assert value(metrics, "tokens_total", kind="prompt") == 7
    assert value(metrics, "tokens_total", kind="completion") == 5
    assert value(metrics, "upstream_requests_total", outcome="stalled") == 1
    assert value(metrics, "rejected_total", code="too_many") == 1
    route = {"route": "/api/v1/generations/{id}", "method": "GET", "status": "200"}
    assert value(metrics, "http_requests_total", **route) == 1


def test_made_up_methods_share_one_series(metrics: Metrics) -> None:
    metrics.http_request("/", "BREW", 405)
    metrics.http_request("/", "WHEN", 405)
    assert value(metrics, "http_requests_total", route="/", method="other", status="405") == 2


def test_times_and_sizes_fall_into_buckets(metrics: Metrics) -> None:
    metrics.first_token("interactive", 0.15)
    metrics.between_tokens(0.03)
    metrics.loop_lag(0.002)
    metrics.committed(3, 0.004)
    assert value(metrics, "first_token_seconds_bucket", le="0.2", **{"class": "interactive"}) == 1
    assert value(metrics, "between_tokens_seconds_bucket", le="0.02") == 0
    assert value(metrics, "between_tokens_seconds_bucket", le="0.05") == 1
    assert value(metrics, "event_loop_lag_seconds_sum") == 0.002
    assert value(metrics, "commit_writes_bucket", le="4.0") == 1
    assert value(metrics, "commit_seconds_count") == 1


def test_the_queue_is_asked_whenever_figures_are_read(metrics: Metrics) -> None:
    lanes = {"interactive": LaneFigures(depth=2, oldest_age_s=1.5)}
    statuses = {"running": 4}
    metrics.watch_queue(lambda: lanes)
    metrics.watch_generations(lambda: statuses)
    assert value(metrics, "queue_depth", **{"class": "interactive"}) == 2
    assert value(metrics, "queue_oldest_age_seconds", **{"class": "interactive"}) == 1.5
    assert value(metrics, "generations", status="running") == 4
    lanes["interactive"] = LaneFigures(depth=0, oldest_age_s=0)
    statuses["running"] = 5
    assert value(metrics, "queue_depth", **{"class": "interactive"}) == 0
    assert value(metrics, "generations", status="running") == 5


def test_slots_that_are_taken_are_asked_for_too(metrics: Metrics) -> None:
    taken = [object()]
    metrics.watch_slots(lambda: len(taken))
    assert value(metrics, "slots_taken") == 1
    taken.clear()
    assert value(metrics, "slots_taken") == 0


async def test_tasks_and_memory_are_among_the_figures(metrics: Metrics) -> None:
    assert value(metrics, "asyncio_tasks") == 1
    assert (metrics.registry.get_sample_value("process_resident_memory_bytes") or 0) > 1_000_000


def test_what_is_rendered_can_be_read_by_prometheus(metrics: Metrics) -> None:
    metrics.rejected("full")
    families = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert {"chatserver_rejected", "chatserver_connections", "chatserver_queue_depth"} <= families
    assert not any(name.endswith("_created") for name in families)


def test_observing_a_piece_costs_next_to_nothing(metrics: Metrics) -> None:
    # 0.8 µs alone on a core; the bound is wide, for the machine may be busy.
    best = min(timeit.repeat(lambda: metrics.between_tokens(0.03), number=2000, repeat=5)) / 2000
    assert best < 10e-6
