"""One persistent connection that sends bodies straight from a file in memory and spends as little as it can."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse

Body = Sequence[bytes | memoryview]


class Failed(Exception):
    """A server did not answer as a benchmark needs it."""


@dataclass(frozen=True)
class Answer:
    """An answer, and how long it took from the first byte sent to the last byte read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Connection:
    """Sends requests one after another, on a new socket where the server has closed the old one."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        self._headers = dict(headers)
        self._socket: socket.socket | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, method: str, path: str, body: Body = (), *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and return its answer. Raises Failed unless that is a success."""
        length = sum(map(len, body))
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in {**self._headers, **(headers or {})}.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        started = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=600)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head + b"".join(map(bytes, body[:1])), *body[1:]):
            self._socket.sendall(piece)
        response = HTTPResponse(self._socket, method=method)
        response.begin()
        data = response.read()
        seconds = time.perf_counter() - started
        if response.will_close:
            self.close()
        if response.status >= 300:
            raise Failed(f"{method} {path}: {response.status} {data[:300]!r}")
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, data, seconds)
