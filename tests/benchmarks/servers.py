"""The servers under measurement, each in a process tree of its own with a folder and a database of its own."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks import peers
from benchmarks.wire import Connection, Failed

TESTS = Path(__file__).resolve().parent.parent
THREADS = "8"


@dataclass(frozen=True, kw_only=True)
class Server:
    """How to start a server; ``command`` gets its port and its interpreter."""

    name: str
    command: Callable[[str, int], list[str]]
    database: str = "sqlite"
    interpreter: Callable[[], str] = lambda: sys.executable
    is_django: bool = True
    app: Path = TESTS.parent
    environment: Mapping[str, str] = field(default_factory=dict)
    proxy: str = ""
    """Behind nginx: its `proxy_request_buffering`, on or off."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers; ``headers`` log the client in."""

    server: Server
    pids: tuple[int, ...]
    port: int
    folder: Path
    headers: Mapping[str, str]

    def connect(self) -> Connection:
        """Open a new persistent connection."""
        return Connection(self.port, self.headers)

    @property
    def media(self) -> Path:
        """Where the server keeps its files."""
        return self.folder / "media"


def gunicorn(python: str, port: int) -> list[str]:
    options = ["--worker-class", "gthread", "--threads", THREADS, "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    return [python, "-m", "gunicorn", "benchmarks.site.wsgi", *options]


def granian(python: str, port: int) -> list[str]:
    options = ["--interface", "wsgi", "--blocking-threads", THREADS, "--port", str(port), "--log-level", "error"]
    return [python, "-m", "granian", *options, "benchmarks.site.wsgi:application"]


def granian_asgi(python: str, port: int) -> list[str]:
    options = ["--interface", "asgi", "--port", str(port), "--log-level", "error"]
    return [python, "-m", "granian", *options, "benchmarks.site.asgi:application"]


def uvicorn(python: str, port: int) -> list[str]:
    return [python, "-m", "uvicorn", "--port", str(port), "--log-level", "error", "benchmarks.site.asgi:application"]


def tuspyserver(python: str, port: int) -> list[str]:
    options = ["--port", str(port), "--log-level", "error"]
    return [python, "-m", "uvicorn", *options, "benchmarks.peer_sites.tus_python:app"]


def tus_node(_: str, port: int) -> list[str]:
    return ["node", peers.node_script()]


def uwsgi(_: str, port: int) -> list[str]:
    options = ["--master", "--enable-threads", "--threads", THREADS, "--http11-socket", f"127.0.0.1:{port}"]
    options += [
        "--virtualenv",
        sys.prefix,
        "--disable-logging",
        "--so-keepalive",
        "--add-header",
        "Connection: Keep-Alive",
    ]
    return [
        shutil.which("uwsgi") or str(Path(sys.executable).with_name("uwsgi")),
        *options,
        "--module",
        "benchmarks.site.wsgi",
    ]


@contextlib.contextmanager
def running(server: Server, *, parent: Path) -> Iterator[Running]:
    """Start a server with an empty folder and a new database below ``parent``, and end it."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    (folder / "media").mkdir()
    python = server.interpreter()
    port = _free_port()
    environment = _environment(server, folder, port)
    with contextlib.ExitStack() as stack:
        headers: Mapping[str, str] = {}
        if server.is_django:
            stack.enter_context(_database(environment["BENCHMARK_DATABASE"]))
            command = [python, "-m", "benchmarks.site.prepare"]
            prepared = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE)
            headers = json.loads(prepared.stdout)
        pids = [stack.enter_context(process(server.command(python, port), environment, folder))]
        _await(port)
        if server.proxy:
            front = _free_port()
            pids.append(stack.enter_context(process(_nginx(folder, front, port, server.proxy), environment, folder)))
            port = front
            _await(port)
        yield Running(server=server, pids=tuple(pids), port=port, folder=folder, headers=headers)


@contextlib.contextmanager
def process(command: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run a program until the block ends; what it says stays in the folder."""
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield started.pid
    finally:
        started.terminate()
        try:
            started.wait(timeout=20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _environment(server: Server, folder: Path, port: int) -> dict[str, str]:
    database = "sqlite" if server.database == "sqlite" else f"fineuploader_benchmark_{uuid4().hex[:12]}"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(TESTS), str(server.app))),
        "BENCHMARK_FOLDER": str(folder),
        "BENCHMARK_PORT": str(port),
        "BENCHMARK_DATABASE": database,
        **server.environment,
    }


def _nginx(folder: Path, port: int, behind: int, buffering: str) -> list[str]:
    """Write a configuration as docs/deployment.md shows it, and return the command that runs it."""
    (folder / "nginx").mkdir()
    configuration = f"""
        daemon off; user {getpass.getuser()}; pid nginx/pid; error_log stderr error; worker_processes 1; events {{ }}
        http {{
            access_log off; client_body_temp_path nginx/body; proxy_temp_path nginx/proxy;
            fastcgi_temp_path nginx/fastcgi; uwsgi_temp_path nginx/uwsgi; scgi_temp_path nginx/scgi;
            upstream site {{ server 127.0.0.1:{behind}; keepalive 8; }}
            server {{
                listen 127.0.0.1:{port}; client_max_body_size 0; proxy_request_buffering {buffering};
                proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
                location / {{ proxy_pass http://site; }}
            }}
        }}"""
    (folder / "nginx.conf").write_text(configuration)
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextlib.contextmanager
def _database(name: str) -> Iterator[None]:
    if name == "sqlite":
        yield
        return
    _on_postgresql(f"CREATE DATABASE {name}")
    try:
        yield
    finally:
        _on_postgresql(f"DROP DATABASE {name} WITH (FORCE)")


def _on_postgresql(statement: str) -> None:
    import psycopg

    options = {
        "host": os.environ.get("TEST_DATABASE_HOST", "127.0.0.1"),
        "port": os.environ.get("TEST_DATABASE_PORT", "5432"),
        "user": os.environ.get("TEST_DATABASE_USER", "postgres"),
        "password": os.environ.get("TEST_DATABASE_PASSWORD", ""),
        "dbname": "postgres",
    }
    with psycopg.connect(**options, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(statement.encode())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.05)
    raise Failed(f"Nothing listens on port {port}.")
