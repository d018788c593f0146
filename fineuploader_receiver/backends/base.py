"""The contract between the lifecycle and the bytes.

The lifecycle decides *whether* something happens, by rows; a backend makes it happen, and knows no rows. Duties:

* The lifecycle opens a writer before it claims the chunk's row, writes only after the claim succeeded, and marks the
  row stored only after `commit` returned. It calls `abort` where either fails, also after `commit`, and `forget` for
  an attempt whose claim it took over.
* It calls `assemble` only when every chunk is stored, possibly several times and from several processes at once, each
  time with a name that only this attempt uses; the loser calls `retract` with its own name.
* It calls `discard` after the row says COMPLETE, or when the upload is to vanish.

A backend never deletes staged bytes in `assemble`: until `discard`, an attempt that died can be repeated.
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
import errno
from collections.abc import Iterator, Sequence

from django.core.files.storage import Storage

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a backend says OutOfSpace."""


class StagingLost(Exception):
    """The staged bytes are not where they were: for the client, the upload is lost."""


class OutOfSpace(Exception):
    """There is no room for more bytes. What was staged before is intact."""


class BackendFailed(Exception):
    """The store did not do as asked. The call left nothing that counts; it may be repeated."""


@dataclasses.dataclass(frozen=True)
class Staging:
    """The place of one upload's partial bytes: the root of its backend at that time, and a name of its own."""

    root: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredChunk:
    """A chunk whose bytes are kept: `key` is what its writer's `commit` returned. Offsets and sizes are in bytes."""

    index: int
    offset: int
    size: int
    key: str


class ChunkWriter(abc.ABC):
    """Takes the bytes of one attempt at one chunk."""

    key: str
    """Names this attempt's bytes; recorded with the claim, so that they can be found if the process dies."""

    @abc.abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Raises OutOfSpace, StagingLost or BackendFailed; then only `abort` may follow."""

    @abc.abstractmethod
    def commit(self) -> str:
        """Keep the bytes, as durably as DURABILITY promises for a chunk, and return their key. Raises like `write`."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Forget the bytes, committed or not; again is fine. Never raises: what cannot go is left to `discard`."""


class Backend(abc.ABC):
    """Keeps the chunks of one receiver's uploads and turns them into files in `storage`."""

    #: Whether acknowledged chunks survive a power cut of the host that took them, whatever DURABILITY says.
    durable = True

    def __init__(self, storage: Storage, *, staging_dir: str | None = None, durability: str = "publish") -> None:
        self.storage = storage
        self.staging_dir = staging_dir
        self.durability = durability

    @abc.abstractmethod
    def begin(self) -> Staging:
        """Make an empty place for a new upload."""

    @abc.abstractmethod
    def open_chunk(self, staging: Staging, *, index: int, offset: int, token: str) -> ChunkWriter:
        """A writer for an attempt at a chunk. `token` is unique to the attempt. Raises StagingLost."""

    @abc.abstractmethod
    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        """Put the chunks, which cover exactly `size` bytes in order, into the storage; returns the name they got.

        The name is `name` unless the storage insists on another. Durable as DURABILITY promises when it returns. On
        any exception nothing that counts is left under the name (`retract` cleans up).
        """

    @abc.abstractmethod
    def retract(self, name: str) -> None:
        """Delete a file that `assemble` made, if it is there. Raises BackendFailed."""

    @abc.abstractmethod
    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        """Delete staged bytes; again is fine. True when none are left.

        After publishing (`published`), a backend whose file may share its bytes with the staging refuses, with False,
        while a writer that could still change them is alive. Raises BackendFailed.
        """

    def forget(self, staging: Staging, key: str) -> None:
        """Delete the bytes of an overtaken attempt, whose process may be dead, where `discard` would not find them.

        Never raises. `key` is what the attempt's writer said when it was opened.
        """
        return

    @abc.abstractmethod
    def orphans(self, *, before: datetime.datetime) -> Iterator[Staging]:
        """Places of our own making, last changed before `before`, whether or not an upload still names them.

        Raises BackendFailed.
        """

    def free_space(self) -> int | None:
        """Bytes that can still be staged, or None where there is no telling."""
        return None

    def check(self) -> list[str]:
        """What would keep this backend from working, each as a sentence for the site's owner; probes for real."""
        return []
