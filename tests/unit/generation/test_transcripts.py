"""The recordings that clients are tested with are what this server gives, and can be followed."""

import json

import pytest

from chatserver.generation.log import text_sha256
from tests.unit.generation.page import Kept, Page
from tests.unit.generation.transcripts import FOLDER, SCENES, Transcript, record


def recorded(name: str) -> Transcript:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_every_scene_is_recorded_and_nothing_else():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(scene.__name__ for scene in SCENES)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_recording_is_what_the_server_gives(scene):
    assert recorded(scene.__name__) == record(scene)


@pytest.mark.parametrize("name", [scene.__name__ for scene in SCENES])
def test_a_client_by_the_rules_ends_with_the_expected_text(name):
    transcript, page, connection = recorded(name), Page(), None

    for step in transcript["steps"]:
        if "open" in step:
            connection = step["open"]
            assert step["after"] == page.last
        elif "close" in step:
            connection = None
        elif step["on"] == connection:
            page.take(step["frame"])

    expected = transcript["expected"]
    assert page.kept == Kept(expected["answer"], expected["thinking"], expected["tool_calls"])
    assert page.end is not None
    assert (page.end["reason"], page.last) == (expected["reason"], expected["id"])
    assert page.end["sha256"] == text_sha256(expected["answer"])
