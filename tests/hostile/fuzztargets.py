"""What a fuzzer throws bytes at: each target reads them as the app would, and raises AssertionError where it must not.

Shared by the suite (mutated grammar, found cases) and by `tools/fuzz.py` (guided by coverage). No target needs a
database. Whatever else they raise is a fault as well: a request may be refused only by the app's own errors.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest

from fineuploader_receiver.exceptions import UploadError
from fineuploader_receiver.protocol import requests
from fineuploader_receiver.protocol.body import Body
from fineuploader_receiver.protocol.messages import DeleteMessage, DoneMessage, UploadMessage
from fineuploader_receiver.protocol.multipart import MultipartReader
from fineuploader_receiver.protocol.names import ParamNames
from fineuploader_receiver.protocol.params import MAX_DEPTH, from_json, from_pairs

NAMES = ParamNames()
BOUNDARY = b"bound"
METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")
CONTENT_TYPES = (
    "multipart/form-data; boundary=bound",
    "application/x-www-form-urlencoded",
    "application/json",
    "application/octet-stream",
    "text/plain;charset=UTF-8",
    "",
)

Parts = list[tuple[str, str | None, str, bytes]]


class Pieces(io.RawIOBase):
    """A body that arrives `size` bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._rest = io.BytesIO(data)
        self._size = size

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(self._size if size < 0 else min(size, self._size))


def read_parts(body: bytes, *, piece: int, boundary: bytes = BOUNDARY) -> Parts | type[UploadError]:
    """The parts of a form as the app's reader sees them, or the class of its refusal."""
    reader = MultipartReader(Pieces(body, piece), boundary)
    parts: Parts = []
    try:
        while (part := reader.next_part()) is not None:
            content = b"".join(bytes(data) for data in part.chunks)
            parts.append((part.name, part.filename, part.content_type, content))
    except UploadError as error:
        return type(error)
    return parts


def multipart(data: bytes) -> None:
    """A form says the same however it is cut up, holds no more than it is long, and ends with its closing delimiter."""
    if not data:
        return
    piece, body = data[0] % 64 + 1, data[1:]
    parts = read_parts(body, piece=len(body) + 1)
    # What is too long is told as soon as it shows, which depends on the piece, and so does what comes first.
    assert read_parts(body, piece=piece) == parts or not isinstance(parts, list)
    if isinstance(parts, list):
        assert sum(len(content) for *_, content in parts) <= len(body)
        assert all(content in body for *_, content in parts)
        assert b"--" + BOUNDARY + b"--" in body


def params(data: bytes) -> None:
    """Custom parameters can be stored by every database, are not nested without end, and never bear a reserved name."""
    kind, text = data[:1], data[1:]
    with contextlib.suppress(UploadError):
        if kind == b"{":
            check_params(from_json(requests._parse_json(text), NAMES))
        else:
            pairs = parse_qsl(text.decode("utf-8", "surrogateescape" if kind == b"s" else "replace"), errors="replace")
            check_params(from_pairs(pairs, NAMES))


def check_params(values: Mapping[str, Any]) -> None:
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text) == values
    assert not set(values) & NAMES.taken
    for leaf, depth in leaves(values):
        assert depth <= MAX_DEPTH + 1
        if isinstance(leaf, str):
            leaf.encode("utf-8")
            assert "\0" not in leaf
        assert not isinstance(leaf, int) or abs(leaf) < 2**63


def leaves(value: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """Every key and every value that is no container, with how deep it lies."""
    yield (None if isinstance(value, (dict, list)) else value), depth
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, depth
            yield from leaves(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, depth + 1)


def whole_request(data: bytes) -> None:
    """A request becomes a message whose every field is in its range, or is refused by an error of ours."""
    head, _, rest = data.partition(b"\n")
    query, _, body = rest.partition(b"\n")
    if len(head) < 4:
        return
    request = make_request(head, query, body)
    if request is None:
        return
    try:
        if head[2] % 2:
            check_message(requests.read_done(request, Body(request), NAMES)[0])
            return
        incoming = requests.read_upload(request, Body(request), NAMES)
        check_message(incoming.message)
        if isinstance(incoming, requests.IncomingUpload):
            assert sum(len(piece) for piece in incoming.content) <= len(body)
    except (UploadError, SuspiciousOperation, RequestDataTooBig):
        requests.echoed_uuid(request, NAMES)


def make_request(head: bytes, query: bytes, body: bytes) -> WSGIRequest | None:
    """A request that three bytes choose, or None where Django itself refuses to make one."""
    kind = CONTENT_TYPES[head[1] % len(CONTENT_TYPES)]
    environ = {
        "REQUEST_METHOD": METHODS[head[0] % len(METHODS)],
        "PATH_INFO": "/",
        "QUERY_STRING": query.decode("latin-1"),
        "CONTENT_TYPE": kind if head[3] % 4 else head[3:].decode("latin-1"),
        "CONTENT_LENGTH": str(len(body) + (head[2] == 0xFF)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }
    try:
        return WSGIRequest(environ)
    except (BadRequest, LookupError, UnicodeError, ValueError, SuspiciousOperation, RequestDataTooBig):
        return None


def check_message(message: UploadMessage | DoneMessage | DeleteMessage) -> None:
    assert str(message.uuid) == message.wire_uuid.lower()
    if isinstance(message, DeleteMessage):
        return
    check_params(message.params)
    message.filename.encode("utf-8")
    assert "\0" not in message.filename
    assert message.total_size is None or 0 <= message.total_size <= requests.MAX_SIZE
    assert message.total_chunks is None or 0 <= message.total_chunks <= requests.MAX_COUNT
    if isinstance(message, UploadMessage):
        assert 0 <= message.index < max(message.total_chunks, 1)
        assert message.offset >= 0
        assert message.size is None or 0 <= message.size <= 2 * requests.MAX_SIZE


TARGETS: dict[str, Callable[[bytes], None]] = {"multipart": multipart, "params": params, "requests": whole_request}
