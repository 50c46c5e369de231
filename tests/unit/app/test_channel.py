import socket
from collections.abc import AsyncIterator

import pytest_asyncio

from chatserver.app.channel import All, Channel, Ready, Start
from chatserver.settings import load


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    here, there = socket.socketpair()
    one, other = await Channel.over(here), await Channel.over(there)
    yield one, other
    one.close()
    other.close()


async def test_what_one_says_the_other_hears_in_order(ends) -> None:
    one, other = ends
    one.send(Ready())
    one.send(All(b"x" * 200_000))
    assert await other.receive() == Ready()
    assert await other.receive() == All(b"x" * 200_000)


async def test_settings_come_whole_with_their_secrets(ends) -> None:
    one, other = ends
    settings = load(None, {"CHATSERVER_SECRET": "top-secret-" * 4}, {}).settings
    one.send(Start(2, settings, demo=False))
    start = await other.receive()
    assert start.settings == settings
    assert start.settings.server.secret.get_secret_value() == "top-secret-" * 4


async def test_that_the_other_one_has_gone_is_told(ends) -> None:
    one, other = ends
    one.close()
    assert await other.receive() is None
    other.send(Ready())
