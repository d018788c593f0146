"""Storages that a site might have: one without paths, and one that fails when told to."""

from __future__ import annotations

import io
from typing import IO, Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage


class MinimalStorage(Storage):
    """The least that Django asks of a storage: no paths, no listing, no addresses, no times.

    ``contents`` is a bucket that outlives the instance, as a remote store would; tests empty it.
    """

    contents: dict[str, bytes] = {}

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        if name not in self.contents:
            raise FileNotFoundError(name)
        return ContentFile(self.contents[name], name)

    def _save(self, name: str, content: IO[Any]) -> str:
        kept = io.BytesIO()
        for piece in File(content).chunks():
            kept.write(piece)
        self.contents[name] = kept.getvalue()
        return name

    def delete(self, name: str) -> None:
        self.contents.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.contents

    def size(self, name: str) -> int:
        return len(self.contents[name])


class TwoSpellings(MinimalStorage):
    """Answers a save with another spelling of the name, and knows both."""

    def _save(self, name: str, content: IO[Any]) -> str:
        return f"./{super()._save(name.removeprefix('./'), content)}"

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return super()._open(name.removeprefix("./"), mode)

    def delete(self, name: str) -> None:
        super().delete(name.removeprefix("./"))

    def exists(self, name: str) -> bool:
        return super().exists(name.removeprefix("./"))

    def size(self, name: str) -> int:
        return super().size(name.removeprefix("./"))


class FailingStorage(MinimalStorage):
    """Refuses to save while ``failing``, after it has read what it was given."""

    failing = True

    def _save(self, name: str, content: IO[Any]) -> str:
        if self.failing:
            content.read()
            raise OSError("the store of /secret/place is away")
        return super()._save(name, content)
