"""The central promise: whatever happens on the way, every reader ends with the final text, nothing twice."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.generation.world import ALL, World
from tests.unit.properties import tried

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
VERBS = st.sampled_from([verb for verb in ARGUMENTS for _ in range(OFTEN.get(verb, 1))])
#: Asked anew before each move, so that a failing script shrinks by leaving moves out.
GOES_ON = st.integers(0, 49)
OF_EACH_READER = st.lists(st.booleans(), min_size=3, max_size=3)


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    script: list[tuple[Any, ...]] = []
    while len(script) < 60 and draw(GOES_ON):
        verb = draw(VERBS)
        script.append((verb, *[draw(argument) for argument in ARGUMENTS[verb]]))
    return [*script, ("conclude", draw(OF_EACH_READER), draw(OF_EACH_READER))]


@tried(300)
@given(scripts())
def test_every_reader_ends_with_the_final_text_and_never_forgets_without_need(script):
    World(calm=False).play(script)


@tried(100)
@given(scripts())
def test_where_nothing_is_lost_and_no_attempt_fails_no_reader_is_ever_reset(script):
    world = World(calm=True)
    world.play(script)

    assert [page.resets for page in world.pages] == [0, 0, 0]
