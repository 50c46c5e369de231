"""`chatserver serve`: the server."""

from argparse import ArgumentParser, Namespace

from chatserver.commands.command import Command, add_config_option, load_settings

_SETTINGS = ("host", "port", "workers")


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--host", metavar="H", help="address to listen on (server.host)")
    parser.add_argument("--port", metavar="P", type=int, help="port to listen on (server.port)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes that share it (server.workers)")
    add_config_option(parser)
    parser.add_argument(
        "--demo",
        action="store_true",
        help="while no Ollama has answered since the start, let a simulated model answer",
    )


def _run(arguments: Namespace) -> int:
    given = {name: getattr(arguments, name) for name in _SETTINGS}
    options = {f"server.{name}": value for name, value in given.items() if value is not None}
    loaded = load_settings(arguments, options)
    # Imported late, so that a wrong setting is told at once and --help needs none of it.
    if loaded.settings.server.workers > 1:
        from chatserver.app.workers import serve_with_workers  # noqa: PLC0415

        return serve_with_workers(loaded.settings, demo=arguments.demo)
    from chatserver.app.serve import serve  # noqa: PLC0415

    return serve(loaded.settings, demo=arguments.demo)


COMMAND = Command(
    "serve",
    "run the server",
    "Serve the chat until told to stop (SIGTERM or Ctrl-C), then let running answers finish. "
    "`chatserver config` shows the settings in force.",
    _add_options,
    _run,
)
