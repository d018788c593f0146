"""A file on its way: what the page knows about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fakeuploader.javascript import BrowserFile, Params


@dataclass(frozen=True)
class Chunk:
    """One slice: ``start`` and ``size`` are what the client says, the file's length is what it sends."""

    index: int
    start: float
    size: float
    file: BrowserFile


@dataclass(kw_only=True)
class ClientUpload:
    """A file that was added to the uploader, and how far it got."""

    file: BrowserFile
    uuid: str
    name: str
    part_size: float
    chunked: bool
    params: Params | None = None
    read_only: Params = field(default_factory=dict)
    remaining: list[int] = field(default_factory=list)
    resuming: bool = False

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def total_parts(self) -> int:
        return math.ceil(self.size / self.part_size)

    def chunk(self, index: int) -> Chunk:
        start = self.part_size * index
        end = min(start + self.part_size, self.size)
        return Chunk(index, start, end - start, self.file.slice(start, end))

    def restart(self) -> None:
        """Begin again at chunk 0 under the same uuid, as a ``reset`` orders."""
        self.remaining = list(range(self.total_parts)) if self.chunked else []
        self.resuming = False


@dataclass(frozen=True, kw_only=True)
class ChunkOverrides:
    """What a page's ``onUploadChunk`` may resolve with; ``headers`` replace every header of the client's own."""

    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] | None = None
    method: str | None = None
    endpoint: str | None = None
