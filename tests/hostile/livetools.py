"""The live site as an attacker sees it: bytes on a socket; and as its administrator does: files, rows, descriptors."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from fakeuploader import WireResponse
from livesite.server import LiveSite, fetch

LIMIT = 2**20


def connect(site: LiveSite) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.ports[0]), timeout=30)


def exchange(site: LiveSite, data: bytes) -> bytes:
    """Send bytes, say that no more will come, and return all that is answered."""
    with connect(site) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it answered before it had read everything
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while (data := connection.recv(LIMIT)) and len(received) < LIMIT:
            received += data
    except ConnectionResetError:
        return received
    return received


def parse(answer: bytes) -> WireResponse:
    """The first answer in what came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    length = int(headers.get("content-length", len(body)))
    return WireResponse(status=int(first.split()[1]), headers=headers, body=body[:length])


def server_processes() -> list[int]:
    """The processes of every server that this process has started, and theirs."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(status[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def open_for_writing(pids: list[int]) -> set[str]:
    """Regular files that processes may write to, deleted ones included; not devices, sockets and pipes.

    A module that a first request imports is only read, but for the bytecode that is kept of it.
    """
    found = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(link)  # noqa: PTH115 (a deleted file's name is no path)
                flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().partition("flags:")[2].split()[0]
            except OSError:
                continue
            written = int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
            if written and target.startswith("/") and not target.startswith("/dev/") and "__pycache__" not in target:
                found.add(target)
    return found


def kept(site: LiveSite) -> tuple[dict[str, int], list[object]]:
    """Every file below MEDIA_ROOT with its size, and every upload's row."""
    files = {str(path): path.stat().st_size for path in site.media.rglob("*") if path.is_file()}
    return files, list(fetch(f"{site.url}/control/uploads"))
