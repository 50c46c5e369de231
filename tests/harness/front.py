"""nginx and HAProxy in front of instances, with the files in configs/ as they are but for addresses."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tests.harness.ports import free_port, listening

CONFIGS = Path(__file__).parents[2] / "configs"
_START_S, _END_S = 10, 10
#: The instances in the files, in order, and the line that sends everybody to the same one again.
_INSTANCES = ("127.0.0.1:8001", "127.0.0.1:8002")
_STICKY = ("#hash ", "#cookie ")

#: What stands around the file where nginx is installed.
_AROUND = """\
{user}pid {folder}/nginx.pid;
daemon off;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {config};
}}
"""

#: Runs one in front of instances, sticky or not; gives its address.
Front = Callable[[Path, Sequence[str], bool], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def nginx(folder: Path, instances: Sequence[str], sticky: bool) -> AsyncIterator[str]:
    port = free_port()
    config, around = folder / "chatserver.conf", folder / "nginx.conf"
    config.write_text(_adapted("nginx.conf", instances, port, sticky))
    # The account it would change to can't read what tests write.
    user = "user root;\n" if os.geteuid() == 0 else ""
    around.write_text(_AROUND.format(folder=folder, config=config, user=user))
    async with _running(_program("nginx"), "-p", folder, "-c", around, "-e", "stderr"):
        async with asyncio.timeout(_START_S):
            await listening(port)
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def haproxy(folder: Path, instances: Sequence[str], sticky: bool) -> AsyncIterator[str]:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(_adapted("haproxy.cfg", instances, port, sticky))
    async with _running(_program("haproxy"), "-db", "-f", config):
        async with asyncio.timeout(_START_S):
            await listening(port)
        yield f"http://127.0.0.1:{port}"


def _adapted(name: str, instances: Sequence[str], port: int, sticky: bool) -> str:
    text = (CONFIGS / name).read_text()
    for before, after in zip(_INSTANCES, instances, strict=True):
        assert before in text
        text = text.replace(before, after.removeprefix("http://"))
    for before in ("listen 8080;", "bind :8080\n"):
        text = text.replace(before, before.replace(":8080", "8080").replace("8080", f"127.0.0.1:{port}"))
    assert f"127.0.0.1:{port}" in text
    if sticky:
        assert any(line in text for line in _STICKY)
        for line in _STICKY:
            text = text.replace(line, line.removeprefix("#"))
    return text


@asynccontextmanager
async def _running(program: str, *arguments: str | Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(program, *arguments)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            raise


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is missing, which tests need; install it: apt-get install {name}"
    return found
