"""The figures of one process for Prometheus, on a registry of their own.

No label names a person or a conversation: each has a few values only, so that the number of series stays
the same however long the server runs.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from chatserver.telemetry.histogram import QuickHistogram

Transport = Literal["websocket", "sse", "longpoll"]

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30, 60)
_BETWEEN_TOKENS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30)
_LOOP_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_COMMIT_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class LaneFigures(NamedTuple):
    """What one class of work (interactive, background) looks like in the queue."""

    depth: int
    oldest_age_s: float


class Metrics:
    #: Content type of what `render` returns.
    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        # They double the number of series and say only when the process began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"chatserver_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"chatserver_{name}", text, labels, buckets=buckets, registry=registry)

        self._connections = Gauge(
            "chatserver_connections", "Open streams and WebSockets.", ["transport"], registry=registry
        )
        for transport in get_args(Transport):
            self._connections.labels(transport)
        self._accepted = counter("generations_accepted", "Generations accepted.", "class")
        self._ended = counter("generations_ended", "Generations ended.", "status", "reason")
        self._taken_over = counter(
            "generations_taken_over", "Generations of other owners that were brought on, by how.", "how"
        )
        self._tokens = counter("tokens", "Tokens, as the models count them.", "kind")
        self._prompt_counts = counter(
            "prompt_counts", "Prompts whose count by the model was held against ours.", "outcome"
        )
        self._titles = counter("titles_made", "Titles that models have made.")
        self._summaries = counter("summaries_made", "Summaries that models have made.")
        self._refused = counter(
            "summaries_refused", "Summaries that weren't kept, by what was wrong.", "reason"
        )
        self._upstream_requests = counter("upstream_requests", "Requests to model servers.", "outcome")
        self._http_requests = counter("http_requests", "HTTP requests.", "route", "method", "status")
        self._rejected = counter("rejected", "Requests refused, by error code.", "code")
        self._limits_reached = counter("limits_reached", "Requests refused, by the limit's setting.", "limit")
        self._first_token = histogram(
            "first_token_seconds", "From asking a model server to its first token.", _FIRST_TOKEN_S, "class"
        )
        between = QuickHistogram(
            "chatserver_between_tokens_seconds", "Between two pieces of an answer.", _BETWEEN_TOKENS_S
        )
        registry.register(between)
        #: Called with the seconds between two pieces, once per piece.
        self.between_tokens: Callable[[float], None] = between.observe
        lag = histogram("event_loop_lag_seconds", "How late the event loop came.", _LOOP_LAG_S)
        #: Called with how many seconds late the event loop was.
        self.loop_lag: Callable[[float], None] = lag.observe
        self._commit_writes = histogram("commit_writes", "Writes that shared a commit.", _COMMIT_WRITES)
        self._commit_seconds = histogram("commit_seconds", "From begin to commit.", _COMMIT_S)
        self._watched = _Watched()
        registry.register(self._watched)
        ProcessCollector(registry=registry)

    @contextmanager
    def connection(self, transport: Transport) -> Iterator[None]:
        """Count a connection for as long as it is open."""
        gauge = self._connections.labels(transport)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def accepted(self, work_class: str) -> None:
        self._accepted.labels(work_class).inc()

    def ended(self, status: str, reason: str) -> None:
        self._ended.labels(status, reason).inc()

    def taken_over(self, how: Literal["continued", "afresh"]) -> None:
        self._taken_over.labels(how).inc()

    def first_token(self, work_class: str, seconds: float) -> None:
        self._first_token.labels(work_class).observe(seconds)

    def tokens(self, *, prompt: int, completion: int) -> None:
        self._tokens.labels("prompt").inc(prompt)
        self._tokens.labels("completion").inc(completion)

    def prompt_counted(self, outcome: str) -> None:
        """`outcome` is "within" or "off", of what is tolerated, or "unusable"."""
        self._prompt_counts.labels(outcome).inc()

    def title_made(self) -> None:
        self._titles.inc()

    def summary_made(self) -> None:
        self._summaries.inc()

    def summary_refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def upstream_request(self, outcome: str) -> None:
        """`outcome` is "ok" or the code of the error."""
        self._upstream_requests.labels(outcome).inc()

    def http_request(self, route: str, method: str, status: int) -> None:
        """`route` is the template, such as /api/v1/generations/{id}, never the path itself."""
        # Anyone can make up methods, and each would be a series for ever.
        self._http_requests.labels(route, method if method in _METHODS else "other", str(status)).inc()

    def rejected(self, code: str, setting: str = "") -> None:
        """`setting` is the limit that was reached, where it was one."""
        self._rejected.labels(code).inc()
        if setting:
            self._limits_reached.labels(setting).inc()

    def committed(self, writes: int, seconds: float) -> None:
        self._commit_writes.observe(writes)
        self._commit_seconds.observe(seconds)

    def watch_queue(self, source: Callable[[], Mapping[str, LaneFigures]]) -> None:
        """Ask `source` for the queue's state, by class, whenever figures are read."""
        self._watched.queue = source

    def watch_generations(self, source: Callable[[], Mapping[str, int]]) -> None:
        """Ask `source` how many generations are in each status that isn't final."""
        self._watched.generations = source

    def watch_finished_logs(self, source: Callable[[], int]) -> None:
        """Ask `source` for the bytes that finished logs take."""
        self._watched.finished_bytes = source

    def watch_slots(self, source: Callable[[], int]) -> None:
        """Ask `source` how many slots of the model servers are taken."""
        self._watched.slots = source

    def watch_sockets(self, source: Callable[[], int]) -> None:
        """Ask `source` how many TCP connections are open."""
        self._watched.sockets = source

    def render(self) -> bytes:
        return generate_latest(self.registry)

    async def figures(self) -> bytes:
        """Render them, where all figures are those of this process."""
        return self.render()


class _Watched(Collector):
    """What is cheaper to ask for at each reading than to keep up to date."""

    def __init__(self) -> None:
        self.queue: Callable[[], Mapping[str, LaneFigures]] = dict
        self.generations: Callable[[], Mapping[str, int]] = dict
        self.slots: Callable[[], int] = int
        self.sockets: Callable[[], int] = int
        self.finished_bytes: Callable[[], int] = int

    def collect(self) -> Iterator[GaugeMetricFamily]:
        lanes = self.queue()
        yield _gauge("queue_depth", "Waiting.", "class", {name: lane.depth for name, lane in lanes.items()})
        yield _gauge(
            "queue_oldest_age_seconds",
            "Age of what has waited longest.",
            "class",
            {name: lane.oldest_age_s for name, lane in lanes.items()},
        )
        yield _gauge("generations", "Generations that haven't ended.", "status", self.generations())
        yield GaugeMetricFamily(
            "chatserver_finished_logs_bytes", "Memory of finished logs.", value=self.finished_bytes()
        )
        yield GaugeMetricFamily(
            "chatserver_slots_taken", "Slots of model servers that are taken.", value=self.slots()
        )
        yield GaugeMetricFamily("chatserver_sockets", "Open TCP connections.", value=self.sockets())
        yield GaugeMetricFamily("chatserver_asyncio_tasks", "Tasks of the event loop.", value=_task_count())


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"chatserver_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # read from outside the event loop
        return 0
