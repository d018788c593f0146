"""Bytes from a thread that pushes them to one that pulls them, a few buffers at a time."""

from __future__ import annotations

import collections
import threading

CAPACITY = 2**20
"""Bytes that may wait in a pipe."""


class PipeBroken(Exception):
    """The other side has given up."""


class Pipe:
    """A file for reading, for clients of stores that pull, fed by `push`.

    Either side may `break_off`; then the other one's next call, or the one it waits in, raises PipeBroken.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._pieces: collections.deque[memoryview] = collections.deque()
        self._waiting = 0
        self._ended = False
        self._broken = False

    def push(self, data: bytes) -> None:
        """Hand over bytes, as soon as there is room for more."""
        if not data:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._waiting < self._capacity)
            self._check()
            self._pieces.append(memoryview(data))
            self._waiting += len(data)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that nothing follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def break_off(self) -> None:
        """Give up, whatever the other side is waiting for."""
        with self._changed:
            self._broken = True
            self._pieces.clear()
            self._changed.notify_all()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, as soon as there are any; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._pieces or self._ended)
            self._check()
            if not self._pieces:
                return b""
            first = self._pieces.popleft()
            taken = first if size < 0 else first[:size]
            if len(taken) < len(first):
                self._pieces.appendleft(first[len(taken) :])
            self._waiting -= len(taken)
            self._changed.notify_all()
            return bytes(taken)

    def _check(self) -> None:
        if self._broken:
            raise PipeBroken
