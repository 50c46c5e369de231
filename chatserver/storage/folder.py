"""The data folder: its owner's alone, one process's at a time, and where the signing secret is kept."""

import asyncio
import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from chatserver.errors import StartRefused

#: Seconds between two looks at the lock while another process ends.
_LOOK_EVERY_S = 0.05
_SECRET_BYTES = 32


class DataFolder:
    """`async with DataFolder(path, wait_s) as folder` holds the lock until it is left."""

    def __init__(self, path: Path, wait_s: float, *, shared: bool = False) -> None:
        """`wait_s`: seconds that another process may take to end.

        A shared one holds nothing but copies of what is found elsewhere, so it isn't locked.
        """
        self.path = path
        self._wait_s = wait_s
        self._shared = shared
        #: The locked file, while the lock is held. The system lets go of it when the process dies.
        self._lock: int | None = None

    async def __aenter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartRefused(f"The data folder {self.path} can't be used: {error.strerror}.") from error
        try:
            if not self._shared:
                await self._acquire(lock)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def database(self) -> Path:
        return self.path / "chatserver.db"

    def secret(self) -> bytes:
        """Made once, and the same ever after."""
        path = self.path / "secret"
        try:
            if not path.exists():
                self._make_secret(path)
            secret = path.read_bytes()
        except OSError as error:
            raise StartRefused(f"The signing secret {path} can't be used: {error.strerror}.") from error
        if len(secret) != _SECRET_BYTES:
            raise StartRefused(
                f"The signing secret {path} is damaged; remove it to have a new one made, which signs "
                "everybody out, or set CHATSERVER_SECRET."
            )
        return secret

    def _make_secret(self, path: Path) -> None:
        # It appears under its name only when all of it is on disk.
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(secrets.token_bytes(_SECRET_BYTES))
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.rename(path)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    async def _acquire(self, lock: int) -> None:
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while not _try_lock(lock):
            if asyncio.get_running_loop().time() >= deadline:
                raise StartRefused(
                    f"The data folder {self.path} is in use by process {_holder(lock)}; "
                    "stop that one first, or choose another folder with CHATSERVER_DATA_DIR."
                )
            await asyncio.sleep(_LOOK_EVERY_S)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: int) -> str:
    return os.pread(lock, 20, 0).decode(errors="replace") or "?"
