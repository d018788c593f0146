"""What is large costs time and not memory: the most that one request may hold, whatever it sends."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from django.test import Client

from flowtools import CSRF
from hostile.aim import BOUNDARY, END, FILE, MULTIPART, part
from hostile.values import GOOD_UUID

MOST = 12 * 2**20
"""DATA_UPLOAD_MAX_MEMORY_SIZE is 2.5 MiB, and a text is held a few times while it is read."""

UUID = part(b"qquuid", GOOD_UUID)
LARGE = 48 * 2**20


class Endless(io.RawIOBase):
    """A body that is made while it is read: a beginning, the same piece again and again, an end."""

    def __init__(self, start: bytes, piece: bytes, end: bytes = b"") -> None:
        self.count = LARGE // len(piece)
        self.length = len(start) + self.count * len(piece) + len(end)
        self._pieces = self._generate(start, piece, end)
        self._rest = b""

    def _generate(self, start: bytes, piece: bytes, end: bytes) -> Iterator[bytes]:
        yield start
        for _ in range(self.count):
            yield piece
        yield end

    def read(self, size: int = -1, /) -> bytes:
        while len(self._rest) < size and (more := next(self._pieces, b"")):
            self._rest += more
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


HEAD = b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: "
KIB = b"x" * 2**14
BODIES = {
    "a field": (MULTIPART, UUID + HEAD + b'form-data; name="a"\r\n\r\n', KIB, b"\r\n" + FILE + END),
    "fields": (MULTIPART, UUID, part(b"k", b"v") * 200, FILE + END),
    "a header": (MULTIPART, UUID + HEAD, KIB, b""),
    "headers": (MULTIPART, UUID + HEAD + b'form-data; name="a"', b"\r\nA: b" * 2000, b""),
    "a name": (MULTIPART, UUID + HEAD + b'form-data; name="', KIB, b'"'),
    "text in front": (MULTIPART, b"", KIB, b"\r\n" + UUID + FILE + END),
    "text behind": (MULTIPART, UUID + FILE + END, KIB, b""),
    "a file": (MULTIPART, UUID + FILE.removesuffix(b"\r\n"), KIB, b"\r\n" + END),
    "another file": (MULTIPART, UUID + HEAD + b'form-data; name="o"; filename="a"\r\n\r\n', KIB, b"\r\n" + FILE + END),
    "files": (MULTIPART, UUID, FILE * 100, END),
    "a form": ("application/x-www-form-urlencoded", b"a=", KIB, b""),
    "JSON": ("application/json", b'{"a": "', KIB, b'"}'),
    "lists": ("application/json", b'{"a": ', b"[" * 2**14, b""),
    "a raw body": ("application/octet-stream", b"", KIB, b""),
}


@pytest.mark.parametrize("path", ["", "done"])
@pytest.mark.parametrize("name", BODIES)
def test_memory_stays_flat(client: Client, name: str, path: str) -> None:
    content_type, *pieces = BODIES[name]
    body = Endless(*pieces)
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/uploads/{path}",
        "QUERY_STRING": f"qquuid={GOOD_UUID.decode()}" if name == "a raw body" else "",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(body.length),
        "HTTP_X_CSRFTOKEN": CSRF["X-CSRFToken"],
        "wsgi.input": body,
    }
    tracemalloc.start()
    try:
        response = client.request(**environ)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status_code < 500
    assert most < MOST
