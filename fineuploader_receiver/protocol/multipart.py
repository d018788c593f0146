"""A reader for multipart/form-data bodies that hands file bytes on as they arrive (RFC 7578, RFC 2046).

Django's parser collects the whole body before a view sees a field. This one is pulled: `next_part` stops at each
part, so that the request can be judged by its fields before a byte of the file is read. It is strict where laxness
loses files: a body that ends before its closing delimiter is `TruncatedBody`, never a shorter file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import unquote

from ..exceptions import BadBody, BodyTooLarge, TruncatedBody

READ_SIZE = 2**18
"""Smaller reads cost more calls, and copies inside gunicorn; larger ones memory."""
MAX_PREAMBLE = 2**16
MAX_DISCARDED = 2**26
"""Bytes of parts that nobody wants: read as far as to let the client read the answer, and not without end."""
MAX_HEADER_SIZE = 1024
"""Django's limit for the headers of a part. The file's name, which a browser repeats there, is not counted."""
MAX_NAME_SIZE = 2**15
_MAX_KNOWN_HEAD = 256

_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)
_PARAMETER = re.compile(rb';[ \t]*([A-Za-z0-9_*-]+)[ \t]*=[ \t]*(?:"((?:\\"|[^"])*)"|([^\s;"]*))')


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, empty at the end."""


class Part:
    """One part. Its content must be read (`chunks`) before the reader moves on; moving on discards the rest."""

    def __init__(self, name: str, filename: str | None, content_type: str, chunks: Iterator[memoryview]) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.chunks = chunks


def find_boundary(content_type: str) -> bytes:
    """The boundary that a Content-Type header names. Raises BadBody where it is missing or not one."""
    match = _BOUNDARY.search(content_type)
    boundary = (match[1] or match[2]) if match else ""
    if not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise BadBody("The form's boundary is missing.")
    return boundary.encode("ascii")


class MultipartReader:
    """Reads a body part by part: memory is two read buffers, whatever the sizes of parts.

    Raises BadBody for what is not multipart/form-data, TruncatedBody where the stream ends before the closing
    delimiter, and BodyTooLarge where parts that nobody reads are too long.
    """

    def __init__(self, stream: Readable, boundary: bytes) -> None:
        self._stream = stream
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no line break of its own in front.
        self._buffer, self._start = b"\r\n", 0
        self._part: Part | None = None
        self._started = False
        self._discarded = 0

    def next_part(self) -> Part | None:
        """The next part, or None after the closing delimiter (what follows that is left unread)."""
        if not self._started:
            self._skip_preamble()
        elif self._part is not None:
            self._discard(self._part)
        self._part = None
        if self._at_end():
            return None
        self._part = self._open_part()
        return self._part

    def take_whole(self) -> bytes | None:
        """The content of the part that was returned last, where all of it is in the buffer; else None."""
        end = self._find(self._delimiter)
        if end < 0:
            return None
        content = self._buffer[self._start : end]
        self._start = end + len(self._delimiter)
        self._part = None
        return content

    def is_last(self, size: int, left: int) -> bool:
        """Whether a part of `size` bytes would end the body, of which the stream has `left` bytes more to give."""
        behind = len(self._buffer) - self._start + left - size - len(self._delimiter)
        return behind in (len(b"--"), len(b"--\r\n"))

    def read_last(self, size: int) -> Iterator[memoryview]:
        """The content of the part that was returned last, where its size is known from elsewhere.

        Reads by length and does not search: the delimiter must stand right behind, or this raises BadBody. What is
        written from it begins and ends where pages of a file do.
        """
        self._part = None
        done = 0
        while done < size:
            if self._start == len(self._buffer):
                self._fill(have=done % READ_SIZE)
            data = memoryview(self._buffer)[self._start : self._start + size - done]
            self._start += len(data)
            done += len(data)
            yield data
        if not self._starts_with(self._delimiter):
            raise BadBody("The file is not followed by the form's boundary.")
        self._start += len(self._delimiter)

    def _discard(self, part: Part) -> None:
        for data in part.chunks:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED:
                raise BodyTooLarge

    def _skip_preamble(self) -> None:
        self._started = True
        skipped = 0
        for data in self._until_delimiter():
            skipped += len(data)
            if skipped > MAX_PREAMBLE:
                raise BadBody("The form does not begin with its boundary.")

    def _until_delimiter(self) -> Iterator[memoryview]:
        while (end := self._find(self._delimiter)) < 0:
            settled = self._settled()
            if settled > self._start:
                data = memoryview(self._buffer)[self._start : settled]
                self._start = settled
                yield data
            self._fill()
        data = memoryview(self._buffer)[self._start : end]
        self._start = end + len(self._delimiter)
        if data:
            yield data

    def _settled(self) -> int:
        """Up to where a buffer without a delimiter cannot be the beginning of one either: almost always its end."""
        buffer = self._buffer
        start = buffer.find(b"\r", max(self._start, len(buffer) - len(self._delimiter) + 1))
        while start >= 0 and not self._delimiter.startswith(buffer[start:]):
            start = buffer.find(b"\r", start + 1)
        return start if start >= 0 else len(buffer)

    def _find(self, what: bytes) -> int:
        return self._buffer.find(what, self._start)

    def _fill(self, *, have: int = 0) -> None:
        """Read on, up to where READ_SIZE bytes are complete with those that are there."""
        data = self._stream.read(READ_SIZE - have)
        if not data:
            raise TruncatedBody
        rest = self._buffer[self._start :]
        self._buffer = rest + data if rest else data
        self._start = 0

    def _starts_with(self, what: bytes) -> bool:
        while len(self._buffer) - self._start < len(what):
            self._fill()
        return self._buffer.startswith(what, self._start)

    def _at_end(self) -> bool:
        if self._starts_with(b"--"):
            return True
        if self._take_until(b"\r\n", MAX_HEADER_SIZE).strip(b" \t"):
            raise BadBody("The form's boundary is not followed by a line break.")
        return False

    def _take_until(self, end: bytes, limit: int) -> bytes:
        while (position := self._find(end)) < 0:
            if len(self._buffer) - self._start > limit + len(end):
                raise BadBody("A part of the form has too long headers.")
            self._fill()
        taken = self._buffer[self._start : position]
        self._start = position + len(end)
        return taken

    def _open_part(self) -> Part:
        if self._starts_with(b"\r\n"):
            raise BadBody("A part of the form has no name.")
        block = self._take_until(b"\r\n\r\n", MAX_HEADER_SIZE + MAX_NAME_SIZE)
        return Part(*(_known_head if len(block) <= _MAX_KNOWN_HEAD else _read_head)(block), self._until_delimiter())


