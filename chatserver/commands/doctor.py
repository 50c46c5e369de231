"""`chatserver doctor`: looks whether everything is there that serving needs."""

from argparse import Namespace

from chatserver.commands.command import Command, add_config_option, load_settings
from chatserver.commands.finding import Finding
from chatserver.commands.table import table
from chatserver.errors import SettingsError
from chatserver.settings import Loaded
from chatserver.settings.sentences import without_passwords


def _run(arguments: Namespace) -> int:
    try:
        findings = _examined(load_settings(arguments))
    except SettingsError as error:
        # Without settings nothing else can be looked at.
        findings = [Finding("settings", error.detail, "Set it to what is allowed, or leave it out.")]
    print(without_passwords(_report(findings)))
    return 0 if all(finding.good for finding in findings) else 1


def _examined(loaded: Loaded) -> list[Finding]:
    # Imported late, so that a wrong setting is told at once and --help needs none of it.
    from chatserver.commands.checks import examine  # noqa: PLC0415

    changed = sum(origin != "default" for origin in loaded.origins.values())
    settings = Finding(
        "settings", f"All {len(loaded.origins)} are allowed; {changed} differ from the default."
    )
    return [settings, *examine(loaded.settings)]


def _report(findings: list[Finding]) -> str:
    rows = [[one.check, "ok" if one.good else "FAILED", one.found] for one in findings]
    remedies = [f"- {one.check}: {one.remedy}" for one in findings if not one.good]
    return "\n".join(
        [table(["check", "state", "found"], rows), *(["", "What to do:"] if remedies else []), *remedies]
    )


COMMAND = Command(
    "doctor",
    "check everything that serving needs, and say what to do about each failure",
    "Check settings, data folder, database, Redis, each Ollama, page and port. "
    "Exit code 1 if any check failed.",
    add_config_option,
    _run,
)
