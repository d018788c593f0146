"""Chunks as objects in any Django storage, joined by one `save()` that reads through them.

Only the storage API is used: `save`, `open`, `delete`, and `listdir` and `size` where there are any. Nothing is ever
saved twice under one name: each attempt has a fresh one, and what `save` returns is the name that counts.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import posixpath
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage

from ..logs import get_logger
from .base import NO_SPACE, Backend, BackendFailed, ChunkWriter, OutOfSpace, Plan, Staging, StagingLost, StoredChunk

logger = get_logger(__name__)

T = TypeVar("T")

PREFIX = ".fineuploader"
SPOOL_SIZE = 2**20
"""Bytes of a chunk kept in memory; the rest is spooled to a temporary file until the chunk is whole."""

_FOLDER_NAME = re.compile(r"[0-9a-f]{32}\Z")
# The token of the attempt is in the name, also where the storage has put something in front of it or behind.
_CHUNK_NAME = re.compile(r"\.[0-9a-f]{32}")
# Stores without folders may list everything below a prefix, by whole names.
_PATH = re.compile(r"(?:^|/)\.fineuploader/([0-9a-f]{32})/[^/]+\Z")


class StorageBackend(Backend):
    """For any storage. A chunk that is being received is spooled locally and saved as one object when it is whole."""

    @property
    def durable(self) -> bool:  # type: ignore[override]
        """A store elsewhere outlives this host; files that a storage keeps here are as durable as we make them."""
        return self.durability == "chunk" or not isinstance(self.storage, FileSystemStorage)

    def begin(self, plan: Plan) -> Staging:
        return Staging(PREFIX, secrets.token_hex(16))

    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        name = posixpath.join(staging.root, staging.name, f"{index}.{token}")
        return StorageChunkWriter(self.storage, name, self.staging_dir, sync=self.durability == "chunk")

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        with contextlib.closing(ChunkReader(self.storage, chunks)) as reader:
            content = File(reader, name=name)  # type: ignore[arg-type]
            content.size = size
            actual = _asked(lambda: self.storage.save(name, content, max_length=512))
        try:
            self._check_kept(actual, size)
        except BaseException:
            # Nobody else knows the name that the storage chose.
            with contextlib.suppress(BackendFailed):
                self.retract(actual)
            raise
        return actual

    def _check_kept(self, name: str, size: int) -> None:
        kept = self._size(name)
        if kept is not None and kept != size:
            raise BackendFailed(f"The storage kept {kept} of {size} bytes.")
        if self.durability != "none":
            _asked(lambda: _sync(self.storage, name))

    def open(self, name: str) -> IO[Any]:
        # Some storages open in silence what is not there.
        if not _asked(lambda: self.storage.exists(name)):
            raise FileNotFoundError(name)
        return super().open(name)

    def retract(self, name: str) -> None:
        self._delete(name)
        folder = posixpath.dirname(name)
        if _FOLDER_NAME.match(posixpath.basename(folder)):
            _remove_folder(self.storage, folder)

    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        folder = posixpath.join(staging.root, staging.name)
        keys = {chunk.key for chunk in chunks} | {posixpath.join(folder, name) for name in self._names(folder)}
        for key in keys:
            self._delete(key)
        _remove_folder(self.storage, folder)
        return True

    def forget(self, staging: Staging, key: str) -> None:
        # Needed where the storage cannot list; elsewhere `discard` finds it anyway.
        if key:
            _delete_quietly(self.storage, key)

    def orphans(self, *, before: datetime.datetime) -> Iterator[Staging]:
        folders, names = self._list(PREFIX)
        flat = {match[1] for match in map(_PATH.search, names) if match}
        for name in sorted({*filter(_FOLDER_NAME.match, folders), *flat}):
            if self._is_older(posixpath.join(PREFIX, name), before):
                yield Staging(PREFIX, name)

    def check(self) -> list[str]:
        name = posixpath.join(PREFIX, "check", secrets.token_hex(16))
        try:
            name = self.storage.save(name, File(io.BytesIO(b"check"), name=name))
            with self.storage.open(name, "rb") as file:
                same = file.read() == b"check"
            self.storage.delete(name)
        except Exception as error:
            return [f"The storage did not save, open and delete an object: {error!r}."]
        return [] if same else ["The storage returned other bytes than it was given."]

    def _delete(self, name: str) -> None:
        """Whatever the storage raises, the deletion can be repeated; a full disk is no reason to tell of one."""
        try:
            self.storage.delete(name)
        except Exception as error:
            raise BackendFailed(repr(error)) from error

    def _names(self, folder: str) -> list[str]:
        """Names of our own making in an upload's folder, where the storage can list."""
        _, names = self._list(folder)
        return [name for name in map(posixpath.basename, names) if _CHUNK_NAME.search(name)]

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        try:
            return self.storage.listdir(folder)
        except (NotImplementedError, FileNotFoundError):
            return [], []
        except Exception as error:
            raise BackendFailed(repr(error)) from error

    def _is_older(self, folder: str, before: datetime.datetime) -> bool:
        names = [posixpath.join(folder, name) for name in self._names(folder)]
        if not names and isinstance(self.storage, FileSystemStorage):
            # Another backend's, or just being made.
            names = [folder]
        times = filter(None, map(self._last_change, names))
        return all(time.timestamp() < before.timestamp() for time in times)

    def _last_change(self, name: str) -> datetime.datetime | None:
        """When an object was saved; None where the storage does not tell, or the object has just been deleted."""
        try:
            return self.storage.get_modified_time(name)
        except (NotImplementedError, FileNotFoundError):
            return None
        except Exception as error:
            # Storages have words of their own for what is not there.
            if _asked(lambda: self.storage.exists(name)):
                raise BackendFailed(repr(error)) from error
            return None

    def _size(self, name: str) -> int | None:
        """How large the stored object is; None where the storage does not tell, or packs what it is given."""
        if getattr(self.storage, "gzip", False):
            return None
        try:
            return self.storage.size(name)
        except NotImplementedError:
            return None
        except Exception as error:
            raise BackendFailed(repr(error)) from error


