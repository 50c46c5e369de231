import re

from chatserver import errors
from chatserver.wire.problems import every_error


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    named = set(re.findall(r"\w+", errors.__doc__ or ""))
    there = {kind.__name__ for kind in every_error() if kind.__module__ == errors.__name__}
    assert there - named == set()
