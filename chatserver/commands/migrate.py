"""`chatserver migrate`: the database, brought up to date."""

from argparse import Namespace

from chatserver.commands.command import Command, add_config_option, load_settings


def _run(arguments: Namespace) -> int:
    settings = load_settings(arguments).settings
    # Imported late, so that a wrong setting is told at once and --help needs none of it.
    from chatserver.storage.database import migrate  # noqa: PLC0415

    migrate(settings)
    print("The database is up to date.")
    return 0


COMMAND = Command(
    "migrate",
    "bring the database up to date",
    "Bring the database up to date with this version; changes nothing when it already is.",
    add_config_option,
    _run,
)
