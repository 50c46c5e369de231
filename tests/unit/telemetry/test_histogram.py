from prometheus_client import CollectorRegistry, Histogram, generate_latest

from chatserver.telemetry.histogram import QuickHistogram

BOUNDS = (0.005, 0.5, 1, 30)


def test_a_quick_histogram_shows_what_the_usual_one_does():
    usual, quick = CollectorRegistry(), CollectorRegistry()
    theirs = Histogram("some_seconds", "Something.", buckets=BOUNDS, registry=usual)
    ours = QuickHistogram("some_seconds", "Something.", BOUNDS)
    quick.register(ours)
    for value in (0.0, 0.005, 0.0051, 1, 29.9, 31, 1e9):
        theirs.observe(value)
        ours.observe(value)
    shown = generate_latest(usual).decode()
    assert generate_latest(quick).decode() == "".join(
        line for line in shown.splitlines(keepends=True) if "_created" not in line
    )
