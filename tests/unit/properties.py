"""How properties are tried: few examples, the same each time, and no clock that a busy machine could fail."""

import os

from hypothesis import HealthCheck, settings

#: EXPLORE=20000 tries that many others instead; Hypothesis then says how to play a failing one again.
EXPLORE = int(os.environ.get("EXPLORE", "0"))


def tried(examples: int) -> settings:
    return settings(
        max_examples=EXPLORE or examples,
        deadline=None,
        # The same on every machine and in every run, so that a failure is everybody's at once.
        derandomize=not EXPLORE,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        # Fixtures of these tests keep nothing from one example to the next.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


PROPERTY = tried(30)
