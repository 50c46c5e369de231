"""How a simulated Ollama behaves, as one value."""

from dataclasses import dataclass

from chatserver.upstream.simulator.faults import Fault


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """The settings of one simulated server; the defaults answer at once and never fail."""

    #: Tokens a second of each answer; None is as fast as it goes.
    rate: float | None = None
    #: From the slot to the first token: what evaluating the prompt takes.
    first_token_ms: float = 0
    #: Answers in flight per model (OLLAMA_NUM_PARALLEL); embedding models always have one.
    parallel: int = 4
    #: Other seeds give other words and other requests that fail.
    seed: int = 0
    #: Whether a second attempt, or a continuation, gives other words than the first would have.
    diverge: bool = False
    faults: tuple[Fault, ...] = ()
    #: What loading a model takes that isn't loaded, or not like this.
    load_ms: float = 0
    #: How long an unused model stays loaded where the request doesn't say (OLLAMA_KEEP_ALIVE).
    keep_alive_s: float = 300
    #: The window where the request doesn't say (OLLAMA_CONTEXT_LENGTH), bounded by the model's own.
    context_length: int = 4_096
    #: Requests that may wait for a model to be loaded (OLLAMA_MAX_QUEUE); waiting for a slot has no limit.
    max_queue: int = 512
    #: The wait that the fault `slow-first-token` makes.
    slow_first_token_s: float = 60

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate must be above 0 tokens a second, not {self.rate}")
        for name, least in (("parallel", 1), ("context_length", 4), ("max_queue", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("first_token_ms", "load_ms", "keep_alive_s", "slow_first_token_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
