"""The context report: what a model was shown of a conversation, what not, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shares:
    """Tokens of each part of a prompt, as counted before it is sent."""

    system: int = 0
    summary: int = 0
    history: int = 0
    question: int = 0
    #: What the model's template puts around all of them.
    template: int = 0

    @property
    def total(self) -> int:
        return self.system + self.summary + self.history + self.question + self.template


@dataclass(frozen=True, slots=True)
class Report:
    #: Ids of the messages shown in full, oldest first.
    kept: tuple[str, ...]
    #: What was cut in its middle: ids of messages, and "system" or "summary".
    cut: tuple[str, ...]
    #: How many messages the summary stands for, and the last of them.
    summarised: int
    summary_reaches: str | None
    #: How many messages of the branch are neither shown nor summarised, and the newest of them.
    left_out: int
    left_out_to: str | None
    tokens: Shares
    #: Counted by the model's own vocabulary; otherwise estimated.
    exact: bool
    #: Tokens that the prompt might take, and how many of them the messages before the question.
    budget: int
    history_budget: int
    complexity: str | None = None

    def as_json(self) -> dict[str, Any]:
        names = ("system", "summary", "history", "question", "template", "total")
        return {
            "kept": list(self.kept),
            "cut": list(self.cut),
            "summarised": self.summarised,
            "summary_reaches": self.summary_reaches,
            "left_out": self.left_out,
            "left_out_to": self.left_out_to,
            "tokens": {name: getattr(self.tokens, name) for name in names},
            "exact": self.exact,
            "budget": {"total": self.budget, "history": self.history_budget},
            "complexity": self.complexity,
        }


def counted(report: Mapping[str, Any], prompt_eval_count: int | None) -> dict[str, Any]:
    """Add what the model itself counted, once that is known, and by how much it was more than expected."""
    difference = None if prompt_eval_count is None else prompt_eval_count - report["tokens"]["total"]
    return {**report, "prompt_eval_count": prompt_eval_count, "difference": difference}
