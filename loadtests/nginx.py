"""nginx as people put it before a model server, passing its streams through: what to be measured against."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.processes import NotStarted, running
from tests.harness.ports import free_port, listening

#: Debian puts it where a user's path doesn't look.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""
#: Seconds until it listens.
_START_S = 10
_LOOK_EVERY_S = 0.02

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream model {{
        server {upstream};
        keepalive 256;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    address: str
    #: The one process that moves bytes.
    worker: int


@asynccontextmanager
async def passing_through(folder: Path, upstream: str) -> AsyncIterator[Nginx]:
    """Run an nginx before `upstream` (`host:port`), with all its files in `folder`."""
    if not NGINX:
        raise NotStarted(
            "nginx is what is compared with; install it (on Debian: apt-get install nginx-light)."
        )
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, upstream=upstream, port=port))
    async with running(NGINX, "-p", folder, "-c", config, "-e", "stderr") as master:
        async with asyncio.timeout(_START_S):
            await listening(port)
            worker = await _only_child(master.pid)
        yield Nginx(f"127.0.0.1:{port}", worker)


def version() -> str:
    if not NGINX:
        return ""
    said = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True, timeout=_START_S).stderr
    return said.strip().rpartition("/")[2]


async def _only_child(pid: int) -> int:
    while True:
        # The master listens a moment before it has its worker.
        found = _children(pid)
        if found:
            return found[0]
        await asyncio.sleep(_LOOK_EVERY_S)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
