import pytest

from chatserver.errors import StoreUnavailable
from tests.unit.works import MODEL, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


def version(works: Works) -> str:
    found = works.parts.templates.version(MODEL)
    assert found is not None
    return found


async def test_a_model_that_was_noted_is_to_be_asked_until_it_is_settled(tmp_path) -> None:
    async with working(tmp_path) as works:
        templates = works.parts.templates
        templates.note(MODEL)
        templates.note(MODEL)
        assert list(templates.unknown()) == [MODEL]
        templates.put_off(MODEL, 60)
        templates.note(MODEL)
        assert list(templates.unknown()) == []
        templates.settle(MODEL)
        templates.note(MODEL)
        assert list(templates.unknown()) == [MODEL]


async def test_a_model_that_is_known_is_not_to_be_asked(tmp_path) -> None:
    async with working(tmp_path) as works:
        templates = works.parts.templates
        await templates.learn(version(works), continues=False)
        templates.note(MODEL)
        assert list(templates.unknown()) == []
        assert await templates.go_on(MODEL) is False


async def test_while_the_store_is_away_what_was_read_once_is_known(tmp_path) -> None:
    async with working(tmp_path) as works:
        templates = works.parts.templates
        async with works.readers_busy():
            with pytest.raises(StoreUnavailable):
                await templates.go_on(MODEL)
        await templates.learn(version(works), continues=True)
        async with works.readers_busy():
            assert await templates.go_on(MODEL) is True


async def test_a_model_that_nobody_has_has_no_version(tmp_path) -> None:
    async with working(tmp_path) as works:
        assert works.parts.templates.version("nobody-has-it") is None
        assert await works.parts.templates.go_on("nobody-has-it") is None


async def test_not_more_models_than_a_hundred_wait_to_be_asked(tmp_path) -> None:
    async with working(tmp_path) as works:
        templates = works.parts.templates
        for number in range(300):
            templates.note(f"model-{number}")
        waiting = list(templates.unknown())
        assert (len(waiting), waiting[-1]) == (100, "model-299")
        # One that was let go while it was being asked.
        templates.put_off("model-0", 0)
        waiting = list(templates.unknown())
        assert (len(waiting), waiting[-1]) == (100, "model-0")
