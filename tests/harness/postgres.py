"""A real PostgreSQL for tests: its own data, a free port, a socket nobody else reaches; gone afterwards."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.harness.ports import free_port

#: Seconds that it may take to start, and to end.
_START_S = 60
_END_S = 30
#: It refuses to be run by root; Debian makes this account for it.
_ACCOUNT = "postgres"
_USER = "chatserver"
_ROOMY = {"max_connections": "200"}
#: What is written is worth nothing after the tests.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_EMPTY = """DO $$ BEGIN
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(format('%I', tablename), ', ') FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    );
END $$"""


class Postgres:
    def __init__(self, folder: Path, account: str | None, *, durable: bool = False) -> None:
        self._folder = folder
        self._durable = durable
        self._account = account
        self._password = secrets.token_hex(16)
        self._port = free_port()
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def address(
        self, database: str, user: str = _USER, password: str | None = None, port: int | None = None
    ) -> str:
        """The address as it stands in a server's settings; `port` is that of a relay."""
        return f"postgresql://{user}:{password or self._password}@127.0.0.1:{port or self._port}/{database}"

    @property
    def port(self) -> int:
        return self._port

    def initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        made = self._run(
            "initdb",
            *("--pgdata", str(self._folder / "data"), "--username", _USER, "--pwfile", str(password)),
            *("--auth-local", "trust", "--auth-host", "password", "--encoding", "UTF8"),
            # A language whose order isn't that of the bytes, as servers mostly have.
            *("--locale-provider", "icu", "--icu-locale", "en", "--locale", "C.UTF-8", "--no-sync"),
        )
        assert made.returncode == 0, made.stdout

    def start(self) -> None:
        options = {
            **_ROOMY,
            **({} if self._durable else _FAST),
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._folder / "data"), *settings],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._folder,
                **self._as_account(),
            )
        tenths = _START_S * 10
        while self._run("pg_isready", "-q", "-h", str(self._folder), "-p", str(self._port)).returncode:
            tenths -= 1
            assert tenths, (self._folder / "log").read_text()
            assert self._process.poll() is None, (self._folder / "log").read_text()
            _wait_a_little(self._process)

    def stop(self) -> None:
        """End it at once and in order: connections are cut, nothing is lost."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_END_S)

    def kill(self) -> None:
        """End it as a crash would: what was committed is found again at the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_END_S)

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self, *processes: int) -> Iterator[None]:
        """Let some of its processes do nothing, as if the network between had a hole."""
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def create(self, template: str = "template0") -> str:
        """Make a database like another one; gives its name."""
        name = f"test_{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def empty(self, database: str) -> None:
        """Remove all rows."""
        self.sql(_EMPTY, database)

    def sql(self, statement: str, database: str = "postgres") -> list[list[str]]:
        """Carry out a statement as the owner of everything; gives the rows it finds, as text."""
        done = self._run(
            "psql",
            *("-h", str(self._folder), "-p", str(self._port), "-U", _USER, "-d", database),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement),
        )
        assert done.returncode == 0, done.stdout
        return [line.split("|") for line in done.stdout.decode().splitlines()]

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [_program(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            timeout=_START_S,
            check=False,
            **self._as_account(),
        )

    def _as_account(self) -> dict[str, object]:
        if self._account is None:
            return {}
        account = pwd.getpwnam(self._account)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Start one; in the end nothing is left of it. Only a durable one waits for the disk."""
    account = _ACCOUNT if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="chatserver-postgres-"))
    try:
        if account is not None:
            shutil.chown(folder, account)
        postgres = Postgres(folder, account, durable=durable)
        postgres.initialise()
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder)


def version() -> str:
    """Say which one is there, or nothing."""
    program = _found("postgres")
    return subprocess.check_output([program, "--version"], text=True).split()[2] if program else ""


def _program(name: str) -> str:
    found = _found(name)
    assert found, "PostgreSQL is missing, which tests need; install it: apt-get install postgresql"
    return found


def _found(name: str) -> str | None:
    """Find a program of PostgreSQL's; Debian keeps most of them out of the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(versions)), os.environ["PATH"]]))


def _wait_a_little(process: subprocess.Popen[bytes]) -> None:
    """Wait a tenth of a second, or until it has ended."""
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return
