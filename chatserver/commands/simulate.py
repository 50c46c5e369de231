"""`chatserver simulate-ollama`: an Ollama without a model, for trying things and failures out."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter

from chatserver.commands.command import Command
from chatserver.errors import StartRefused
from chatserver.upstream.simulator.faults import FAULTS, Fault, parse_fault
from chatserver.upstream.simulator.options import SimulatorOptions

#: Options that are the simulator's own, under the same names.
_OPTIONS = ("rate", "first_token_ms", "parallel", "seed", "diverge")


def _add_options(parser: ArgumentParser) -> None:
    parser.formatter_class = RawDescriptionHelpFormatter
    width = max(map(len, FAULTS))
    parser.epilog = "\n".join(
        ["faults:", *(f"  {name:<{width}}  {effect}" for name, effect in FAULTS.items())]
    )
    defaults = SimulatorOptions()
    add = parser.add_argument
    add("--host", metavar="H", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", metavar="P", type=_port, default=11434, help="port to listen on; 0 takes any (%(default)s)")
    add(
        "--rate",
        metavar="TOKENS_PER_S",
        type=float,
        help="tokens a second of each answer (as fast as it goes)",
    )
    add(
        "--first-token-ms",
        metavar="MS",
        type=float,
        default=defaults.first_token_ms,
        help="milliseconds before the first token (%(default)g)",
    )
    add(
        "--parallel",
        metavar="N",
        type=int,
        default=defaults.parallel,
        help="answers in flight per model (%(default)s)",
    )
    add("--seed", metavar="S", type=int, default=defaults.seed, help="other seeds, other words (%(default)s)")
    add("--diverge", action="store_true", help="a second attempt or a continuation gives other words")
    add(
        "--fault",
        metavar="NAME[:RATE]",
        type=_fault,
        action="append",
        default=[],
        help="fail on purpose, always or for this share of requests (from 0 to 1); may be repeated",
    )


def _port(text: str) -> int:
    # Five digits at most, so that no number is too long to be read.
    if not (text.isdecimal() and len(text) <= 5 and int(text) <= 65_535):
        raise ArgumentTypeError(f"the port must be from 0 to 65535, not {text!r}")
    return int(text)


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _run(arguments: Namespace) -> int:
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    try:
        options = SimulatorOptions(**given, faults=tuple(arguments.fault))
    except ValueError as error:
        raise StartRefused(f"{error}.") from error
    # Imported late, so that --help needs none of it.
    from chatserver.upstream.simulator.serve import run  # noqa: PLC0415

    try:
        run(arguments.host, arguments.port, options)
    except OSError as error:
        place = f"{arguments.host} port {arguments.port}"
        raise StartRefused(f"{place} can't be listened on: {error.strerror}.") from error
    return 0


COMMAND = Command(
    "simulate-ollama",
    "run a simulated Ollama",
    "Answer like an Ollama with a few small models, made-up words at a chosen pace, and failures on purpose.",
    _add_options,
    _run,
)
