"""The central promise: whatever happens on the way, every reader ends with the final text, nothing twice."""

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.generation.world import ALL, World

# The same scripts on every machine and in every run, so that a failure is everybody's at once.
# EXPLORE=20000 plays that many others instead; Hypothesis then says how to play a failing one again.
EXPLORE = int(os.environ.get("EXPLORE", "0"))
PLAYED = settings(
    derandomize=not EXPLORE,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
)

INSTANCE = READER = st.integers(0, 2)
KINDS = st.lists(st.sampled_from(["answer", "answer", "thinking", "tools", "anew"]), min_size=1, max_size=4)
FRAMES = st.sampled_from([ALL, ALL, 1, 2, 3, 0])
ARGUMENTS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "generate": (INSTANCE, KINDS, st.sampled_from(["", "é", "\n", "𝄞", '"\\']), st.booleans()),
    "read": (READER, INSTANCE, FRAMES, st.integers(0, 2)),
    "connect": (READER, INSTANCE),
    "hear": (
        INSTANCE,
        st.sampled_from([0, 0, 0, 1, 3]),
        st.sampled_from([ALL, 1, 2, 4]),
        st.sampled_from(["", "", "repeated", "lost"]),
    ),
    "share": (INSTANCE, st.integers(1, 9)),
    "ask": (INSTANCE,),
    "answer": (INSTANCE,),
    "compare": (INSTANCE,),
    "claim": (INSTANCE, st.booleans()),
    "die": (INSTANCE,),
    "lose_shared_log": (),
    "end": (st.booleans(),),
    "serve_from_store": (INSTANCE,),
}
OFTEN = {"generate": 10, "read": 20, "connect": 4, "hear": 12, "share": 5, "claim": 3, "compare": 8}
VERBS = [verb for verb in ARGUMENTS for _ in range(OFTEN.get(verb, 1))]


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    script: list[tuple[Any, ...]] = []
    # Asked anew before each move, so that a failing script shrinks by leaving moves out.
    while len(script) < 60 and draw(st.integers(0, 49)):
        verb = draw(st.sampled_from(VERBS))
        script.append((verb, *[draw(argument) for argument in ARGUMENTS[verb]]))
    each = st.lists(st.booleans(), min_size=3, max_size=3)
    return [*script, ("conclude", draw(each), draw(each))]


@settings(PLAYED, max_examples=EXPLORE or 300)
@given(scripts())
def test_every_reader_ends_with_the_final_text_and_never_forgets_without_need(script):
    World(calm=False).play(script)


@settings(PLAYED, max_examples=EXPLORE or 100)
@given(scripts())
def test_where_nothing_is_lost_and_no_attempt_fails_no_reader_is_ever_reset(script):
    world = World(calm=True)
    world.play(script)

    assert [page.resets for page in world.pages] == [0, 0, 0]
