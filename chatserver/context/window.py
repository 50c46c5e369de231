"""What a model is shown of a conversation: the question always, and before it what a budget allows.

Pure: what it gets is counted already, and only what it cuts is counted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from chatserver.context.complexity import Complexity, classify
from chatserver.context.counting import Measure, Turn
from chatserver.context.exchanges import Entry, Exchange, Part, exchanges, fewest, shortened, together
from chatserver.context.report import Report, Shares
from chatserver.errors import ContextTooLong

#: Messages before the question that are shown in any case, cut if they have to be.
_LEAST_SHOWN = 3
#: The part of the total that a long system prompt leaves to the messages before the question.
_LEFT_TO_HISTORY = 4

_SUMMARY_HEADING = "What was said earlier in this conversation, in short:\n"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was counted."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for the beginning of a branch."""

    text: str
    tokens: int
    #: The last message that it stands for, and how many it stands for in all.
    reaches: str
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
    messages: list[Turn]
    report: Report


def fit(
    system: Text | None,
    summary: Summary | None,
    newest_first: Sequence[Entry],
    budget: Budget,
    measure: Measure,
) -> Window:
    """Show the question, what instructs the model, and as much of what was said before as the budget allows.

    The first entry is the newest message. The summary is used where something is left out.
    """
    asked, *earlier = exchanges(newest_first)
    complexity = _complexity(asked, newest_first)
    question, room = _question(asked, budget, measure)
    spare = min(room, budget.total // _LEFT_TO_HISTORY) if earlier else 0
    head = _head(system, None, room - spare, measure)
    history = _history(earlier, complexity, _budget_beside(head, budget, room, measure), measure)
    if summary is not None and not _complete(asked, history, newest_first):
        head = _head(system, summary, room - spare, measure)
        history = _history(earlier, complexity, _budget_beside(head, budget, room, measure), measure)
    turns = _turns(head, history, question)
    report = Report(
        **_coverage(history, question, newest_first, summary if head.has("summary") else None),
        cut=(*_cut_of(head, system), *history.cut, *question.cut),
        tokens=Shares(
            system=head.tokens_of("system"),
            summary=head.tokens_of("summary"),
            history=history.tokens,
            question=question.tokens,
            template=measure.overhead.of(turns),
        ),
        exact=measure.exact,
        budget=budget.total,
        history_budget=budget.history,
        complexity=complexity.value,
    )
    return Window(turns, report)


def whole(messages: Sequence[Turn], tools: int, most: int, measure: Measure) -> Window:
    """Show everything or nothing: work that is handed in is never cut.

    `tools` is what their descriptions cost.
    """
    tokens = [measure.turn(turn) for turn in messages]
    instructing = tools + sum(
        count for turn, count in zip(messages, tokens, strict=True) if turn["role"] == "system"
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
    return Window(list(messages), Report((), (), 0, None, 0, None, shares, measure.exact, most, 0))


def _complexity(asked: Exchange, newest_first: Sequence[Entry]) -> Complexity:
    return classify(asked[0].turn["content"], len(newest_first) - len(asked))


def _budget_beside(head: Part, budget: Budget, room: float, measure: Measure) -> Budget:
    """Say what is left for the messages before the question."""
    left = floor(room - head.cost(measure))
    return Budget(left, min(left, budget.history))


def _question(asked: Exchange, budget: Budget, measure: Measure) -> tuple[Part, float]:
    """Give it whole if the total allows, and what it leaves."""
    room = budget.total - measure.overhead.prompt
    question = shortened(asked, room, measure)
    if question is None:
        raise ContextTooLong(
            f"The question alone doesn't fit into {budget.total} tokens.", limit=budget.total, field="content"
        )
    return question, room - question.cost(measure)


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


def _head(system: Text | None, summary: Summary | None, most: float, measure: Measure) -> Part:
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


def _complete(asked: Exchange, history: Part, newest_first: Sequence[Entry]) -> bool:
    """Whether nothing of the branch is missing."""
    read_all = newest_first[-1].depth in (None, 1)
    return read_all and not history.cut and len(asked) + len(history.entries) == len(newest_first)


def _turns(head: Part, history: Part, question: Part) -> list[Turn]:
    said = [entry.turn for entry in (*history.entries, *question.entries)]
    if not head.entries:
        return said
    return [{"role": "system", "content": "".join(entry.turn["content"] for entry in head.entries)}, *said]


def _cut_of(head: Part, system: Text | None) -> tuple[str, ...]:
    """Name what of the head isn't shown in full; of the system prompt, perhaps nothing is."""
    return head.cut if system is None or head.has("system") else ("system", *head.cut)


def _coverage(
    history: Part, question: Part, newest_first: Sequence[Entry], summary: Summary | None
) -> dict[str, Any]:
    """Say what became of each message of the branch."""
    shown = [entry.id for entry in (*history.entries, *question.entries)]
    cut = {*history.cut, *question.cut}
    missing = _missing(newest_first, len(shown))
    summarised = min(summary.messages, missing) if summary else 0
    older = newest_first[len(shown) :]
    left_out = missing - summarised
    return {
        "kept": tuple(name for name in shown if name not in cut),
        "summarised": summarised,
        "summary_reaches": summary.reaches if summary else None,
        "left_out": left_out,
        "left_out_to": older[0].id if left_out and older else None,
    }


def _missing(newest_first: Sequence[Entry], shown: int) -> int:
    """Count the messages of the branch before the oldest one that is shown."""
    depth = newest_first[shown - 1].depth
    return len(newest_first) - shown if depth is None else depth - 1
