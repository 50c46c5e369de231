from contextlib import ExitStack, suppress
from functools import partial

from chatserver.chat.watching import Watchers


def test_whoever_watches_is_told_of_that_conversation_and_no_other() -> None:
    watchers, told = Watchers(), []
    first, second = (partial(told.append, name) for name in ("first", "second"))
    with watchers.watching("a", first), watchers.watching("a", second):
        watchers.announce([("a", 1), ("b", 1)])
        watchers.announce([("b", 2)])
    assert sorted(told) == ["first", "second"]


def test_whoever_has_gone_is_told_nothing_and_nothing_is_kept_of_it() -> None:
    watchers, told = Watchers(), []
    with suppress(ZeroDivisionError), watchers.watching("a", lambda: told.append(1)):
        raise ZeroDivisionError
    watchers.announce([("a", 1)])
    assert (told, dict(watchers._told)) == ([], {})


def test_one_that_goes_while_all_are_told_disturbs_nobody() -> None:
    watchers, told = Watchers(), []
    going = ExitStack()

    def go() -> None:
        told.append("going")
        going.close()

    going.enter_context(watchers.watching("a", go))
    with watchers.watching("a", partial(told.append, "staying")):
        watchers.announce([("a", 1)])
        watchers.announce([("a", 2)])
    assert sorted(told) == ["going", "staying", "staying"]
