from contextlib import ExitStack, suppress
from functools import partial

from chatserver.backplane.memory import MemoryBackplane
from chatserver.chat.watching import Watchers


def test_whoever_watches_is_told_of_that_conversation_and_no_other() -> None:
    watchers, told = Watchers(MemoryBackplane()), []
    first, second = (partial(_note, told, name) for name in ("first", "second"))
    with watchers.watching("a", first), watchers.watching("a", second):
        watchers.announce([("a", 1), ("b", 1)])
        watchers.announce([("b", 2)])
    assert sorted(told) == ["first", "second"]


def test_whoever_has_gone_is_told_nothing_and_nothing_is_kept_of_it() -> None:
    watchers, told = Watchers(MemoryBackplane()), []
    with suppress(ZeroDivisionError), watchers.watching("a", partial(_note, told, 1)):
        raise ZeroDivisionError
    watchers.announce([("a", 1)])
    assert (told, dict(watchers._told)) == ([], {})


def test_one_that_goes_while_all_are_told_disturbs_nobody() -> None:
    watchers, told = Watchers(MemoryBackplane()), []
    going = ExitStack()

    def go(_number: int | None) -> None:
        told.append("going")
        going.close()

    going.enter_context(watchers.watching("a", go))
    with watchers.watching("a", partial(_note, told, "staying")):
        watchers.announce([("a", 1)])
        watchers.announce([("a", 2)])
    assert sorted(told) == ["going", "staying", "staying"]


def _note(told: list[object], what: object, _number: int | None) -> None:
    told.append(what)
