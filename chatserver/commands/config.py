"""`chatserver config`: the settings in force."""

from argparse import Namespace

from chatserver.commands.command import Command, add_config_option, load_settings
from chatserver.commands.table import table
from chatserver.settings import describe


def _run(arguments: Namespace) -> int:
    print(table(["setting", "value", "from"], describe(load_settings(arguments))))
    return 0


COMMAND = Command(
    "config",
    "show every setting in force and where it came from",
    "Show every setting in force and where it came from, secrets masked. Later layers are stronger: default, "
    "the --config file, environment variables (CHATSERVER_SECTION__NAME), options on the command line.",
    add_config_option,
    _run,
)
