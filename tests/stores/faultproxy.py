"""A proxy in front of an object store that goes wrong as it is told, and notes what passes."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["200", "403", "404", "500", "503", "corrupt", "reset", "stall", "lost"]
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A request that came by: its method, its path with the query, and the size of its body."""

    method: str
    path: str
    size: int


@dataclass(kw_only=True)
class FaultProxy:
    """What to do wrong: `fault`, `times` times, with requests that `matches` picks.

    Numbers are answered, with `error`, without asking the store; `corrupt` changes a bit of the body; `reset` breaks
    the connection after the body, `stall` leaves it without an answer; `lost` asks the store and breaks the connection
    instead of passing its answer on.
    """

    port: int = 0
    fault: Fault | None = None
    times: int = 0
    matches: Callable[[Passed], bool] = lambda request: True
    error: bytes = b""
    passed: list[Passed] = field(default_factory=list)
    answered: int = 0
    """Bytes of the bodies of answers."""
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def go_wrong(self, fault: Fault, *, times: int, when: Callable[[Passed], bool], error: bytes = b"") -> None:
        with self.lock:
            self.fault, self.times, self.matches, self.error = fault, times, when, error

    def next_fault(self, request: Passed) -> Fault | None:
        with self.lock:
            self.passed.append(request)
            if not self.times or not self.matches(request):
                return None
            self.times -= 1
            return self.fault


@contextlib.contextmanager
def in_front_of(port: int, *, tls: ssl.SSLContext | None = None) -> Iterator[FaultProxy]:
    """Run a proxy to a port of this machine until the block ends; with `tls` it is spoken to over HTTPS."""
    proxy = FaultProxy()
    server = ProxyServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.proxy, server.store = proxy, port
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class ProxyServer(ThreadingHTTPServer):
    """The proxy's own server; `proxy` says what to do, `store` is the port to pass requests on to."""

    daemon_threads = True
    proxy: FaultProxy
    store: int


class Handler(BaseHTTPRequestHandler):
    """One connection to the proxy."""

    protocol_version = "HTTP/1.1"
    server: ProxyServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_any(self) -> None:
        """Take the request and do with it what the proxy says."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.proxy.next_fault(Passed(method=self.command, path=self.path, size=len(body)))
        if fault in ("200", "403", "404", "500", "503"):
            error = self.server.proxy.error
            self._answer(int(fault), {"Content-Length": str(len(error))}, error)
            return
        if fault == "stall":
            self.server.proxy.ended.wait(timeout=30)
        if fault == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        answer = self._ask(body) if fault in (None, "corrupt", "lost") else None
        if fault in (None, "corrupt") and answer is not None:
            self._answer(*answer)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.server.store, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _end_to_end(self.headers.items()).items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            headers, content = _end_to_end(answer.getheaders()), answer.read()
            if self.command != "HEAD":
                headers["content-length"] = str(len(content))
            with self.server.proxy.lock:
                self.server.proxy.answered += len(content)
            return answer.status, headers, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _end_to_end(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that are not of one connection alone."""
    return {name.lower(): value for name, value in headers if name.lower() not in HOP_BY_HOP}
