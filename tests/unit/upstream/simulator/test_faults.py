import pytest

from chatserver.upstream.simulator.faults import FAULTS, Fault, FaultBoard, parse_fault


def test_a_name_alone_means_always() -> None:
    assert parse_fault("cut") == Fault("cut", 1)


def test_a_rate_may_follow_the_name() -> None:
    assert parse_fault("cut:0.2") == Fault("cut", 0.2)
    assert [str(parse_fault(text)) for text in ("cut:0.2", "stall")] == ["cut:0.2", "stall"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flood", "there is no fault 'flood'"),
        ("cut:often", "must be a number"),
        ("cut:1.5", "from 0 to 1"),
        ("cut:nan", "from 0 to 1"),
        ("", "there is no fault"),
    ],
)
def test_other_faults_are_told_apart(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_fault(text)


def test_every_fault_is_described_in_one_line() -> None:
    assert all(description and "\n" not in description for description in FAULTS.values())


def test_the_same_seed_hits_the_same_requests_at_about_the_rate() -> None:
    boards = [FaultBoard([Fault("cut", 0.2)], seed=1) for _ in range(2)]
    first, second = ([board.draw(FAULTS) for _ in range(1_000)] for board in boards)
    assert first == second
    assert 150 < first.count("cut") < 250


def test_only_the_named_faults_are_drawn() -> None:
    board = FaultBoard([Fault("refuse"), Fault("cut")], 0)
    assert (board.draw(("refuse",)), board.draw(("cut",)), board.draw(())) == ("refuse", "cut", None)


def test_a_request_may_wish_for_a_fault() -> None:
    assert FaultBoard([], 0).draw((), Fault("stall")) == "stall"
