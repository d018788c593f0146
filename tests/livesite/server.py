"""The live site in a process of its own: gunicorn with threads, on sockets that this process opened."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPException
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TESTS = Path(__file__).resolve().parent.parent
WORKERS, THREADS = 2, 4


@dataclass(frozen=True, kw_only=True)
class LiveSite:
    """A running site; ``ports`` are two origins of the same site."""

    folder: Path
    ports: tuple[int, int]
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """The first origin."""
        return self.origin()

    def origin(self, *, host: str = "127.0.0.1", port: int = 0) -> str:
        """Return one of the four origins: two hosts, two ports."""
        return f"http://{host}:{self.ports[port]}"

    @property
    def media(self) -> Path:
        """The site's MEDIA_ROOT."""
        return self.folder / "media"

    @property
    def log(self) -> Path:
        """What the server's processes wrote."""
        return self.folder / "server.log"

    def uploads(self, **lookups: str) -> list[dict[str, Any]]:
        """Return the matching rows, with the digest of each finished file."""
        return list(fetch(f"{self.url}/control/uploads?{urlencode(lookups)}"))

    def purge(self, uuid: str = "") -> None:
        """Let an upload grow too old, or all that are unfinished, and run the purge command."""
        fetch(f"{self.url}/control/purge", uuid=uuid)

    def forget(self, uuid: str) -> None:
        """Delete the upload's rows without telling the app."""
        fetch(f"{self.url}/control/forget", uuid=uuid)

    def kill_a_worker(self) -> None:
        """Kill one of the server's processes, with the requests that it is at; gunicorn starts another."""
        with contextlib.suppress(OSError, HTTPException):
            fetch(f"{self.url}/control/die")

    def stored_files(self) -> list[Path]:
        """Return every file below MEDIA_ROOT that holds at least one byte, staged ones included."""
        return sorted(path for path in self.media.rglob("*") if path.is_file() and path.stat().st_size)

    def empty_media(self) -> None:
        """Remove every file below MEDIA_ROOT, as a lost disk or a careless person would."""
        for path in self.media.rglob("*"):
            if path.is_file():
                path.unlink()

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of one of the site's records: ``requests`` or ``events``."""
        path = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def signals(self, uuid: str) -> list[str]:
        """Return the names of the committed signals of one upload, in order."""
        return [record["signal"] for record in self.records("events") if record["uuid"] == uuid]


def log_in(url: str, name: str = "anna") -> str:
    """Sign somebody in at a site, and return the session's key."""
    with urlopen(f"{url}/control/login", urlencode({"username": name}).encode(), timeout=60) as answer:
        made = SimpleCookie("; ".join(answer.headers.get_all("Set-Cookie")))
    return made["sessionid"].value


def fetch(url: str, **form: str) -> Any:
    """Return the JSON that the site's control routes answer; a POST where there is a form."""
    with urlopen(url, urlencode(form).encode() if form else None, timeout=30) as answer:
        return json.load(answer)


@contextlib.contextmanager
def serve(
    folder: Path,
    client: Path,
    *,
    workers: int = WORKERS,
    threads: int = THREADS,
    changes: Mapping[str, str] | None = None,
    tracer: Sequence[str] = (),
) -> Iterator[LiveSite]:
    """Run the site with a new database in a new folder, and take both away at the end.

    ``changes`` go into the environment of the server's processes, over everything else. ``tracer`` is a command that
    watches another one, and becomes it.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listen()) for _ in range(2)]
        ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        environment = make_environment(folder, client, ports, changes or {})
        stack.enter_context(database(environment))
        site = LiveSite(folder=folder, ports=ports, environment=environment)
        stack.enter_context(gunicorn(environment, sockets, site.log, tracer, workers=workers, threads=threads))
        yield site


def listen() -> socket.socket:
    """Open a socket on a free port; whoever connects waits until the server accepts."""
    return socket.create_server(("127.0.0.1", 0), backlog=64)


def make_environment(folder: Path, client: Path, ports: tuple[int, int], changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the site's processes, which import the very package that the tests import."""
    spec = importlib.util.find_spec("fineuploader_receiver")
    assert spec is not None
    assert spec.origin is not None
    (folder / "media").mkdir()
    engine = {**os.environ, **changes}.get("TEST_DATABASE", "sqlite")
    name = str(folder / "db.sqlite3") if engine == "sqlite" else f"test_fineuploader_live_{uuid4().hex[:12]}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "livesite.settings",
        "PYTHONPATH": os.pathsep.join((str(TESTS), str(Path(spec.origin).parent.parent))),
        "LIVESITE_FOLDER": str(folder),
        "LIVESITE_CLIENT": str(client),
        "LIVESITE_DATABASE": name,
        "LIVESITE_PORTS": f"{ports[0]},{ports[1]}",
        **changes,
    }


@contextlib.contextmanager
def database(environment: dict[str, str]) -> Iterator[None]:
    """Create the site's database, and drop it."""
    command = [sys.executable, "-m", "livesite.databases"]
    folder = environment["LIVESITE_FOLDER"]  # Python puts the folder it starts in before all others
    subprocess.run([*command, "create"], env=environment, cwd=folder, check=True)
    try:
        yield
    finally:
        subprocess.run([*command, "drop"], env=environment, cwd=folder, check=True)


@contextlib.contextmanager
def gunicorn(
    environment: dict[str, str],
    sockets: list[socket.socket],
    log: Path,
    tracer: Sequence[str],
    *,
    workers: int,
    threads: int,
) -> Iterator[None]:
    """Run the server until the block ends."""
    descriptors = [one.fileno() for one in sockets]
    command = [*tracer, sys.executable, "-m", "gunicorn", "livesite.wsgi:application"]
    command += [part for descriptor in descriptors for part in ("--bind", f"fd://{descriptor}")]
    command += ["--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, pass_fds=descriptors, stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)
