"""The model servers together: which answer, which models each has, and how long their contexts are."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from chatserver.errors import ModelNotFound, Unavailable, UpstreamError
from chatserver.upstream.client import OllamaClient

#: How old a list of models may be when somebody asks for it, in seconds.
_FRESH = 5.0
#: Pause between two looks at every server, in seconds.
_LOOK_EVERY = 10.0
#: The same while some server doesn't answer: somebody may wait for it.
_LOOK_FOR_MISSING = 2.0
#: Descriptions kept; one for each model and version ever asked for.
_DESCRIPTIONS_KEPT = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    digest: str
    family: str
    parameter_size: str
    quantization: str
    context_length: int | None
    capabilities: tuple[str, ...]
    #: In some server's memory now.
    loaded: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one server said when it was last looked at."""

    tags: dict[str, dict[str, Any]]
    loaded: frozenset[str]


class Fleet:
    def __init__(self, clients: Sequence[OllamaClient], default_model: str, now: Callable[[], float]) -> None:
        self.clients = tuple(clients)
        self._default_model = default_model
        self._now = now
        self._seen: dict[OllamaClient, _Seen] = {}
        self._looked_at: float | None = None
        self._descriptions: dict[tuple[str, str], dict[str, Any]] = {}
        #: Those that are being asked for.
        self._describing: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}
        self._look = asyncio.Lock()
        #: A simulated model answers, in place of servers none of which does.
        self.simulated = False
        self._some_answer = asyncio.Event()
        self._first_look = True

    def replace(self, clients: Sequence[OllamaClient], *, simulated: bool = False) -> None:
        """Use other servers from now on."""
        self.clients = tuple(clients)
        self.simulated = simulated
        self._seen.clear()
        self._looked_at = None

    @property
    def answering(self) -> int:
        return len(self._seen)

    async def watch(self) -> None:
        """Look at every server now and then, for ever."""
        while True:
            await self.refresh()
            missing = self.answering < len(self.clients)
            await asyncio.sleep(_LOOK_FOR_MISSING if missing else _LOOK_EVERY)

    async def refresh(self, at_most: float = 0.0) -> None:
        """Look at every server, unless that was done less than `at_most` seconds ago."""
        async with self._look:
            if self._looked_at is not None and self._now() - self._looked_at < at_most:
                return
            before, clients = self.answering, self.clients
            seen = await asyncio.gather(*(_look_at(client) for client in clients))
            if clients is not self.clients:
                # They were replaced meanwhile; the next look is at the new ones.
                return
            self._seen = {client: one for client, one in zip(clients, seen, strict=True) if one is not None}
            self._looked_at = self._now()
        if self.answering:
            self._some_answer.set()
        if (self.answering != before or self._first_look) and not self.simulated:
            tell = log.info if self.answering else log.warning
            tell("model_servers", answering=self.answering, configured=len(self.clients))
        self._first_look = False

    async def some_answer(self) -> None:
        """Wait until a server has answered."""
        await self._some_answer.wait()

    def lost(self, client: OllamaClient) -> None:
        """Take note that a server didn't answer; it counts again as soon as a look finds it."""
        self._seen.pop(client, None)
        # It may have been that one connection: whoever asks next looks again, however fresh the last look is.
        self._looked_at = None

    async def models(self) -> list[Model]:
        await self.refresh(at_most=_FRESH)
        names = {name for seen in self._seen.values() for name in seen.tags}
        models = await asyncio.gather(*(self._model(name) for name in sorted(names)))
        return [model for model in models if model is not None]

    async def default_model(self) -> str:
        """Name the model that answers where nobody chose one."""
        if self._default_model:
            return self._default_model
        if not self._seen:
            await self.refresh(at_most=_FRESH)
        for client in self.clients:
            for name, tag in self._seen[client].tags.items() if client in self._seen else ():
                if "embedding" not in _names(tag.get("capabilities")):
                    return name
        raise Unavailable("No model server answers yet; nothing was stored, try again in a moment.")

    def hosts(self, model: str) -> tuple[OllamaClient, ...]:
        """Name the servers to ask for a model: those known to have it, else all of them."""
        name = full_name(model)
        having = tuple(client for client in self.clients if name in self._tags(client))
        return having or self.clients

    async def context_length(self, model: str) -> int | None:
        """Find how many tokens a model can see, or None where no server says so."""
        try:
            return _context_length(await self._description(full_name(model)))
        except UpstreamError:
            return None

    async def tokenizer(self, model: str) -> dict[str, Any]:
        """Ask for all that is known of a model, its vocabulary with it: some 10 MB."""
        if not self.clients:
            raise ModelNotFound
        name = full_name(model)
        return _members((await self.hosts(name)[0].show(name, verbose=True)).get("model_info"))

    def digest(self, model: str) -> str:
        """Tell one version of a model from another; empty where no server has it."""
        name = full_name(model)
        tags = (self._tags(client).get(name) for client in self.clients)
        return next((str(tag.get("digest", "")) for tag in tags if tag), "")

    def _tags(self, client: OllamaClient) -> dict[str, dict[str, Any]]:
        seen = self._seen.get(client)
        return seen.tags if seen else {}

    async def _model(self, name: str) -> Model | None:
        try:
            description = await self._description(name)
        except UpstreamError:
            return None
        details = _members(description.get("details"))
        return Model(
            name=name,
            digest=self.digest(name),
            family=str(details.get("family", "")),
            parameter_size=str(details.get("parameter_size", "")),
            quantization=str(details.get("quantization_level", "")),
            context_length=_context_length(description),
            capabilities=_names(description.get("capabilities")),
            loaded=any(name in seen.loaded for seen in self._seen.values()),
        )

    async def _description(self, name: str) -> dict[str, Any]:
        key = (name, self.digest(name))
        known = self._descriptions.get(key)
        if known is not None:
            return known
        # Those who need it at the same time share one question: a burst would open a connection each.
        asking = self._describing.get(key)
        if asking is None:
            asking = self._describing[key] = asyncio.create_task(self._describe(key), name=f"describe {name}")
            asking.add_done_callback(lambda _: self._describing.pop(key))
        return await asyncio.shield(asking)

    async def _describe(self, key: tuple[str, str]) -> dict[str, Any]:
        name, _ = key
        if not self.clients:
            raise ModelNotFound
        description = await self.hosts(name)[0].show(name)
        if len(self._descriptions) >= _DESCRIPTIONS_KEPT:
            self._descriptions.clear()
        self._descriptions[key] = description
        return description


def full_name(model: str) -> str:
    """Write a name as Ollama lists it."""
    return model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"


async def _look_at(client: OllamaClient) -> _Seen | None:
    try:
        tags, loaded = await asyncio.gather(client.tags(), client.loaded())
    except UpstreamError:
        return None
    return _Seen(
        {str(tag.get("name", "")): tag for tag in tags},
        frozenset(str(one.get("name", "")) for one in loaded),
    )


def _context_length(description: dict[str, Any]) -> int | None:
    info = _members(description.get("model_info"))
    lengths = (value for name, value in info.items() if name.endswith(".context_length"))
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
