"""A disk that fails at one call of the file system backend's: once, or from there on until it is healed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

CALLS = (
    "chmod",
    "close",
    "dup",
    "fchmod",
    "fstat",
    "fsync",
    "link",
    "lseek",
    "makedirs",
    "mkdir",
    "open",
    "pwrite",
    "rename",
    "rmdir",
    "scandir",
    "sendfile",
    "stat",
    "unlink",
)


class FaultyDisk:
    """Stands for the module ``os``. ``made`` lists the calls, of which number ``fails_at`` raises ``number``."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails_at = -1
        self.number = 0
        self.lasts = False
        self.elsewhere: int | None = None

    def break_at(self, call: int, number: int, *, lasts: bool) -> None:
        self.made.clear()
        self.fails_at, self.number, self.lasts = call, number, lasts

    def heal(self) -> None:
        self.fails_at = -1

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._faulty(name, real) if name in CALLS else real

    def _faulty(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.made.append(name)
            if name == "link" and self.elsewhere is not None:
                raise OSError(self.elsewhere, "the two places share no file")
            if not self._is_broken(name):
                return real(*arguments, **options)
            if name == "close":
                # The system tells what it could not write, and the descriptor is closed all the same.
                real(*arguments)
            raise OSError(self.number, "a fault in /secret/place")

        return call

    def _is_broken(self, name: str) -> bool:
        if self.fails_at < 0 or len(self.made) <= self.fails_at:
            return False
        return len(self.made) == self.fails_at + 1 or (self.lasts and name == self.made[self.fails_at])
