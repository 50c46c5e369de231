"""The command line: `chatserver COMMAND`, also as `python -m chatserver COMMAND`."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from chatserver.commands import config, doctor, migrate, serve, simulate
from chatserver.errors import StartRefused

COMMANDS = [serve.COMMAND, simulate.COMMAND, doctor.COMMAND, migrate.COMMAND, config.COMMAND]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except StartRefused as refusal:
        print(f"chatserver: {refusal.detail}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # What a shell expects of a command that Ctrl-C has ended.
        return 130


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="chatserver",
        description="A streaming chat backend in front of your own Ollama servers.",
        epilog="`chatserver COMMAND --help` tells more about each.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.summary, description=command.description)
        command.add_options(one)
        one.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
