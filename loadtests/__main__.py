"""`python -m loadtests`: runs scenarios and writes the report; exit code 1 when a requirement isn't met."""

import asyncio
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.baseline import Baseline
from loadtests.load import LoadFailed
from loadtests.machine import describe
from loadtests.measures import Plan, Requirement, Result
from loadtests.processes import NotStarted
from loadtests.report import Answered, requirement_line, write_report
from loadtests.scenarios import Scenario, all_scenarios

_REPORTS = Path(__file__).parent / "reports"
_SEED = 7


def main() -> int:
    known = all_scenarios()
    arguments = _arguments(known)
    chosen = [known[name] for name in arguments.scenario or known]
    try:
        return asyncio.run(_run(chosen, arguments))
    except NotStarted as problem:
        print(problem, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _arguments(known: Mapping[str, Scenario]) -> Namespace:
    parser = ArgumentParser(prog="python -m loadtests", description="Measure side by side, and report.")
    parser.add_argument(
        "scenario", nargs="*", choices=[*known, []], metavar="scenario", help=f"{', '.join(known)} (all)"
    )
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=int,
        help="rounds in which each side takes its turn (as many as a scenario needs)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=_REPORTS / "latest",
        help="where the report goes (%(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="keep these figures as the baseline")
    return parser.parse_args()


async def _run(chosen: Sequence[Scenario], arguments: Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    # So that processes are ended in any case.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    origin = describe(_SEED)
    baseline = Baseline(_REPORTS / "baseline.json")
    answered = [
        await _answer(scenario, Plan(arguments.pairs or scenario.pairs, _SEED, _tell), baseline)
        for scenario in chosen
    ]
    page = write_report(arguments.out, origin, answered)
    _tell(f"\nreport: {page}")
    if arguments.keep:
        _keep(baseline, answered, origin)
    return 0 if all(one.result.passed for one in answered) else 1


async def _answer(scenario: Scenario, plan: Plan, baseline: Baseline) -> Answered:
    _tell(f"\n{scenario.name}: {scenario.question}")
    result = await _result(scenario, plan)
    for requirement in result.requirements:
        _tell(requirement_line(requirement))
    return Answered(
        scenario.name,
        scenario.question,
        result,
        baseline.changes(scenario.name, result),
        baseline.origin(scenario.name),
    )


async def _result(scenario: Scenario, plan: Plan) -> Result:
    try:
        return await scenario.run(plan)
    except (LoadFailed, TimeoutError) as problem:
        # The others' questions are still worth their answers.
        _tell(f"  {problem!r}")
        return Result([Requirement("it could be measured", "yes", "no", passed=False)], {})


def _keep(baseline: Baseline, answered: Sequence[Answered], origin: Mapping[str, Any]) -> None:
    for one in answered:
        if one.result.figures:
            baseline.keep(one.scenario, one.result, origin)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
