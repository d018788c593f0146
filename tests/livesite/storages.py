"""A storage far away: it takes its time over everything that it saves, and a record is kept of that."""

from __future__ import annotations

import time
from typing import IO, Any

from django.core.files.storage import FileSystemStorage

from fineuploader_receiver.backends.storage import PREFIX
from livesite.recorder import append_line


class SlowStorage(FileSystemStorage):
    """Needs so many seconds for a chunk and for a finished file, whatever their sizes."""

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
