"""The `options` of a request: known names, their types, and those a model is loaded with."""

from collections.abc import Mapping
from typing import Any

from chatserver.upstream.simulator.refusals import Refusal

_INTEGERS = (
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "draft_num_predict",
    "num_keep",
    "seed",
    "num_predict",
    "top_k",
    "repeat_last_n",
)
_FLOATS = (
    "top_p",
    "min_p",
    "typical_p",
    "temperature",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
)
_BOOLEANS = ("use_mmap", "sim_stamp")
#: What a model is loaded with besides its window, by Ollama's defaults.
_LAUNCH_DEFAULTS: dict[str, Any] = {
    "num_batch": 512,
    "num_gpu": -1,
    "main_gpu": None,
    "use_mmap": None,
    "num_thread": 0,
    "draft_num_predict": 4,
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known options, or refuse a wrong type; unknown ones are ignored, as Ollama does."""
    return {name: _check_option(name, value) for name, value in options.items() if value is not None}


def launch_options(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the options that are fixed when a model is loaded, except its window."""
    return tuple(options.get(name, default) for name, default in _LAUNCH_DEFAULTS.items())


def _check_option(name: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _INTEGERS:
        return int(value) if number else _wrong_type(name, "integer")
    if name in _FLOATS:
        return float(value) if number else _wrong_type(name, "float32")
    if name in _BOOLEANS:
        return value if isinstance(value, bool) else _wrong_type(name, "boolean")
    if name == "stop" and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        return _wrong_type(name, "array")
    return value


def _wrong_type(name: str, kind: str) -> Any:
    raise Refusal(500, f'option "{name}" must be of type {kind}')
