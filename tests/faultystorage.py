"""A storage that misbehaves at one call site, in one way, until it is healed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import IO, Any, ClassVar

from django.core.files.base import ContentFile, File

from storages_for_tests import MinimalStorage

STAGED = ".fineuploader/"


class FaultyStorage(MinimalStorage):
    """`planned` says what to raise at which site; "forgets" and "renames" there are ways to save badly instead."""

    planned: ClassVar[dict[str, Callable[[], Exception] | str]] = {}
    met: ClassVar[int] = 0

    @classmethod
    def break_at(cls, site: str, fault: Callable[[], Exception] | str) -> None:
        cls.planned, cls.met = {site: fault}, 0

    @classmethod
    def heal(cls) -> None:
        cls.planned = {}

    def _save(self, name: str, content: IO[Any]) -> str:
        site = self._named("save", name)
        self._meet(site)
        if self._is(site, "forgets"):
            return name
        return super()._save(f"{name}_" if self._is(site, "renames") else name, content)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        self._meet(self._named("open", name))
        file = super()._open(name, mode)
        return _Interrupted(file.read(), name, self) if name.startswith(STAGED) else file

    def delete(self, name: str) -> None:
        self._meet(self._named("delete", name))
        super().delete(name)

    def exists(self, name: str) -> bool:
        self._meet("exists")
        return super().exists(name)

    def size(self, name: str) -> int:
        self._meet("size")
        return super().size(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self._meet("listdir")
        inside = [name for name in self.contents if posixpath.dirname(name) == path]
        return [], [posixpath.basename(name) for name in inside]

    def meet_read(self) -> None:
        self._meet("read")

    def _meet(self, site: str) -> None:
        fault = self.planned.get(site)
        if callable(fault):
            type(self).met += 1
            raise fault()

    def _is(self, site: str, fault: str) -> bool:
        hit = self.planned.get(site) == fault
        type(self).met += hit
        return hit

    @staticmethod
    def _named(verb: str, name: str) -> str:
        return f"{verb} a chunk" if name.startswith(STAGED) else f"{verb} the file"


class _Interrupted(ContentFile):  # type: ignore[type-arg]
    """A staged object whose second half may not be readable."""

    def __init__(self, data: bytes, name: str, storage: FaultyStorage) -> None:
        super().__init__(data, name)
        self._storage, self._half = storage, len(data) // 2

    def read(self, size: int = -1) -> bytes:
        if self.tell() >= self._half:
            self._storage.meet_read()
        data: bytes = self.file.read(min(size, self._half) if self.tell() < self._half else size)
        return data
