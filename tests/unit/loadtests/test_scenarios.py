from collections import Counter
from dataclasses import replace

from loadtests.churn import Churned, Look
from loadtests.crashes import Crashed
from loadtests.holdings import Holdings
from loadtests.load import Outcome, request
from loadtests.scenarios import (
    accepting,
    all_scenarios,
    breaking_point,
    churn,
    crashes,
    history,
    idle_sockets,
    many_streams,
    prompt,
    stalled_readers,
    transports,
)
from loadtests.scenarios.token_cost import evaluate


def outcome(cost_us: float, first_ms: float, delay_us: int, alone: int = 100) -> Outcome:
    cpu = cost_us * 100 / 1e6
    return Outcome(
        streams=10,
        complete=10,
        tokens=100,
        alone=alone,
        first_ms=[first_ms] * 10,
        delays_us=[delay_us] * 100,
        together_us=[delay_us] * 90 + [90_000] * 10,
        seconds=2.0,
        cpu_s={"chatserver": cpu, "nginx": cpu, "simulator": 0.1, "client": 0.2},
        others=0.0,
    )


def test_every_scenario_is_a_question():
    assert all(scenario.question.endswith("?") for scenario in all_scenarios().values())


def test_a_token_is_measured_against_nginx_and_the_direct_way():
    ways = {
        "direct": [outcome(0, 10, 20)],
        "nginx": [outcome(10, 20, 100)],
        "chatserver": [outcome(30, 40, 1020, alone=95)],
    }
    result = evaluate(ways, ways)
    assert result.passed
    assert [requirement.reached for requirement in result.requirements] == ["3 x", "95 %", "1 ms", "3 x"]


def test_a_request_says_how_long_its_body_is():
    text = request("/path", "localhost", {"content": "é"}, accept="text/event-stream")
    head, _, body = text.encode().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /path HTTP/1.1\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_a_first_token_that_nginx_does_not_delay_still_gives_a_ratio():
    ways = {
        name: [outcome(10, first, 20)] for name, first in (("direct", 10), ("nginx", 9), ("chatserver", 15))
    }
    assert evaluate(ways, ways).requirements[3].reached == "5 x"


def test_a_token_is_in_time_within_fifty_milliseconds():
    ways = {"nginx": [outcome(10, 20, 100)], "chatserver": [outcome(30, 40, 50_000)]}
    result = many_streams.evaluate(ways)
    assert result.figures["tokens in time"].median == 90
    assert result.figures["on its way, middle token"].median == 50
    assert not result.passed


def test_prompts_have_to_be_built_in_time_and_read_the_same_of_any_length():
    def built(milliseconds, rows=64):
        return [prompt.Built([milliseconds] * 20, rows, 4000)]

    passing = prompt.evaluate({50: built(1.0, 52), 500: built(2.0), 5_000: built(2.5)})
    assert passing.passed
    assert [requirement.reached for requirement in passing.requirements] == ["2 ms", "1.25 x", "64 rows"]
    failing = prompt.evaluate({50: built(1.0), 500: built(6.0), 5_000: built(12.0, 500)})
    assert [requirement.passed for requirement in failing.requirements] == [False, False, False]


def test_a_websocket_is_held_against_events_of_the_same_round():
    def costs(*cpu_us):
        return [transports.Cost(each, 1.0) for each in cpu_us]

    events = costs(40, 60, 50)
    assert transports.evaluate({transports.EVENTS: events, transports.SOCKETS: costs(50, 75, 70)}).passed
    assert not transports.evaluate({transports.EVENTS: events, transports.SOCKETS: costs(52, 75, 70)}).passed


def test_memory_a_connection_is_judged_at_its_peak_and_every_connection_counts():
    one = idle_sockets.Round(
        kept=10_000,
        opening_ms=0.5,
        idle_kib=30,
        streaming_kib=44,
        idle_cores=0.01,
        cores={"chatserver": 0.3, "simulator": 0.1, "client": 0.1},
        delays_ms=[1.0, 50.0, 51.0, 60.0],
    )
    assert idle_sockets.evaluate([one]).passed
    assert idle_sockets.evaluate([one]).figures["tokens in time"].median == 50
    assert not idle_sockets.evaluate([one, replace(one, kept=9_999)]).passed
    assert not idle_sockets.evaluate([replace(one, streaming_kib=46)]).passed


def test_stalled_readers_may_slow_the_others_a_little_and_all_have_to_go():
    cores = {"chatserver": 0.9, "simulator": 0.1, "client": 0.1}
    alone = stalled_readers.Round([50.0] * 10, [50.0] * 10, 1024 * 1024, cores)
    beside = stalled_readers.Round(
        gaps_ms=[60.0] * 10,
        all_gaps_ms=[90.0] * 10,
        grown=1024 * 1024 + 500 * 128 * 1024,
        cores=cores,
        gone_s=[10.0] * 500,
    )
    assert stalled_readers.evaluate([alone], [beside]).passed
    for worse in (
        replace(beside, gaps_ms=[61.0] * 10),
        replace(beside, grown=beside.grown + 1024 * 1024),
        replace(beside, gone_s=[15.5] * 500),
        replace(beside, gone_s=[10.0] * 499),
        replace(beside, left=1),
    ):
        assert not stalled_readers.evaluate([alone], [worse]).passed


