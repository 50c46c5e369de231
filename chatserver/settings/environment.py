"""Settings from environment variables: their names, and their text turned into values."""

from collections.abc import Mapping
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError

from chatserver.errors import SettingsError
from chatserver.settings.models import SECTIONS
from chatserver.settings.sentences import listed

PREFIX = "CHATSERVER_"
#: Variables for what is set most often; each stands for the setting beside it.
SHORT_NAMES = {
    "CHATSERVER_OLLAMA_URLS": "ollama.urls",
    "CHATSERVER_REDIS_URL": "store.redis_url",
    "CHATSERVER_DATABASE_URL": "store.database_url",
    "CHATSERVER_DATA_DIR": "server.data_dir",
    "CHATSERVER_AUTH": "server.auth",
    "CHATSERVER_MODEL": "ollama.model",
    "CHATSERVER_SECRET": "server.secret",
}
_LONG_NAMES = {
    f"{PREFIX}{section}__{name}".upper(): f"{section}.{name}"
    for section, model in SECTIONS.items()
    for name in model.model_fields
}
VARIABLES = SHORT_NAMES | _LONG_NAMES


def read_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """Setting -> (value, variable) for every CHATSERVER_* variable."""
    values: dict[str, tuple[Any, str]] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        name = VARIABLES.get(variable) or _refuse(variable)
        if name in values:
            raise SettingsError(
                f"{values[name][1]} and {variable} both set {name}; only one of the two is allowed."
            )
        values[name] = (_value(name, environ[variable]), variable)
    return values


def _refuse(variable: str) -> str:
    section, _, _ = variable.removeprefix(PREFIX).lower().partition("__")
    if section in SECTIONS:
        names = [name for name in _LONG_NAMES if name.startswith(f"{PREFIX}{section}__".upper())]
        raise SettingsError(
            f"The environment variable {variable} is no setting; allowed are {listed(names)}."
        )
    raise SettingsError(
        f"The environment variable {variable} is no setting; allowed are {', '.join(SHORT_NAMES)} and "
        f"{PREFIX}SECTION__NAME, where the section is {listed([name.upper() for name in SECTIONS], 'or')}."
    )


def _value(name: str, text: str) -> Any:
    """The text as the setting's type; unchanged when it isn't one, for the check of the whole to refuse."""
    section, _, key = name.partition(".")
    kind = SECTIONS[section].model_fields[key].annotation
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind not in {int, float, bool}:
        return text
    try:
        return TypeAdapter(kind).validate_python(text.strip())
    except ValidationError:
        return text
