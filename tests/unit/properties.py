"""How properties are tried: few examples, the same each time, and no clock that a busy machine could fail."""

from hypothesis import HealthCheck, settings

PROPERTY = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    # Fixtures of these tests keep nothing from one example to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