def test_a_scenario_that_needs_more_rounds_than_others_says_so():
    known = all_scenarios()
    assert (known["stalled_readers"].pairs, known["token_cost"].pairs) == (5, 3)


def test_growth_is_that_of_the_fitted_line_after_the_warm_up():
    def churned(bytes_each, tasks_more=0, tasks_left=0):
        def held(at, tasks):
            memory = round(1e8 + 50e6 * (at < 120) + 10 * at * bytes_each)
            return Holdings(
                tasks=tasks, generations=1, slots=1, readers=9, sockets=40, files=19, memory=memory
            )

        looks = [
            Look(at, 10 * at, held(at, 60 + (-1) ** at * 10 + tasks_more * at // 600)) for at in range(600)
        ]
        return Churned(Counter(read=6_000), looks, held(0, 9), held(600, 9 + tasks_left))

    flat = churn.evaluate([churned(200)])
    assert flat.passed
    assert round(flat.figures["memory a visit"].median) == 200
    for growing in (churned(600), churned(0, tasks_more=40), churned(0, tasks_left=1)):
        assert not churn.evaluate([growing]).passed


def step(rate: float, first_ms: float = 20, refused_ms: float | None = None) -> breaking_point.Step:
    refused = [] if refused_ms is None else [refused_ms] * 50
    return breaking_point.Step(
        rate=rate,
        asked=100,
        answered=100 - len(refused),
        failed=0,
        why="",
        seconds=5.0,
        cores={"chatserver": 0.9, "simulator": 0.2, "client": 0.1},
        first_ms=[first_ms] * 100,
        delays_ms=[5.0] * 100,
        refused_ms=refused,
        lags_ms=[1.0] * 100,
    )


def test_a_rate_is_too_high_when_something_is_late_or_refused_and_what_it_was_is_told():
    assert step(80).broken() == []
    assert step(120, first_ms=600).broken() == ["first tokens came late (95 % within 600 ms)"]
    assert step(160, refused_ms=9).broken() == ["50 of 100 were refused"]


def test_beyond_the_breaking_point_answers_still_come_and_refusals_at_once_and_it_heals():
    good = breaking_point.Round(
        held=step(80),
        broke=step(98, first_ms=600),
        twice=step(160, first_ms=2000, refused_ms=30),
        back=step(40),
        after=step(40),
        left=0,
        grown=2**20,
    )
    result = breaking_point.evaluate([good])
    assert result.passed
    assert result.notes[0] == (
        "Broke first, at 98 questions a second: first tokens came late (95 % within 600 ms)."
    )
    for worse in (
        replace(good, twice=step(160, refused_ms=51)),
        replace(good, twice=replace(good.twice, answered=39)),
        replace(good, twice=replace(good.twice, failed=1)),
        replace(good, twice=step(160)),
        replace(good, after=step(40, first_ms=31)),
        replace(good, left=1),
    ):
        assert not breaking_point.evaluate([worse]).passed


def test_of_crashes_no_fault_is_forgiven_and_enough_have_to_come_when_it_matters():
    def crashed(*faults, in_summaries=30):
        return Crashed(100, in_summaries, 90, 900, 50, list(faults))

    assert crashes.evaluate({"file": [crashed()], "PostgreSQL": [crashed()]}).passed
    for worse in (crashed("lost: one"), crashed(in_summaries=5)):
        assert not crashes.evaluate({"file": [worse], "PostgreSQL": [worse]}).passed


def test_every_kind_of_read_has_to_be_quick_and_the_first_page_as_quick_as_the_last():
    def taken(slowest, first=2.0):
        kinds = {
            "messages": [1.0] * 20,
            "two words": [slowest] * 20,
            "its last page": [2.0],
            "its first page": [first],
        }
        return history.Round(kinds, kinds, others=0.1)

    assert history.evaluate({"file": [taken(9.0)]}).passed
    assert not history.evaluate({"file": [taken(11.0)]}).passed
    assert not history.evaluate({"file": [taken(9.0, first=4.0)]}).passed


def test_accepting_is_judged_by_what_it_takes_beyond_one_sync():
    good = accepting.Round(steady=[6.0] * 9, bursts=[42.0] * 9, sync=[2.0] * 9, processor_ms=2.0)
    assert accepting.evaluate({"file": [good]}).passed
    for worse in (replace(good, steady=[8.0] * 9), replace(good, bursts=[43.0] * 9)):
        assert not accepting.evaluate({"file": [worse]}).passed
