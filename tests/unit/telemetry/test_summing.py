from prometheus_client.parser import text_string_to_metric_families

from chatserver.telemetry.metrics import LaneFigures, Metrics
from chatserver.telemetry.summing import Figures, figures_of, lasting, rendered, total


def process(*, accepted: int, waiting: int, oldest_s: float, lags: tuple[float, ...] = ()) -> Figures:
    metrics = Metrics()
    for _ in range(accepted):
        metrics.accepted("interactive")
    for lag in lags:
        metrics.loop_lag(lag)
    metrics.watch_queue(lambda: {"interactive": LaneFigures(waiting, oldest_s)})
    return figures_of(metrics.registry)


def value(figures: Figures, sample: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(rendered(figures).decode()):
        for one in family.samples:
            if one.name == f"chatserver_{sample}" and one.labels == labels:
                return one.value
    return None


def test_counts_and_buckets_add_up_and_of_times_the_longest_counts() -> None:
    one = process(accepted=3, waiting=2, oldest_s=7.0, lags=(0.002, 0.3))
    other = process(accepted=4, waiting=1, oldest_s=5.0, lags=(0.002,))
    both = total([one, other])
    assert value(both, "generations_accepted_total", **{"class": "interactive"}) == 7
    assert value(both, "queue_depth", **{"class": "interactive"}) == 3
    assert value(both, "queue_oldest_age_seconds", **{"class": "interactive"}) == 7
    assert value(both, "event_loop_lag_seconds_bucket", le="0.005") == 2
    assert value(both, "event_loop_lag_seconds_count") == 3


def test_of_one_that_has_ended_only_its_counts_stay() -> None:
    ended = lasting(process(accepted=3, waiting=2, oldest_s=7.0, lags=(0.002,)))
    now = total([ended, process(accepted=1, waiting=1, oldest_s=1.0)])
    assert value(now, "generations_accepted_total", **{"class": "interactive"}) == 4
    assert value(now, "event_loop_lag_seconds_count") == 1
    assert value(now, "queue_depth", **{"class": "interactive"}) == 1
    assert value(ended, "queue_depth", **{"class": "interactive"}) is None


def test_adding_up_changes_nothing_of_what_is_added() -> None:
    one = process(accepted=3, waiting=0, oldest_s=0.0)
    total([one, one])
    assert value(one, "generations_accepted_total", **{"class": "interactive"}) == 3


def test_one_alone_is_told_as_it_tells_itself() -> None:
    metrics = Metrics()
    metrics.accepted("interactive")
    told = rendered(total([figures_of(metrics.registry)])).decode()
    # What the process itself takes changes from look to look.
    ours = [line for line in metrics.render().decode().splitlines() if "process_" not in line]
    assert [line for line in told.splitlines() if "process_" not in line] == ours
