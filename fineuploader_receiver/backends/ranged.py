"""Reading an object of a remote store by ranges: seekable, in constant memory, and no more of it than is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from django.core.files.base import File

FIRST_RANGE = 64 * 1024
"""Bytes of the first request, and of each one after a jump: enough to tell a type."""

LONGEST_RANGE = 4 * 2**20
"""Whoever reads on gets twice as much with every request, up to this: what is kept in memory."""

ReadRange = Callable[[int, int], bytes]
"""Returns the bytes from one position up to, not including, another. Raises OSError."""


def open_ranged(name: str, *, size: int, read_range: ReadRange) -> File[Any]:
    """A file for reading over an object of `size` bytes."""
    file: File[Any] = File(io.BufferedReader(RangedReader(size=size, read_range=read_range)), name=name)
    file.size = size
    return file


class RangedReader(io.RawIOBase):
    """The object as a raw stream; it remembers the range that was read last."""

    def __init__(self, *, size: int, read_range: ReadRange) -> None:
        self._size = size
        self._read_range = read_range
        self._position = 0
        self._start = 0
        self._range = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        if self._position >= self._size:
            return 0
        if not self._start <= self._position < self._start + len(self._range):
            self._fetch()
        within = self._position - self._start
        data = self._range[within : within + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _fetch(self) -> None:
        goes_on = self._range and self._position == self._start + len(self._range)
        length = min(2 * len(self._range), LONGEST_RANGE) if goes_on else FIRST_RANGE
        end = min(self._position + length, self._size)
        data = self._read_range(self._position, end)
        if len(data) != end - self._position:
            raise OSError(f"The store sent {len(data)} of {end - self._position} bytes.")
        self._start, self._range = self._position, data
