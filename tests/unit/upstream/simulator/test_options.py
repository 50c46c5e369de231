import pytest

from chatserver.upstream.simulator.options import SimulatorOptions


def test_the_defaults_answer_at_once_and_never_fail() -> None:
    options = SimulatorOptions()
    assert (options.rate, options.first_token_ms, options.faults) == (None, 0, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"rate": -1},
        {"rate": float("nan")},
        {"parallel": 0},
        {"first_token_ms": -1},
        {"load_ms": -1},
        {"context_length": 3},
        {"max_queue": 0},
    ],
)
def test_a_wrong_value_is_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimulatorOptions(**wrong)