class StorageChunkWriter(ChunkWriter):
    """Spools a chunk and saves it as one object when it is whole: `Storage.save` pulls, and cannot be pushed into."""

    def __init__(self, storage: Storage, name: str, spool_dir: str | None, *, sync: bool) -> None:
        self.key = name
        self._storage = storage
        self._sync = sync
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            SPOOL_SIZE, dir=spool_dir or settings.FILE_UPLOAD_TEMP_DIR
        )
        self._size = 0
        self._may_be_saved = False

    def write(self, data: bytes | memoryview) -> None:
        _asked(lambda: self._spool.write(data))
        self._size += len(data)

    def commit(self) -> str:
        # Before the save: a store may have taken what it then failed to answer.
        self._may_be_saved = True
        self.key = _asked(self._save)
        self._spool.close()
        if self._sync:
            _asked(lambda: _sync(self._storage, self.key))
        return self.key

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            # On a full disk closing fails to write what is still buffered.
            self._spool.close()
        if self._may_be_saved:
            _delete_quietly(self._storage, self.key)
            if isinstance(self._storage, FileSystemStorage):
                # The upload may be gone, and saving has made its folder anew. Others delete folders that are not empty.
                _remove_folder(self._storage, posixpath.dirname(self.key))

    def _save(self) -> str:
        self._spool.seek(0)
        content = File(self._spool, name=self.key)
        content.size = self._size
        return self._storage.save(self.key, content, max_length=255)


class ChunkReader(io.RawIOBase):
    """The chunks one after another as one seekable file; one chunk is open at a time.

    Raises StagingLost where a chunk is gone or shorter than it was. Seekable, because storages rewind what they
    are given: to measure it, to digest it, to send it again.
    """

    def __init__(self, storage: Storage, chunks: Sequence[StoredChunk]) -> None:
        self._storage = storage
        self._chunks = chunks
        self._size = sum(chunk.size for chunk in chunks)
        self._position = 0
        self._current = -1
        self._file: IO[Any] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size - self._position if size is None or size < 0 else size
        pieces = []
        while wanted > 0 and self._position < self._size:
            data = self._read_once(wanted)
            pieces.append(data)
            wanted -= len(data)
        return b"".join(pieces)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._close_current()
        super().close()

    def _read_once(self, wanted: int) -> bytes:
        number = self._find(self._position)
        chunk = self._chunks[number]
        within = self._position - chunk.offset
        try:
            data = self._read_chunk(number, within, min(wanted, chunk.size - within))
        except Exception as error:
            if self._is_gone(chunk.key, error):
                raise StagingLost(str(error)) from error
            raise
        if not data:
            raise StagingLost("A staged object is shorter than it was.")
        self._position += len(data)
        return data

    def _read_chunk(self, number: int, start: int, wanted: int) -> bytes:
        file = self._open(number)
        if file.tell() != start:
            file.seek(start)
        data: bytes = file.read(wanted)
        return data

    def _is_gone(self, key: str, error: Exception) -> bool:
        """Whether that is why. Some storages open in silence what is not there, and say so in words of their own."""
        if isinstance(error, FileNotFoundError):
            return True
        try:
            return not self._storage.exists(key)
        except Exception:
            return False

    def _find(self, position: int) -> int:
        low, high = 0, len(self._chunks)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._chunks[middle].offset <= position else (low, middle)
        return low

    def _open(self, number: int) -> IO[Any]:
        if self._current != number or self._file is None:
            self._close_current()
            self._file = self._storage.open(self._chunks[number].key, "rb")
            self._current = number
        return self._file

    def _close_current(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _remove_folder(storage: Storage, folder: str) -> None:
    """Where folders exist ours are left empty; elsewhere there is nothing of that name."""
    with contextlib.suppress(Exception):
        storage.delete(folder)


def _delete_quietly(storage: Storage, name: str) -> None:
    try:
        storage.delete(name)
    except Exception:
        logger.warning("A staged object could not be deleted; the purge will find it.", exc_info=True)


def _asked(call: Callable[[], T]) -> T:
    """Call the storage and turn whatever it raises into the contract's errors."""
    try:
        return call()
    except (StagingLost, OutOfSpace, BackendFailed):
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in NO_SPACE
        raise (OutOfSpace if full else BackendFailed)(repr(error)) from error


def _sync(storage: Storage, name: str) -> None:
    """Bring a file that the storage keeps on this host, and the folders on its way, to the disk."""
    if not isinstance(storage, FileSystemStorage):
        return
    path = Path(storage.path(name))
    for place in (path, *path.parents):
        fd = os.open(place, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        if place == Path(storage.location):
            return
