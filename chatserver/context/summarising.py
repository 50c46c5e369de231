"""A running summary: what the model is asked for, and whether what it wrote may replace the old one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from chatserver.context.cutting import cut_middle, share
from chatserver.context.facts import kept_facts, pinned_facts
from chatserver.context.scripts import main_script, scripts_of
from chatserver.storage.records import Said

#: Facts that a new summary is held to, and the share of them that it must keep.
_FACTS = 20
_KEPT = (2, 3)
#: Words that fit into as many tokens in most languages, with room to spare.
_WORDS_A_TOKEN = 0.6
#: Tokens around each message in the request: who said it, and the line's end.
_LABEL = 4

_INSTRUCTIONS = """\
Update the summary of a conversation with the messages that came since. Write at most {words} words.
Write in the language of the conversation. Give short statements, each on a line of its own, and nothing else.
Keep what was told and decided; leave out courtesies and explanations."""
_FACTS_LINE = "Keep these as they are: {facts}."


class Refusal(StrEnum):
    EMPTY = "empty"
    TOO_LONG = "too_long"
    OTHER_SCRIPT = "other_script"
    FACTS_LOST = "facts_lost"


#: What is said of a candidate that was refused when the model is asked once more.
_AGAIN = {
    Refusal.EMPTY: "You wrote nothing the last time.",
    Refusal.TOO_LONG: "What you wrote the last time was too long.",
    Refusal.OTHER_SCRIPT: "What you wrote the last time wasn't in the language of the conversation.",
    Refusal.FACTS_LOST: "What you wrote the last time lacked too much of what is to be kept.",
}


@dataclass(frozen=True, slots=True)
class Update:
    """What a new summary is made of."""

    old: str | None
    #: The messages it takes up, oldest first, as the model is shown them.
    added: tuple[Said, ...]
    facts: tuple[str, ...]
    #: Tokens that the new one may take.
    most_tokens: int


def update_of(
    old: str | None, added: Sequence[Said], budget: int, most_tokens: int, count: Callable[[str], int]
) -> Update:
    """Cut the messages in the middle so that they take `budget` tokens together; pin what must be kept."""
    needs = [count(said.content) + _LABEL for said in added]
    shown = tuple(
        replace(said, content=_fitted(said.content, need - _LABEL, room - _LABEL, count))
        for said, need, room in zip(added, needs, share(needs, budget), strict=True)
    )
    facts = pinned_facts([*([old] if old else []), *(said.content for said in shown)], _FACTS)
    return Update(old, shown, tuple(facts), most_tokens)


def request(update: Update, before: Refusal | None = None) -> list[dict[str, Any]]:
    """Ask for the new summary; `before` is what was wrong with a first try."""
    instructions = [_INSTRUCTIONS.format(words=round(_WORDS_A_TOKEN * update.most_tokens))]
    if update.facts:
        instructions.append(_FACTS_LINE.format(facts="; ".join(update.facts)))
    if before is not None:
        instructions.append(_AGAIN[before])
    talk = [f"{said.role}: {said.content}" for said in update.added]
    text = [f"Summary so far:\n{update.old}\n", "Messages since:", *talk] if update.old else talk
    return [
        {"role": "system", "content": "\n".join(instructions)},
        {"role": "user", "content": "\n".join(text)},
    ]


def refusal(candidate: str, update: Update, tokens: int) -> Refusal | None:
    """Judge a candidate that takes so many tokens; None where it may replace the old one."""
    if not candidate.strip():
        return Refusal.EMPTY
    if tokens > update.most_tokens:
        return Refusal.TOO_LONG
    talk = scripts_of("\n".join([update.old or "", *(said.content for said in update.added)]))
    script = main_script(candidate)
    if talk and script is not None and script not in talk:
        return Refusal.OTHER_SCRIPT
    part, whole = _KEPT
    if whole * len(kept_facts(update.facts, candidate)) < part * len(update.facts):
        return Refusal.FACTS_LOST
    return None


def _fitted(text: str, need: int, room: int, count: Callable[[str], int]) -> str:
    if need <= room:
        return text
    cut = cut_middle(text, need, room, count)
    return cut[0] if cut else ""
