"""How much a question asks for, judged from its words alone: what it may look back on depends on it."""

import re
from enum import StrEnum


class Complexity(StrEnum):
    SIMPLE = "simple"
    MODERATE = "moderate"
    COMPLEX = "complex"


#: Characters of a question below and above which its length alone says something.
_SHORT = 48
_LONG = 600
#: A conversation of so many messages has something that a short question can point back to.
_SOME_HISTORY = 4

#: Work to be done rather than something to be told.
_WORK = re.compile(
    r"\b(?:anal[iy]s\w*|compar\w+|evaluat\w+|explain\w* (?:how|why)|design\w*|implement\w*|refactor\w*"
    r"|debug\w*|optimi[sz]\w*|prove|derive|trade-?offs?|step by step|pros and cons|in detail"
    r"|write (?:a|an|the) (?:\w+ )?(?:program|function|essay|plan|report|story)"
    r"|avali\w+|explique (?:como|por)|desenvolv\w+|otimi\w+|passo a passo|em detalhes?)\b",
    re.IGNORECASE,
)
#: The conversation itself is asked about.
_LOOKS_BACK = re.compile(
    r"\b(?:so far|everything (?:we|i|you)|all (?:that )?(?:we|i|you) (?:said|told|discussed|talked)"
    r"|summari[sz]e|recap|our (?:conversation|discussion|talk)|(?:first|beginning) of (?:this|our)"
    r"|tudo o que|até agora|resum[aoi]\w*|nossa conversa)\b",
    re.IGNORECASE,
)
#: It means something only together with what went before.
_GOES_ON = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|he|she|continue|go on|again|more|why|also|instead|earlier"
    r"|before|remember|my|isso|isto|esse|essa|ele|ela|mais|também|antes|meus?|minhas?)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"```|^(?: {4}|\t)\S", re.MULTILINE)
_LISTED = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s", re.MULTILINE)


def classify(question: str, earlier: int) -> Complexity:
    """Judge a question that follows `earlier` messages."""
    # What stands beyond that changes nothing: it is long.
    beginning = question[: _LONG + 1]
    if len(question) > _LONG or _CODE.search(beginning) or _LOOKS_BACK.search(beginning):
        return Complexity.COMPLEX
    tasks = len(_WORK.findall(beginning)) + len(_LISTED.findall(beginning)) + max(0, beginning.count("?") - 1)
    if tasks > 1:
        return Complexity.COMPLEX
    if tasks or len(question) > _SHORT:
        return Complexity.MODERATE
    if earlier >= _SOME_HISTORY and _GOES_ON.search(beginning):
        return Complexity.MODERATE
    return Complexity.SIMPLE
