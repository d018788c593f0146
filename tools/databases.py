"""Database servers for the tests: one that runs already, else one of our own, on its own port and in its own folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tools.shell import ROOT, CannotRun, install_debian, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS = 60
CONNECT = "from django.db import connection; connection.ensure_connection()"


@dataclass(frozen=True)
class Engine:
    """A kind of database server: where its programs are, and how to make and start one."""

    name: str
    package: str
    account: str
    programs: tuple[str, ...]
    folders: tuple[str, ...]
    stop: signal.Signals
    commands: Callable[[dict[str, str], Path, int], tuple[list[str], list[str]]]


def postgresql_commands(programs: dict[str, str], folder: Path, port: int) -> tuple[list[str], list[str]]:
    """Return the commands that make and start a PostgreSQL server which trusts this machine and forgets on a crash."""
    data = str(folder / "data")
    make = [programs["initdb"], "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return make, [programs["postgres"], "-D", data, *options]


def mariadb_commands(programs: dict[str, str], folder: Path, port: int) -> tuple[list[str], list[str]]:
    """Return the commands that make and start a MariaDB server whose root account needs no password."""
    data = f"--datadir={folder / 'data'}"
    make = [programs["mariadb-install-db"], "--no-defaults", data, "--auth-root-authentication-method=normal"]
    address = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"]
    return make, [programs["mariadbd"], "--no-defaults", data, *address]


POSTGRESQL = Engine(
    name="postgresql",
    package="postgresql",
    account="postgres",
    programs=("initdb", "postgres"),
    folders=("usr/lib/postgresql/*/bin",),
    stop=signal.SIGINT,  # SIGTERM would wait for clients that forgot to leave
    commands=postgresql_commands,
)
MARIADB = Engine(
    name="mariadb",
    package="mariadb-server",
    account="mysql",
    programs=("mariadb-install-db", "mariadbd"),
    folders=("usr/sbin", "usr/libexec"),
    stop=signal.SIGTERM,
    commands=mariadb_commands,
)


@contextmanager
def database(engine: Engine, python: Path) -> Iterator[dict[str, str]]:
    """Yield the environment that points the test site at a server; the server ends with the block if we started it.

    ``TEST_POSTGRESQL_HOST``, ``_PORT``, ``_USER`` and ``_PASSWORD``, and the same for ``MARIADB``, name a server.
    """
    environment = {"TEST_DATABASE": engine.name}
    for part in ("HOST", "PORT", "USER", "PASSWORD"):
        if given := os.environ.get(f"TEST_{engine.name.upper()}_{part}"):
            environment[f"TEST_DATABASE_{part}"] = given
    if connects(python, environment)[0]:
        yield environment
        return
    with own_server(engine, python) as port:
        yield {"TEST_DATABASE": engine.name, "TEST_DATABASE_PORT": str(port)}


def named(engine: Engine, environment: dict[str, str]) -> dict[str, str]:
    """Return what ``database`` yields under the names that say whose it is, for a run that needs several servers."""
    return {
        name.replace("TEST_DATABASE", f"TEST_{engine.name.upper()}"): value
        for name, value in environment.items()
        if name != "TEST_DATABASE"
    }


def connects(python: Path, environment: dict[str, str]) -> tuple[bool, str]:
    """Return whether Django can connect to the server and finds it new enough, and what it said."""
    site = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(ROOT / "tests")}
    return read(python, "-c", CONNECT, environment={**site, **environment})


@contextmanager
def own_server(engine: Engine, python: Path) -> Iterator[int]:
    """Start a server in a folder that is removed afterwards, and yield its port."""
    programs, port = find_programs(engine), free_port()
    with tempfile.TemporaryDirectory(prefix=f"{engine.name}-") as name:
        folder = Path(name)
        make, start = engine.commands(programs, folder, port)
        if account := account_for(engine):
            shutil.chown(folder, account)
        with (folder / "log").open("w") as log:
            launch(make, folder, account, log).wait()
            process = launch(start, folder, account, log)
        try:
            wait_until_ready(engine, python, port, process, folder)
            yield port
        finally:
            process.send_signal(engine.stop)
            process.wait()


def account_for(engine: Engine) -> str | None:
    """Return the account to run a server as: another one where we are root, as which both refuse to run."""
    return engine.account if os.geteuid() == 0 else None


def launch(command: list[str], folder: Path, account: str | None, log: IO[str]) -> subprocess.Popen[bytes]:
    """Start a server's program; what it says goes to the log."""
    return subprocess.Popen(command, cwd=folder, user=account, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_until_ready(engine: Engine, python: Path, port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Return when Django can connect; raise ``CannotRun`` with the reason when the server ends, or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        ready, answer = connects(python, {"TEST_DATABASE": engine.name, "TEST_DATABASE_PORT": str(port)})
        if ready:
            return
    raise CannotRun(f"{engine.name} did not start: {last_line(folder) if process.poll() is not None else answer}")


def last_line(folder: Path) -> str:
    """Return the last line of a server's log."""
    return (["nothing in its log", *(folder / "log").read_text().splitlines()])[-1]


def find_programs(engine: Engine) -> dict[str, str]:
    """Return the server's programs by name; install them where they are missing and may be."""
    if missing_programs(engine):
        install_debian(engine.package)
    if missing := missing_programs(engine):
        raise CannotRun(f"{engine.name} has no {missing[0]} on this machine")
    return {name: str(find_program(engine, name)) for name in engine.programs}


def missing_programs(engine: Engine) -> list[str]:
    """Return the names of the programs that are not there."""
    return [name for name in engine.programs if find_program(engine, name) is None]


def find_program(engine: Engine, name: str) -> str | None:
    """Return a program from the PATH, or from the folders where Debian keeps a server's own programs."""
    folders = [str(folder) for pattern in engine.folders for folder in sorted(Path("/").glob(pattern), reverse=True)]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def free_port() -> int:
    """Return a port of this machine that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
