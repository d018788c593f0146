"""The contract between the lifecycle and the bytes.

The lifecycle decides *whether* something happens, by rows; a backend makes it happen, and knows no rows. Duties:

* The lifecycle asks a backend whether an upload `suits` it before `begin`, and the row remembers which one it got.
* The lifecycle opens a writer before it claims the chunk's row, writes only after the claim succeeded, and marks the
  row stored only after `commit` returned; then it calls `close`. It calls `abort` where either fails, also after
  `commit`. Of several attempts at one chunk the first one that is whole counts, whoever claimed last, so each must keep
  its bytes where no other attempt writes, until `close`. `forget` is called for attempts that nobody will name again.
* It calls `assemble` only when every chunk is stored, possibly several times and from several processes at once, each
  time with a name that only this attempt uses; the loser calls `retract` with its own name. A backend of `fixed_name`
  gets the name that `begin` got, every time, and is asked to `retract` only when the upload is to vanish.
* It calls `discard` after the row says COMPLETE, or when the upload is to vanish; then `retract` follows.

A backend never deletes staged bytes in `assemble`: until `discard`, an attempt that died can be repeated.
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
import errno
from collections.abc import Iterator, Sequence
from typing import IO, Any, ClassVar

from django.core.files.storage import Storage

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a backend says OutOfSpace."""


class StagingLost(Exception):
    """The staged bytes are not where they were: for the client, the upload is lost."""


class OutOfSpace(Exception):
    """There is no room for more bytes. What was staged before is intact."""


class BackendFailed(Exception):
    """The store did not do as asked. The call left nothing that counts; it may be repeated."""


class TooManyParts(Exception):
    """The upload has more chunks than the store can keep for one file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known of an upload at its first request.

    `name` is a fresh final name, `<upload_to>/<32 hexadecimal digits>/<cleaned file name>`, for backends of
    `fixed_name` alone. Sizes are in bytes; `total_size` is None where the page does not tell, `chunk_size` is the
    nominal size, None where one chunk is all.
    """

    name: str = ""
    total_size: int | None = None
    total_chunks: int = 1
    chunk_size: float | None = None


@dataclasses.dataclass(frozen=True)
class Staging:
    """The place of one upload's partial bytes: the root of its backend at that time, and a name of its own.

    The name is 32 hexadecimal digits. `handle` is what the backend itself has to remember of the place; it may say more
    for a place that was just made than for one that was found again, and makes no difference between places.
    """

    root: str
    name: str
    handle: str = dataclasses.field(default="", compare=False)


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

    def close(self) -> None:
        """Let other attempts have the place: the row says by now whose bytes count. Again is fine; never raises."""
        return


class Backend(abc.ABC):
    """Keeps the chunks of one receiver's uploads and turns them into files in `storage`."""

    #: Whether acknowledged chunks survive a power cut of the host that took them, whatever DURABILITY says.
    durable = True

    #: Whether the file comes into being under the planned name, whichever attempt completes it. Then the staging bears
    #: the name of the folder in the planned name.
    fixed_name: ClassVar[bool] = False

    #: Bytes that every chunk but the last should have, and how many chunks a file may have: what pages are told.
    smallest_chunk: ClassVar[int] = 1
    most_chunks: ClassVar[int | None] = None

    #: The dotted path of the backend for uploads that do not suit this one; empty where all do.
    fallback: ClassVar[str] = ""

    def __init__(self, storage: Storage, *, staging_dir: str | None = None, durability: str = "publish") -> None:
        self.storage = storage
        self.staging_dir = staging_dir
        self.durability = durability

    def suits(self, plan: Plan) -> bool:
        """Whether this backend can take such an upload; else `fallback` takes it. Asks nobody.

        Raises TooManyParts where neither can.
        """
        return True

    @abc.abstractmethod
    def begin(self, plan: Plan) -> Staging:
        """Make an empty place for a new upload. Raises OutOfSpace or BackendFailed."""

    @abc.abstractmethod
    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        """A writer for an attempt at a chunk of `size` bytes, None where the request does not tell.

        `token` is unique to the attempt. Raises StagingLost, OutOfSpace or BackendFailed.
        """

    @abc.abstractmethod
    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        """Put the chunks, which cover exactly `size` bytes in order, into the storage; returns the name they got.

        The name is `name` unless the storage insists on another. Durable as DURABILITY promises when it returns. On
        any exception nothing that counts is left under the name (`retract` cleans up).
        """

    def open(self, name: str) -> IO[Any]:
        """Open a finished file for reading, at its start and seekable. Raises FileNotFoundError, or OSError.

        Reading the first bytes must not cost reading the file.
        """
        return self.storage.open(name, "rb")

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
        """Delete the bytes of an attempt that came too late, or died, where `discard` would not find them.

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
