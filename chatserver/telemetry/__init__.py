"""What operators see: log lines, figures for Prometheus, and how late the event loop is."""

from chatserver.telemetry.logs import set_up_logging
from chatserver.telemetry.loop import LoopLag
from chatserver.telemetry.metrics import Lane, Metrics

__all__ = ["Lane", "LoopLag", "Metrics", "set_up_logging"]
