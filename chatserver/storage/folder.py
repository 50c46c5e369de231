"""The data folder: made for its owner alone, used by one process at a time, and home of the signing secret."""

from pathlib import Path
from typing import Self


class DataFolder:
    """`async with DataFolder(path, wait_s) as folder` holds the lock until it is left."""

    def __init__(self, path: Path, wait_s: float) -> None:
        """`wait_s`: seconds that another process may take to end."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        raise NotImplementedError

    @property
    def database(self) -> Path:
        raise NotImplementedError

    def secret(self) -> bytes:
        """Made once, and the same ever after."""
        raise NotImplementedError
