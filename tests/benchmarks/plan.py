"""Which servers are compared, what each is sent, and what its figures may be at most."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import peers, servers
from benchmarks.protocols import DjangoChunkedUpload, FineUploader, Protocol, RawBodies, Tus
from benchmarks.servers import Server

COMPARED = "this app, no fsync"
"""What the limits are for: the floor flushes nothing either."""
CHUNKS = (2_000_000, 8 * 2**20)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """At most so many times the floor's CPU, at 2 MB and at 8 MiB chunks, and so many bytes written per byte."""

    cpu: tuple[float, float]
    written: float = 1.02


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One server and what is sent to it; ``group`` is what the command line picks by."""

    group: str
    server: Server
    sends: dict[str, Protocol]
    limits: Limits | None = None


def _site(group: str, server: Server, limits: Limits | None = None) -> Entry:
    """This app beside the two views on the same server."""
    sends: dict[str, Protocol] = {
        "discard": RawBodies("/discard/"),
        "floor": RawBodies("/floor/"),
        "this app": FineUploader(),
        COMPARED: FineUploader("/without_fsync/"),
    }
    return Entry(group=group, server=server, sends=sends, limits=limits)


def _peer(server: Server, name: str, protocol: Protocol) -> Entry:
    return Entry(group="peers", server=server, sends={name: protocol})


ENTRIES = (
    _site("gunicorn", Server(name="gunicorn", command=servers.gunicorn), Limits(cpu=(1.2, 1.1))),
    _site("granian", Server(name="granian", command=servers.granian), Limits(cpu=(1.3, 1.15))),
    _site(
        "postgresql",
        Server(name="gunicorn, PostgreSQL", command=servers.gunicorn, database="postgresql"),
        Limits(cpu=(1.5, 1.25)),
    ),
    _site(
        "postgresql",
        Server(name="granian, PostgreSQL", command=servers.granian, database="postgresql"),
        Limits(cpu=(1.5, 1.25)),
    ),
    _peer(
        Server(name="uvicorn", command=servers.tuspyserver, interpreter=peers.python, is_django=False),
        "tuspyserver",
        Tus(),
    ),
    _peer(Server(name="node", command=servers.tus_node, is_django=False), "@tus/server", Tus()),
    _peer(
        Server(name="gunicorn", command=servers.gunicorn, interpreter=peers.python),
        "django-chunked-upload",
        DjangoChunkedUpload(),
    ),
    _peer(
        Server(name="granian", command=servers.granian, interpreter=peers.python),
        "django-chunked-upload",
        DjangoChunkedUpload(),
    ),
    _site("asgi", Server(name="uvicorn (ASGI)", command=servers.uvicorn)),
    _site("asgi", Server(name="granian (ASGI)", command=servers.granian_asgi)),
    _site("uwsgi", Server(name="uWSGI", command=servers.uwsgi)),
    _site("nginx", Server(name="nginx, buffering off, gunicorn", command=servers.gunicorn, proxy="off")),
    _site("nginx", Server(name="nginx, buffering on, gunicorn", command=servers.gunicorn, proxy="on")),
)
GROUPS = tuple(dict.fromkeys(entry.group for entry in ENTRIES))
