"""Places that are unlike a developer's machine: a store far away, and a disk with hardly any room."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import FileSystemStorage

from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.backends.storage import PREFIX
from livesite.recorder import append_line


class SlowStorage(FileSystemStorage):
    """Needs so many seconds for a chunk and for a finished file, whatever their sizes, and keeps a record of those."""

    def __init__(self, *, chunk_seconds: float = 0, file_seconds: float = 0, **options: Any) -> None:
        super().__init__(**options)
        self._chunk_seconds = chunk_seconds
        self._file_seconds = file_seconds

    def _save(self, name: str, content: IO[Any]) -> str:
        from livesite import settings

        is_chunk = name.startswith(PREFIX)
        time.sleep(self._chunk_seconds if is_chunk else self._file_seconds)
        saved: str = super()._save(name, content)  # type: ignore[misc]
        if not is_chunk:
            append_line(settings.FOLDER / "saves.jsonl", {"name": saved})
        return saved


class SmallDisk(FileSystemBackend):
    """Has its storage's folder on a disk of 10 000 bytes."""

    SIZE = 10_000

    def free_space(self) -> int:
        """Count what is there."""
        sizes = 0
        for folder, _, names in os.walk(self.storage.location):  # passes over a folder that has gone meanwhile
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    sizes += Path(folder, name).stat().st_size
        return self.SIZE - sizes
