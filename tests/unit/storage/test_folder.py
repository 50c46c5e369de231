import asyncio
import os
import stat

import pytest

from chatserver.errors import StartRefused
from chatserver.storage.folder import DataFolder


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_it_is_made_for_its_owner_alone(tmp_path) -> None:
    async with DataFolder(tmp_path / "new" / "data", wait_s=0) as folder:
        assert mode(folder.path) == 0o700
        assert folder.database == tmp_path / "new" / "data" / "chatserver.db"


async def test_a_second_one_is_refused_in_a_sentence_that_names_the_first(tmp_path) -> None:
    async with DataFolder(tmp_path, wait_s=0):
        with pytest.raises(StartRefused) as refusal:
            async with DataFolder(tmp_path, wait_s=0):
                pass
    assert f"The data folder {tmp_path} is in use by process {os.getpid()};" in str(refusal.value)


async def test_a_second_one_waits_while_the_first_ends(tmp_path) -> None:
    async with DataFolder(tmp_path, wait_s=0) as first:
        second = DataFolder(tmp_path, wait_s=30)
        waiting = asyncio.create_task(second.__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        await first.__aexit__()
        await waiting
        await second.__aexit__()


async def test_a_waiting_one_can_be_stopped(tmp_path) -> None:
    async with DataFolder(tmp_path, wait_s=0):
        waiting = asyncio.create_task(DataFolder(tmp_path, wait_s=30).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with DataFolder(tmp_path, wait_s=0):
        pass


async def test_what_is_no_folder_is_refused_in_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match=r"file can't be used: File exists\."):
        async with DataFolder(tmp_path / "file", wait_s=0):
            pass


async def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    async with DataFolder(tmp_path, wait_s=0) as folder:
        secret = folder.secret()
        assert len(secret) == 32
        assert folder.secret() == secret
        assert mode(tmp_path / "secret") == 0o600
    async with DataFolder(tmp_path, wait_s=0) as folder:
        assert folder.secret() == secret


async def test_each_folder_has_a_secret_of_its_own(tmp_path) -> None:
    async with DataFolder(tmp_path / "1", wait_s=0) as one, DataFolder(tmp_path / "2", wait_s=0) as two:
        assert one.secret() != two.secret()


async def test_what_a_crash_left_of_a_secret_is_made_anew(tmp_path) -> None:
    (tmp_path / "secret.new").write_bytes(b"half")
    async with DataFolder(tmp_path, wait_s=0) as folder:
        assert len(folder.secret()) == 32


async def test_a_damaged_secret_is_told_rather_than_replaced(tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    async with DataFolder(tmp_path, wait_s=0) as folder:
        with pytest.raises(StartRefused, match="secret is damaged"):
            folder.secret()
    assert (tmp_path / "secret").read_bytes() == b"short"


async def test_a_secret_that_can_not_be_read_is_told_in_a_sentence(tmp_path) -> None:
    (tmp_path / "secret").mkdir()
    async with DataFolder(tmp_path, wait_s=0) as folder:
        with pytest.raises(StartRefused, match=r"secret can't be used: Is a directory\."):
            folder.secret()
