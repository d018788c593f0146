"""Chunks at their offsets in one staged file, published by a link: no byte is written twice or copied.

Two attempts at one chunk must never write to the same place. Open file description locks on the staged file, one byte
per chunk index, decide: who holds the lock writes in place, everybody else into a file of its own. The kernel frees
a lock when its process dies, however it dies, and keeps it while the process is merely stopped, so a lock that can be
taken proves that its writer is gone. Assembling takes the locks of all indexes at once: with them the staged file is
linked to its final name; where a writer that was overtaken is still alive, the bytes go into a fresh file instead.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import functools
import math
import os
import re
import secrets
import struct
from collections.abc import Iterator, Sequence

from django.core.files.storage import FileSystemStorage

from .base import NO_SPACE, Backend, BackendFailed, ChunkWriter, OutOfSpace, Plan, Staging, StagingLost, StoredChunk

FOLDER = ".fineuploader"
DATA = "data"

_FOLDER_NAME = re.compile(r"[0-9a-f]{32}\Z")
_FILE_NAME = re.compile(r"(data|[0-9]+\.[0-9a-f]{32})\Z")
_PARTIAL = ".partial"
_EARLY_STEP = 16 * 2**20
"""So many bytes at a time: each call costs as much CPU as a small chunk does."""
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_LAST_INDEX = 2**40
_SHARED = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "lustre",
    "ocfs2",
    "gfs2",
}


class FileSystemBackend(Backend):
    """For `FileSystemStorage`. Staging is a folder of mode 0700 in the storage's own location, or STAGING_DIR.

    Each upload has a folder of its own there, with the staged file `data` and a file for each attempt that could not
    write in place.
    """

    storage: FileSystemStorage

    @property
    def durable(self) -> bool:  # type: ignore[override]
        return self.durability == "chunk"

    @property
    def root(self) -> str:
        return self.staging_dir or os.path.join(self.storage.location, FOLDER)

    def begin(self, plan: Plan) -> Staging:
        staging = Staging(self.root, secrets.token_hex(16))
        with _translated():
            os.makedirs(staging.root, mode=0o700, exist_ok=True)
            os.mkdir(_folder(staging), 0o700)
            os.close(os.open(_data(staging), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._staged_mode()))
            if self.durable:
                _sync_folder(_folder(staging))
                _sync_folder(staging.root)
                _sync_parent(os.path.dirname(staging.root))
        return staging

    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        with _translated(), contextlib.ExitStack() as opened:
            fd = os.open(_data(staging), os.O_WRONLY | os.O_CLOEXEC)
            opened.callback(os.close, fd)
            # The file may have been published between the look at the row and the lock: only a file that is still
            # staged after the lock was taken may be written to.
            if _lock(fd, index, 1) and _same_file(fd, _data(staging)):
                opened.pop_all()
                return FileChunkWriter(fd, offset=offset, durability=self.durability)
            key = f"{index}.{token}"
            path = os.path.join(_folder(staging), key)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._staged_mode())
            return FileChunkWriter(fd, offset=0, durability=self.durability, path=path, key=key)

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        target = self.storage.path(name)
        with _translated(), _opened(_data(staging), os.O_RDWR) as fd:
            alone = _lock(fd, 0, _LAST_INDEX)
            if alone:
                self._merge(staging, chunks, fd)
                self._seal_staged(fd, size)
            made = self._make_folders(os.path.dirname(target))
            if not (alone and _link(_data(staging), target)):
                self._copy(staging, chunks, fd, target, size)
            if self.durability != "none":
                self._sync_way(made)
        return name

    def retract(self, name: str) -> None:
        path = self.storage.path(name)
        try:
            for leftover in (path, _partial(path)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(leftover)
            with contextlib.suppress(OSError):
                # The folder with the random name holds this file alone.
                os.rmdir(os.path.dirname(path))
        except OSError as error:
            raise BackendFailed(str(error)) from error

    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        try:
            with _opened(_data(staging), os.O_WRONLY) as fd:
                # Once the path is gone no writer can pass its own check, so those that hold a lock now are the last.
                if published and not _lock(fd, 0, _LAST_INDEX):
                    return False
                os.unlink(_data(staging))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BackendFailed(str(error)) from error
        return self._remove_folder(staging)

    def orphans(self, *, before: datetime.datetime) -> Iterator[Staging]:
        try:
            with os.scandir(self.root) as entries:
                for entry in entries:
                    if _FOLDER_NAME.match(entry.name) and entry.is_dir(follow_symlinks=False):
                        if _last_change(entry.path) < before.timestamp():
                            yield Staging(self.root, entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise BackendFailed(str(error)) from error

    def free_space(self) -> int | None:
        for path in (self.root, self.storage.location):
            with contextlib.suppress(OSError):
                state = os.statvfs(path)
                return state.f_bavail * state.f_frsize
        return None

    def check(self) -> list[str]:
        try:
            staging = self.begin(Plan())
            try:
                writer = self.open_chunk(staging, index=0, offset=0, size=5, token=secrets.token_hex(16))
                writer.write(b"check")
                writer.commit()
            finally:
                self.discard(staging, (), published=False)
        except (OSError, BackendFailed, OutOfSpace, StagingLost) as error:
            return [f"Nothing can be staged in the staging folder: {error}."]
        return self._check_sharing()

    def _check_sharing(self) -> list[str]:
        kind = _file_system(self.root)
        if kind not in _SHARED or self.durable:
            return []
        return [f'The staging folder is on {kind}; where several hosts share it, DURABILITY must be "chunk".']

    def _staged_mode(self) -> int:
        """Private until published, unless the storage leaves modes to the umask, which only applies at creation."""
        return 0o666 if self.storage.file_permissions_mode is None else 0o600

    def _merge(self, staging: Staging, chunks: Sequence[StoredChunk], fd: int) -> None:
        """Bring chunks that were written elsewhere to their place. May be repeated."""
        for chunk in chunks:
            if chunk.key:
                with _opened(os.path.join(_folder(staging), chunk.key), os.O_RDONLY) as source:
                    os.lseek(fd, chunk.offset, os.SEEK_SET)
                    _transfer(source, 0, chunk.size, fd)

    def _seal_staged(self, fd: int, size: int) -> None:
        """Like `_seal`; what the system could not write is lost with its pages, and a second fsync would not say so."""
        try:
            self._seal(fd, size)
        except OSError as error:
            raise StagingLost(f"The staged file could not be flushed: {error}") from error

    def _seal(self, fd: int, size: int) -> None:
        if os.fstat(fd).st_size != size:
            raise StagingLost("The staged file does not have the size of the upload.")
        if self.storage.file_permissions_mode is not None:
            os.fchmod(fd, self.storage.file_permissions_mode)
        if self.durability != "none":
            os.fsync(fd)

    def _copy(self, staging: Staging, chunks: Sequence[StoredChunk], fd: int, target: str, size: int) -> None:
        """Write a fresh file beside its final name and rename it: the final name never holds a part of the file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        copy = os.open(_partial(target), flags, self._staged_mode())
        try:
            for chunk in chunks:
                if chunk.key:
                    with _opened(os.path.join(_folder(staging), chunk.key), os.O_RDONLY) as source:
                        _transfer(source, 0, chunk.size, copy)
                else:
                    _transfer(fd, chunk.offset, chunk.size, copy)
            self._seal(copy, size)
        finally:
            os.close(copy)
        os.rename(_partial(target), target)

    def _sync_way(self, changed: list[str]) -> None:
        """Flush the folders that we changed, and the entries of those above, which others may just have made."""
        for folder in changed:
            _sync_folder(folder)
        folder = changed[-1]
        while folder.startswith(os.path.join(self.storage.location, "")):
            _sync_entry(*_entry(folder))
            folder = os.path.dirname(folder)

    def _make_folders(self, folder: str) -> list[str]:
        """Make a folder and its parents, and return every folder whose entries changed, deepest first."""
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        changed = [folder]
        mode = self.storage.directory_permissions_mode
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
                if mode is not None:
                    os.chmod(path, mode)
            changed.insert(0, path)
        return changed

    def _remove_folder(self, staging: Staging) -> bool:
        """Delete what we made in an upload's folder, and the folder when nothing else is in it."""
        folder = _folder(staging)
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if _FILE_NAME.match(entry.name)]
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise BackendFailed(str(error)) from error
        return True