def _read_head(block: bytes) -> tuple[str, str | None, str]:
    """The name, the file's name (None for a field) and the content type that a part's headers say."""
    headers = _headers(block)
    disposition = headers.get(b"content-disposition", b"")
    kind, _, _ = disposition.partition(b";")
    parameters = _parameters(disposition)
    if kind.strip().lower() != b"form-data" or not parameters.get("name"):
        raise BadBody("A part of the form has no name.")
    if len(block) - len(parameters.get("filename", "").encode("utf-8", "replace")) > MAX_HEADER_SIZE:
        raise BadBody("A part of the form has too long headers.")
    if headers.get(b"content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
        raise BadBody("A part of the form has a transfer encoding.")
    return parameters["name"], parameters.get("filename"), headers.get(b"content-type", b"").decode("latin-1")


# The chunks of an upload, and those of other uploads, begin with the same few parts.
_known_head = functools.lru_cache(maxsize=128)(_read_head)


def _headers(block: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        if not colon:
            raise BadBody("A part of the form has a header that is none.")
        headers[key.strip().lower()] = value.strip()
    return headers


def _parameters(disposition: bytes) -> dict[str, str]:
    """The parameters of a Content-Disposition header; `name*` (RFC 8187) wins over `name`."""
    found: dict[str, str] = {}
    extended: dict[str, str] = {}
    for key, quoted, plain in _PARAMETER.findall(disposition):
        name = key.decode("ascii").lower()
        if name.endswith("*"):
            charset, _, encoded = plain.decode("latin-1").partition("'")
            extended[name[:-1]] = _decode_extended(charset, encoded.partition("'")[2])
        else:
            found.setdefault(name, (quoted.replace(b'\\"', b'"') or plain).decode("utf-8", "replace"))
    return found | extended


def _decode_extended(charset: str, encoded: str) -> str:
    if charset.lower() not in ("utf-8", "iso-8859-1"):
        raise BadBody("A part of the form has a name in an unknown encoding.")
    return unquote(encoded, encoding=charset, errors="replace")
