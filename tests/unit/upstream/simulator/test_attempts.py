from chatserver.upstream.simulator.attempts import Attempts


def test_attempts_of_each_request_are_counted_apart() -> None:
    attempts = Attempts()
    assert [attempts.count(seed) for seed in (1, 1, 2, 1)] == [0, 1, 0, 2]


def test_only_the_latest_requests_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr("chatserver.upstream.simulator.attempts._MOST_REQUESTS", 2)
    attempts = Attempts()
    for seed in (1, 2, 3):
        attempts.count(seed)
    assert [attempts.count(seed) for seed in (3, 1)] == [1, 0]