class FileChunkWriter(ChunkWriter):
    """Writes at an offset: of the staged file, whose lock it holds until it is closed, or of a file of its own."""

    def __init__(self, fd: int, *, offset: int, durability: str, path: str = "", key: str = "") -> None:
        self.key = key
        self._fd = fd
        self._position = offset
        self._step = offset // _EARLY_STEP
        self._durability = durability
        self._path = path

    def write(self, data: bytes | memoryview) -> None:
        with _translated():
            written = os.pwrite(self._fd, data, self._position)
            self._position += written
            while written < len(data):
                more = os.pwrite(self._fd, memoryview(data)[written:], self._position)
                self._position += more
                written += more
            if self._position // _EARLY_STEP > self._step:
                self._write_out_early()

    def commit(self) -> str:
        with _translated():
            if self._durability == "chunk":
                os.fsync(self._fd)
                if self._path:
                    _sync_folder(os.path.dirname(self._path))
            # Network file systems report at a close what they could not write. Ours keeps the lock until the row is
            # written, so this is the close of a duplicate.
            os.close(os.dup(self._fd))
        return self.key

    def _write_out_early(self) -> None:
        """Have the system begin to write out what it may keep for half a minute, so that the fsync at the end is short.

        Linux does that before it looks for pages to forget; those that are being written it keeps. Of the file the last
        but one step is meant: parallel chunks may still be on their way into the last.
        """
        self._step = self._position // _EARLY_STEP
        if self._step >= 2 and self._durability == "publish":
            with contextlib.suppress(OSError):
                # A system without it does without it.
                os.posix_fadvise(self._fd, (self._step - 2) * _EARLY_STEP, _EARLY_STEP, os.POSIX_FADV_DONTNEED)

    def abort(self) -> None:
        self.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of the system into those of the contract."""
    try:
        yield
    except FileNotFoundError as error:
        raise StagingLost(str(error)) from error
    except OSError as error:
        raise (OutOfSpace if error.errno in NO_SPACE else BackendFailed)(str(error)) from error


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _folder(staging: Staging) -> str:
    return os.path.join(staging.root, staging.name)


def _data(staging: Staging) -> str:
    return os.path.join(staging.root, staging.name, DATA)


def _partial(path: str) -> str:
    return os.path.join(os.path.dirname(path), _PARTIAL)


def _lock(fd: int, start: int, length: int) -> bool:
    """Try to take the write locks of `length` indexes from `start`; they last until the descriptor is closed."""
    request = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _same_file(fd: int, path: str) -> bool:
    ours, theirs = os.fstat(fd), os.stat(path)
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _link(source: str, target: str) -> bool:
    """Give the staged file its final name; False where the two places cannot share a file."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _transfer(source: int, start: int, size: int, target: int) -> None:
    """Append `size` bytes from `start` of one file to another, inside the kernel."""
    end = start + size
    while start < end:
        sent = os.sendfile(target, source, start, end - start)
        if sent == 0:
            raise StagingLost("Staged bytes are missing.")
        start += sent


