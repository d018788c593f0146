"""Two ways to carry a request: Django's test client in this process, or a socket to a live server."""

from __future__ import annotations

import io
import socket
import struct
from http.client import HTTPResponse
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_to_bytes

from django.test import Client

from fakeuploader.wire import WireRequest, WireResponse

if TYPE_CHECKING:
    from collections.abc import Mapping


class Transport(Protocol):
    """Carries one request and returns its answer. Redirects are not followed: the app must never send one."""

    def send(self, request: WireRequest) -> WireResponse: ...


class BreakingInput(io.BytesIO):
    """A request body whose connection breaks after its last byte, as a WSGI server reports it."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and size != 0:
            raise ConnectionResetError("the client is gone")
        return data


class DjangoTransport:
    """Speaks to the site in this process through Django's test client, middleware included.

    The WSGI environment is built here and not by the test client, which would send a Content-Length only with a body
    and normalise what this client sends as it is.
    """

    def __init__(self, client: Client | None = None, *, environ: Mapping[str, Any] | None = None) -> None:
        self.client = client or Client(enforce_csrf_checks=True)
        self.extra = dict(environ or {})

    def send(self, request: WireRequest) -> WireResponse:
        response = self.client.request(**self.environ(request))
        headers = {name.lower(): value for name, value in response.headers.items()}
        return WireResponse(status=response.status_code, headers=headers, body=response.getvalue())

    def environ(self, request: WireRequest) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
            "QUERY_STRING": request.query,
            "wsgi.input": BreakingInput(request.body) if request.breaks else io.BytesIO(request.body),
        }
        for name, value in request.headers:
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.encode().decode("latin-1")
        if request.content_length is not None:
            environ["CONTENT_LENGTH"] = str(request.content_length)
        if request.chunked:
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        return environ | self.extra


class OpenRequest:
    """A request under way on a socket of its own; the caller decides when and how it goes on."""

    def __init__(self, connection: socket.socket, request: WireRequest, head: bytes) -> None:
        self.connection = connection
        self.request = request
        self._waiting = head + self._framed(request)

    @staticmethod
    def _framed(request: WireRequest) -> bytes:
        if not request.chunked:
            return request.body
        chunk = b"%x\r\n%b\r\n" % (len(request.body), request.body) if request.body else b""
        return chunk + b"0\r\n\r\n"

    def send(self, count: int | None = None) -> None:
        """Send the next ``count`` bytes, head included; by default all that is left."""
        count = len(self._waiting) if count is None else count
        sending, self._waiting = self._waiting[:count], self._waiting[count:]
        self.connection.sendall(sending)

    def send_all_but(self, count: int) -> None:
        """Send up to the last ``count`` bytes and leave the request hanging there."""
        self.send(len(self._waiting) - count)

    def end(self) -> None:
        """Say that nothing more will come, and stay to read the answer."""
        self.connection.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Break the connection with a reset, as a killed browser tab may."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def answer(self) -> WireResponse:
        """Read the whole answer; raises ``http.client`` errors or OSError where the browser would see status 0."""
        with self.connection:
            response = HTTPResponse(self.connection, method=self.request.method)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return WireResponse(status=response.status, headers=headers, body=response.read())


class SocketTransport:
    """Speaks to a live server with one connection per request, and keeps cookies like a browser."""

    def __init__(self, host: str, port: int, *, timeout: float = 30, cookies: Mapping[str, str] | None = None) -> None:
        self.address = (host, port)
        self.timeout = timeout
        self.cookies = dict(cookies or {})

    def send(self, request: WireRequest) -> WireResponse:
        under_way = self.open(request)
        self._send_all(under_way)
        answer = under_way.answer()
        self.cookies.update({name: morsel.value for name, morsel in _cookies(answer).items()})
        return answer

    def open(self, request: WireRequest) -> OpenRequest:
        """Connect, and send nothing yet."""
        return OpenRequest(socket.create_connection(self.address, self.timeout), request, self._head(request))

    def _send_all(self, under_way: OpenRequest) -> None:
        request = under_way.request
        try:
            under_way.send()
            if request.content_length is not None and len(request.body) < request.content_length:
                under_way.end()
        except (BrokenPipeError, ConnectionResetError):
            # The server answered early and closed; what it said may still be readable.
            return

    def _head(self, request: WireRequest) -> bytes:
        lines = [f"{request.method} {request.url.partition('#')[0]} HTTP/1.1", "Host: {}:{}".format(*self.address)]
        lines += [f"{name}: {value}" for name, value in request.headers]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if request.content_length is not None:
            lines.append(f"Content-Length: {request.content_length}")
        if request.chunked:
            lines.append("Transfer-Encoding: chunked")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def _cookies(answer: WireResponse) -> SimpleCookie:
    return SimpleCookie(answer.headers.get("set-cookie", ""))
