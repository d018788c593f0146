"""What a request says and what is answered, without HTTP: frozen values that pass between the layers."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadMessage:
    """A simple upload or one chunk. A simple upload is chunk 0 of 1, with `chunked` False.

    `size` is the number of file bytes this request announces, None where it does not (form uploads). `chunk_size` is
    the nominal size of the upload's chunks, a float because the client's may be one; None where nothing tells it.
    `done_request` is what the page's marker says about the success request, None without a marker.
    """

    uuid: uuid.UUID
    wire_uuid: str
    filename: str
    content_type: str = ""
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    total_size: int | None = None
    total_chunks: int = 1
    index: int = 0
    offset: int = 0
    size: int | None = None
    chunk_size: float | None = None
    chunked: bool = False
    resumed: bool = False
    done_request: bool | None = None
    digest: str | None = None
    body_size: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoneMessage:
    """The success request. Totals are None where the page's own parameters left them out."""

    uuid: uuid.UUID
    wire_uuid: str
    filename: str = ""
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    total_size: int | None = None
    total_chunks: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeleteMessage:
    uuid: uuid.UUID
    wire_uuid: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was done: `complete` says whether the whole file is in its storage now."""

    complete: bool