def _sync_folder(path: str) -> None:
    with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)


def _sync_parent(path: str) -> None:
    """Flush a folder that may not be ours: one that we cannot even read is none that we have made something in."""
    with contextlib.suppress(PermissionError):
        _sync_folder(path)


def _entry(folder: str) -> tuple[str, tuple[int, int]]:
    """Where a folder is named, and which folder it is."""
    state = os.stat(folder)
    return os.path.dirname(folder), (state.st_dev, state.st_ino)


@functools.lru_cache(maxsize=1000)
def _sync_entry(parent: str, folder: tuple[int, int]) -> None:
    """Flush the entry of a folder in its parent, once per process: whoever made it may be dead, or not that far yet."""
    _sync_parent(parent)


def _file_system(path: str) -> str:
    """The type of the file system that a path lies on, empty where the system does not tell."""
    best, kind = "", ""
    real = os.path.realpath(path)
    with contextlib.suppress(OSError), open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            _, point, found, *_ = line.split(" ")
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, found
    return kind


def _last_change(folder: str) -> float:
    latest = math.inf  # for one that somebody else has just removed
    with contextlib.suppress(OSError):
        latest = os.stat(folder).st_mtime
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    latest = max(latest, entry.stat(follow_symlinks=False).st_mtime)
    return latest
