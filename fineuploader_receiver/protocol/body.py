"""The body of a request, read once, counted, and never trusted to be as long as it says."""

from __future__ import annotations

import time

from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, UnreadablePostError

from ..exceptions import BadBody, BodyTooLarge, LengthRequired, TruncatedBody

DRAIN_BYTES = 64 * 2**20
DRAIN_SECONDS = 10.0

_READ_SIZE = 2**18


class Body:
    """A stream over the request's body. `read` raises TruncatedBody where it ends before its Content-Length.

    Reads through the request, so that a body that a middleware has buffered (`request.body`) works as well. The body
    of a request without Content-Length is refused (411): nothing could tell whether it arrived whole.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self.received = 0
        self.length = _content_length(request)
        # Now, because our own CSRF check gives the request the form that it has read so far.
        self.is_parsed = _is_parsed(request)

    def read(self, size: int) -> bytes:
        size = min(size, self.length - self.received)
        if size <= 0:
            return b""
        data = self._read(size)
        if not data:
            raise TruncatedBody
        self.received += len(data)
        return data

    def read_all(self, limit: int | None) -> bytes:
        """The whole body at once. Raises BodyTooLarge above `limit` bytes, having read none of it."""
        if limit is not None and self.length > limit:
            raise BodyTooLarge
        pieces = []
        while data := self.read(_READ_SIZE):
            pieces.append(data)
        return b"".join(pieces)

    def read_rest(self) -> None:
        """Read to the announced end. Raises BodyTooLarge where that is further away than a refusal drains."""
        if self.length - self.received > DRAIN_BYTES:
            raise BodyTooLarge
        while self.read(_READ_SIZE):
            pass

    def check_parsed(self) -> None:
        """Raise TruncatedBody where the form that somebody else read had broken off (their parser does not tell)."""
        stream = getattr(self._request, "_stream", None)
        if isinstance(stream, LimitedStream) and stream._pos < self.length:  # type: ignore[attr-defined]
            raise TruncatedBody

    def drain(self) -> None:
        """Read on, within bounds, so that the client gets to read a refusal instead of a broken connection.

        Chromium reports status 0 for an answer that arrives while it is still sending (docs/protocol.md, section 2.4).
        """
        if self.is_parsed:
            return
        drained, deadline = 0, time.monotonic() + DRAIN_SECONDS
        try:
            while drained < DRAIN_BYTES and time.monotonic() < deadline and (data := self.read(_READ_SIZE)):
                drained += len(data)
        except TruncatedBody:
            return

    def _read(self, size: int) -> bytes:
        try:
            return self._request.read(size)
        except UnreadablePostError as error:
            raise TruncatedBody from error


def _is_parsed(request: HttpRequest) -> bool:
    """Whether somebody before us has read the body as a form (`request.POST`) and left nothing to read."""
    seen = request.__dict__
    is_form = request.content_type == "multipart/form-data"
    return request.method == "POST" and is_form and "_files" in seen and "_body" not in seen


def _content_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or ""
    if text:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise BadBody("The Content-Length is not a number.")
        return int(text)
    if "HTTP_TRANSFER_ENCODING" in request.META or (request.content_type or "").startswith("multipart/"):
        raise LengthRequired
    # Neither header means no body in HTTP/1.1, but not in HTTP/2: look. Django itself hides what WSGI would give.
    stream = request.META.get("wsgi.input", request)
    if request.method in ("POST", "PUT", "PATCH") and stream.read(1):
        raise LengthRequired
    return 0
