"""The simulated models: what each can do, and how the API describes it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.template import go_template
from chatserver.upstream.simulator.vocabulary import PRE_TOKENIZER, SPECIAL_TOKENS, TEXT_END, load_vocabulary

_ARCHITECTURE = "sim"
_MODIFIED_AT = "2026-01-15T09:30:00Z"
#: Pictures need room: Ollama never loads a model that can see with less than this.
_SMALLEST_SEEING_WINDOW = 2_048


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model of the catalogue."""

    name: str
    context: int
    capabilities: tuple[str, ...]
    parameter_size: str
    size: int
    #: Whether the template leaves a trailing assistant message open, so that the model goes on with it.
    continues: bool = True
    #: Whether tool calls arrive in the done chunk, as they do from models with a native template.
    calls_when_done: bool = False
    #: The length of an embedding.
    dimensions: int = 256

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    def window(self, wanted: int) -> int:
        """Return the context length it is loaded with when `wanted` is asked for."""
        least = _SMALLEST_SEEING_WINDOW if self.can("vision") else 4
        return min(max(wanted, least), self.context)


CATALOGUE = (
    SimulatedModel("sim-chat:latest", 8_192, ("completion", "vision"), "8.0B", 4_920_000_000),
    SimulatedModel(
        "sim-think:latest",
        32_768,
        ("completion", "tools", "thinking"),
        "14.8B",
        9_280_000_000,
        calls_when_done=True,
    ),
    SimulatedModel("sim-closed:latest", 8_192, ("completion",), "7.2B", 4_110_000_000, continues=False),
    SimulatedModel("sim-tools:latest", 16_384, ("completion", "tools"), "8.0B", 4_900_000_000),
    SimulatedModel("sim-tiny:latest", 512, ("completion",), "494M", 398_000_000),
    SimulatedModel("sim-embed:latest", 2_048, ("embedding",), "137M", 274_000_000),
)
_BY_NAME = {model.name: model for model in CATALOGUE}


def find_model(name: str, *, hint: bool = False) -> SimulatedModel:
    """Return the model that a request names; the embedding endpoint words its refusal differently."""
    if not name:
        raise Refusal(400, "model is required")
    model = _BY_NAME.get(full_name(name))
    if model is None:
        sentence = f'model "{name}" not found, try pulling it first' if hint else f"model '{name}' not found"
        raise Refusal(404, sentence)
    return model


def full_name(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def list_entry(model: SimulatedModel) -> dict[str, Any]:
    """Describe `model` as `/api/tags` does."""
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _MODIFIED_AT,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
        "capabilities": model.capabilities,
    }


def loaded_entry(model: SimulatedModel, expires_at: str, context_length: int) -> dict[str, Any]:
    """Describe `model` as `/api/ps` does."""
    return {
        "name": model.name,
        "model": model.name,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
        "expires_at": expires_at,
        "size_vram": model.size,
        "context_length": context_length,
    }


def full_description(model: SimulatedModel, *, verbose: bool) -> dict[str, Any]:
    """Describe `model` as `/api/show` does; only a verbose answer carries the vocabulary."""
    template = "{{ .Prompt }}" if model.can("embedding") else go_template(continues=model.continues)
    return {
        "modelfile": f'# Modelfile by "ollama show"\nFROM {model.name}\nTEMPLATE """{template}"""\n',
        "parameters": 'stop                           "<|im_end|>"\ntemperature                    0.7',
        "template": template,
        "details": _details(model),
        "model_info": _model_info(model) | _tokenizer(verbose=verbose),
        "capabilities": model.capabilities,
        "modified_at": _MODIFIED_AT,
    }


def _details(model: SimulatedModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": _ARCHITECTURE,
        "families": [_ARCHITECTURE],
        "parameter_size": model.parameter_size,
        "quantization_level": "Q4_K_M",
    }


def _model_info(model: SimulatedModel) -> dict[str, Any]:
    return {
        "general.architecture": _ARCHITECTURE,
        "general.basename": model.name.partition(":")[0],
        "general.file_type": 15,
        f"{_ARCHITECTURE}.block_count": 32,
        f"{_ARCHITECTURE}.context_length": model.context,
        f"{_ARCHITECTURE}.embedding_length": model.dimensions,
        f"{_ARCHITECTURE}.vocab_size": len(load_vocabulary().tokens),
    }


def _tokenizer(*, verbose: bool) -> dict[str, Any]:
    vocabulary = load_vocabulary()
    end = vocabulary.tokens.index(TEXT_END)
    arrays: dict[str, Sequence[Any]] = {
        "tokenizer.ggml.merges": [f"{left} {right}" for left, right in vocabulary.merges],
        "tokenizer.ggml.token_type": [3 if token in SPECIAL_TOKENS else 1 for token in vocabulary.tokens],
        "tokenizer.ggml.tokens": vocabulary.tokens,
    }
    return {
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": PRE_TOKENIZER,
        # Ollama names the arrays in every answer and fills them only in a verbose one.
        **(arrays if verbose else dict.fromkeys(arrays)),
    }
