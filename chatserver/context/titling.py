"""Titles of conversations: the first words of the question, or what a model makes of question and answer."""

import re
from typing import Any

from chatserver.context.scripts import main_script, scripts_of

_LONGEST = 60
#: Characters of what a model wrote that are looked at.
_READ = 2_000
#: Characters of question and answer that the model is shown; a title needs no more.
_SHOWN = 600
#: Links and images keep their text.
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_MARKUP = re.compile(r"[*`~|<>\[\]#]+|(?<!\w)_+|_+(?!\w)")
_QUOTES = re.compile("[\"“”„«»「」『』]|(?<!\\w)['‘’]|['‘’](?!\\w)")
_LABEL = re.compile(r"^(?:title|título|titre|titel|titolo|заголовок|标题|タイトル)\s*[:：]\s*", re.IGNORECASE)
_ENDS = " \t.,;:!。、-–—"
_REQUEST = """\
Write a title for the conversation below: at most six words, on one line, in its language, without quotes.

{question}

{answer}"""


def first_words(question: str) -> str:
    """Make a title of what was asked, until there is a better one."""
    return _bounded(" ".join(question.split()))


def title_request(question: str, answer: str) -> list[dict[str, Any]]:
    content = _REQUEST.format(question=question[:_SHOWN], answer=answer[:_SHOWN])
    return [{"role": "user", "content": content.strip()}]


def clean_title(written: str, question: str) -> str | None:
    """Make a title of what a model wrote; None where that is none, or in another script than the question."""
    lines = (_bare(line) for line in written[:_READ].splitlines())
    title = _bounded(next((line for line in lines if line), ""))
    talk, script = scripts_of(question), main_script(title)
    foreign = bool(talk) and script is not None and script not in talk
    return None if foreign or not title else title


def _bare(line: str) -> str:
    line = "".join(sign if sign.isprintable() else " " for sign in line)
    line = _QUOTES.sub("", _MARKUP.sub("", _LINK.sub(r"\1", line)))
    return _LABEL.sub("", " ".join(line.split())).strip(_ENDS)


def _bounded(title: str) -> str:
    """Cut between words where there are any near the end."""
    if len(title) <= _LONGEST:
        return title
    cut = title[: _LONGEST - 1]
    words = cut.rpartition(" ")[0]
    return (words if len(words) > _LONGEST // 2 else cut).rstrip(_ENDS) + "…"
