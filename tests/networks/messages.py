"""HTTP/1.1 messages on a socket, whole and byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from browser.wire import Message, read_body

if TYPE_CHECKING:
    import socket

READ_SIZE = 2**16
END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Stream:
    """What comes out of a socket, message by message."""

    connection: socket.socket
    waiting: bytes = field(default=b"", init=False)

    def read_message(self) -> bytes:
        """Return the next message with its head; what there is of it where the connection ends first."""
        while END_OF_HEAD not in self.waiting:
            if not self._fill():
                return self._take(len(self.waiting))
        size = self.waiting.index(END_OF_HEAD) + len(END_OF_HEAD)
        size += int(read_headers(self.waiting[:size]).get("content-length", 0))
        while len(self.waiting) < size and self._fill():
            pass
        return self._take(size)

    def _fill(self) -> bool:
        data = self.connection.recv(READ_SIZE)
        self.waiting += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken, self.waiting = self.waiting[:size], self.waiting[size:]
        return taken


def read_headers(head: bytes) -> dict[str, str]:
    """Return the headers below the first line, names in lower case.

    Bodies that tell no length are not for this proxy.
    """
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line]
    headers = {name.lower(): value.strip() for name, _, value in lines}
    assert "transfer-encoding" not in headers, headers
    return headers


def parse_request(data: bytes) -> Message:
    """Read a whole request as the client meant it."""
    head, _, body = data.partition(END_OF_HEAD)
    method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
    headers, parts = read_headers(head), urlsplit(target)
    fields = [*read_body(headers.get("content-type", ""), body), *parse_qsl(parts.query, keep_blank_values=True)]
    return Message(method=method, path=parts.path, headers=headers, fields=tuple(fields))
