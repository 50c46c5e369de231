import time

from chatserver.generation.clock import SystemClock


def test_the_systems_time_only_grows():
    clock = SystemClock()

    readings = [clock.now() for _ in range(1000)]

    assert readings == sorted(readings)


def test_the_wall_shows_milliseconds_since_the_epoch():
    before = time.time_ns()
    wall_ms = SystemClock().wall_ms()
    after = time.time_ns()

    assert before // 1_000_000 <= wall_ms <= after // 1_000_000
