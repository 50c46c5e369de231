"""What a model is shown of a conversation: the question always, and before it what a budget allows.

Pure: what it gets is counted already, and only what it cuts is counted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from chatserver.context.complexity import Complexity, classify
from chatserver.context.counting import Measure, PromptMessage
from chatserver.context.exchanges import Entry, Exchange, Part, exchanges, fewest, shortened, together
from chatserver.context.report import Report, Shares
from chatserver.errors import ContextTooLong

#: Messages before the question that are shown in any case, cut if they have to be.
_LEAST_SHOWN = 3
#: The part of the total that a long system prompt leaves to the messages before the question.
_LEFT_TO_HISTORY = 4

_SUMMARY_HEADING = "What was said earlier in this conversation, in short:\n"


@dataclass(frozen=True, slots=True)
class CountedText:
    """A text that was counted."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class CountedSummary:
    """What stands for the beginning of a branch."""

    text: str
    tokens: int
    #: The last message that it stands for, None where it is none, and how many it stands for in all.
    reaches: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens that a prompt may take."""

    #: In all, with what the template adds.
    total: int
    #: Of them for the messages before a question of moderate complexity.
    history: int


@dataclass(frozen=True, slots=True)
class Window:
    messages: list[PromptMessage]
    report: Report


def fit(
    system: CountedText | None,
    summary: CountedSummary | None,
    newest_first: Sequence[Entry],
    budget: Budget,
    measure: Measure,
) -> Window:
    """Show the question, what instructs the model, and as much of what was said before as the budget allows.

    The first entry is the newest message. The summary is used where something is left out.
    """
    asked, *earlier = exchanges(newest_first)
    complexity = _complexity(asked, newest_first)
    question = _question(asked, budget, measure)
    return _Material(system, summary, newest_first, budget, measure).window(question, earlier, complexity)


def preview(
    system: CountedText | None,
    summary: CountedSummary | None,
    newest_first: Sequence[Entry],
    budget: Budget,
    measure: Measure,
) -> Window:
    """Show what would stand before a next question of moderate complexity."""
    earlier = exchanges(newest_first) if newest_first else []
    material = _Material(system, summary, newest_first, budget, measure)
    return material.window(Part(), earlier, Complexity.MODERATE)


def whole(messages: Sequence[PromptMessage], tools: int, most: int, measure: Measure) -> Window:
    """Show everything or nothing: work that is handed in is never cut.

    `tools` is what their descriptions cost.
    """
    tokens = [measure.message(message) for message in messages]
    instructing = tools + sum(
        count for message, count in zip(messages, tokens, strict=True) if message["role"] == "system"
    )
    shares = Shares(
        system=instructing,
        question=tools + sum(tokens) - instructing,
        template=measure.overhead.of(messages),
    )
    if shares.total > most:
        about = "" if measure.exact else "about "
        raise ContextTooLong(
            f"The text takes {about}{shares.total} tokens; this model has room for {most}.",
            field="messages",
            limit=most,
        )
    report = Report(
        kept=(),
        cut=(),
        summarised=0,
        summary_reaches=None,
        left_out=0,
        left_out_to=None,
        tokens=shares,
        exact=measure.exact,
        budget=most,
        history_budget=0,
    )
    return Window(list(messages), report)


@dataclass(frozen=True, slots=True)
class _Material:
    """What a prompt is made of."""

    system: CountedText | None
    summary: CountedSummary | None
    newest_first: Sequence[Entry]
    budget: Budget
    measure: Measure

    def window(self, question: Part, earlier: Sequence[Exchange], complexity: Complexity) -> Window:
        """Make what stands around the question."""
        head, history = self._before(question, earlier, complexity, None)
        if self.summary is not None and not self._complete(question, history):
            head, history = self._before(question, earlier, complexity, self.summary)
        messages = _messages(head, history, question)
        report = Report(
            **_coverage(history, question, self.newest_first, self.summary if head.has("summary") else None),
            cut=(*_cut_of(head, self.system), *history.cut, *question.cut),
            tokens=Shares(
                system=head.tokens_of("system"),
                summary=head.tokens_of("summary"),
                history=history.tokens,
                question=question.tokens,
                template=self.measure.overhead.of(messages),
            ),
            exact=self.measure.exact,
            budget=self.budget.total,
            history_budget=self.budget.history,
            complexity=complexity.value,
        )
        return Window(messages, report)

    def _before(
        self,
        question: Part,
        earlier: Sequence[Exchange],
        complexity: Complexity,
        summary: CountedSummary | None,
    ) -> tuple[Part, Part]:
        measure = self.measure
        room = self.budget.total - measure.overhead.prompt - question.cost(measure)
        spare = min(room, self.budget.total // _LEFT_TO_HISTORY) if earlier else 0
        head = _head(self.system, summary, room - spare, measure)
        left = floor(room - head.cost(measure))
        budget = Budget(left, min(left, self.budget.history))
        return head, _history(earlier, complexity, budget, measure)

    def _complete(self, question: Part, history: Part) -> bool:
        """Whether nothing of the branch is missing."""
        read_all = self.newest_first[-1].depth in (None, 1) if self.newest_first else True
        shown = len(question.entries) + len(history.entries)
        return read_all and not history.cut and shown == len(self.newest_first)


def _complexity(asked: Exchange, newest_first: Sequence[Entry]) -> Complexity:
    return classify(asked[0].message["content"], len(newest_first) - len(asked))


def _question(asked: Exchange, budget: Budget, measure: Measure) -> Part:
    """Give it whole if the total allows."""
    question = shortened(asked, budget.total - measure.overhead.prompt, measure)
    if question is None:
        raise ContextTooLong(
            f"The question alone doesn't fit into {budget.total} tokens.", limit=budget.total, field="content"
        )
    return question


def _history(earlier: Sequence[Exchange], complexity: Complexity, budget: Budget, measure: Measure) -> Part:
    """Take exchanges in full, newest first, as long as they fit; a few messages in any case, shortened."""
    fitting = _fitting(earlier, _in_full(complexity, budget), measure)
    wanted = fewest(earlier, _LEAST_SHOWN)
    if fitting >= wanted:
        return Part(together(earlier[:fitting]))
    for number in range(wanted, 0, -1):
        part = shortened(together(earlier[:number]), budget.history, measure)
        if part is not None:
            return part
    return Part()


def _in_full(complexity: Complexity, budget: Budget) -> int:
    if complexity is Complexity.COMPLEX:
        return budget.total
    return budget.history // 2 if complexity is Complexity.SIMPLE else budget.history


def _fitting(earlier: Sequence[Exchange], room: float, measure: Measure) -> int:
    """Count the newest exchanges that fit."""
    for number, exchange in enumerate(earlier):
        room -= Part(exchange).cost(measure)
        if room < 0:
            return number
    return len(earlier)


def _head(system: CountedText | None, summary: CountedSummary | None, most: float, measure: Measure) -> Part:
    """Make what instructs the model; one message, since many templates take no second one."""
    entries = [_system_entry("system", system.text, system.tokens)] if system else []
    if summary is not None:
        # It follows another text where there is one: a line between them.
        heading = "\n\n" + _SUMMARY_HEADING if entries else _SUMMARY_HEADING
        needed = summary.tokens + measure.counter.count(heading)
        entries.append(_system_entry("summary", heading + summary.text, needed))
    for number in range(len(entries), 0, -1):
        # Counted as messages each, though they are one in the end: rather too much than too little.
        part = shortened(tuple(entries[:number]), most, measure)
        if part is not None:
            return part
    return Part()


def _system_entry(name: str, text: str, tokens: int) -> Entry:
    return Entry(name, {"role": "system", "content": text}, tokens)


def _messages(head: Part, history: Part, question: Part) -> list[PromptMessage]:
    said = [entry.message for entry in (*history.entries, *question.entries)]
    if not head.entries:
        return said
    return [{"role": "system", "content": "".join(entry.message["content"] for entry in head.entries)}, *said]


def _cut_of(head: Part, system: CountedText | None) -> tuple[str, ...]:
    """Name what of the head isn't shown in full; of the system prompt, perhaps nothing is."""
    return head.cut if system is None or head.has("system") else ("system", *head.cut)


def _coverage(
    history: Part, question: Part, newest_first: Sequence[Entry], summary: CountedSummary | None
) -> dict[str, Any]:
    """Say what became of each message of the branch."""
    shown = [entry.id for entry in (*history.entries, *question.entries)]
    cut = {*history.cut, *question.cut}
    older = newest_first[len(shown) :]
    missing = _missing(older, newest_first)
    summarised = min(summary.messages, missing) if summary else 0
    left_out = missing - summarised
    return {
        "kept": tuple(name for name in shown if name not in cut),
        "summarised": summarised,
        "summary_reaches": summary.reaches if summary else None,
        "left_out": left_out,
        "left_out_to": older[0].id if left_out and older else None,
    }


def _missing(older: Sequence[Entry], newest_first: Sequence[Entry]) -> int:
    """Count the messages of the branch that aren't shown, also those that weren't read."""
    if older:
        return len(older) if older[0].depth is None else older[0].depth
    return (newest_first[-1].depth or 1) - 1 if newest_first else 0
