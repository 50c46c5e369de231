"""What each of several processes gets of what is set for all of them together."""

from typing import Any

from chatserver.settings.models import Settings

#: Settings that bound what each process keeps for itself.
DIVIDED = (
    "ollama.slots",
    "generation.keep_finished_bytes",
    "housekeeping.waiting",
    "limits.connections",
    "limits.sockets",
    "limits.waiting",
)


def share_of(settings: Settings, worker: int) -> Settings:
    """Give the settings of one of the workers, which count from 1: all shares together are the whole."""
    changes: dict[str, dict[str, Any]] = {}
    for name in DIVIDED:
        section, _, key = name.partition(".")
        whole = getattr(getattr(settings, section), key)
        changes.setdefault(section, {})[key] = _share(whole, settings.server.workers, worker)
    sections = {name: getattr(settings, name).model_copy(update=update) for name, update in changes.items()}
    return settings.model_copy(update=sections)


def shares(settings: Settings, name: str) -> tuple[int, int] | None:
    """Tell the least and the largest share of a setting; None for one that isn't divided."""
    if settings.server.workers == 1 or name not in DIVIDED:
        return None
    section, _, key = name.partition(".")
    whole, workers = getattr(getattr(settings, section), key), settings.server.workers
    return _share(whole, workers, workers), _share(whole, workers, 1)


def _share(whole: int, workers: int, worker: int) -> int:
    return whole // workers + (worker <= whole % workers)
