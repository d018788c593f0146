"""Puts the points around what the app does to disk and database. Nothing of this is known to the app."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from django.core.files.storage import filesystem as django_filesystem
from django.core.handlers.wsgi import WSGIHandler
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.http.response import HttpResponseBase

from crashes.disk import Flushed
from crashes.points import place, point, reach
from fineuploader_receiver import signals
from fineuploader_receiver.backends import base, filesystem, storage
from fineuploader_receiver.backends.filesystem import FileChunkWriter, FileSystemBackend
from fineuploader_receiver.backends.storage import StorageBackend, StorageChunkWriter
from livesite import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.dispatch import Signal

SYSTEM_CALLS = (
    "mkdir", "makedirs", "link", "rename", "unlink", "remove", "rmdir", "fsync", "fchmod", "chmod", "sendfile"
)  # fmt: skip
BACKEND_CALLS = ("begin", "open_chunk", "assemble", "retract", "discard", "forget")
WRITER_CALLS = ("commit", "abort", "close")
SIGNALS = ("upload_started", "chunk_received", "upload_completed", "upload_deleted", "upload_expired")


def inject() -> None:
    """Put every point in its place."""
    for module in (filesystem, storage, django_filesystem):
        module.os = WatchedSystem()  # type: ignore[attr-defined]
    for backend in (FileSystemBackend, StorageBackend):
        for name in BACKEND_CALLS:
            surround(backend, name)
    for writer in (FileChunkWriter, StorageChunkWriter):
        watch_writes(writer)
        for name in WRITER_CALLS:
            surround(writer, name)
    watch_commits()
    watch_answers()
    for name in SIGNALS:
        watch_signal(getattr(signals, name), name)


class WatchedSystem:
    """The module ``os`` for one other module: its calls that change something are points."""

    def __getattr__(self, name: str) -> Any:
        actual = getattr(os, name)
        if name == "open":
            return creating(actual)
        if name == "fdopen":
            return lambda *args, **kwargs: WatchedFile(actual(*args, **kwargs))
        if name == "fsync":
            actual = noted(actual)
        return surrounded(actual, name) if name in SYSTEM_CALLS else actual


class WatchedFile:
    """A file whose writes are points."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: bytes) -> int:
        with point(f"{place()}: write"):
            written = self.file.write(data)
            self.file.flush()
        return int(written)

    def close(self) -> None:
        self.file.close()


def surrounded(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the system call with points around it."""

    def watched(*args: Any, **kwargs: Any) -> Any:
        with point(f"{place()}: {name}"):
            return call(*args, **kwargs)

    return watched


def noted(fsync: Callable[[int], None]) -> Callable[[int], None]:
    """Return an fsync that notes what is on the disk from now on."""

    def noting(fd: int) -> None:
        fsync(fd)
        Flushed(settings.FOLDER).note(fd)

    return noting


def creating(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``os.open`` with points around it where it creates a file."""

    def watched(path: Any, flags: int, *args: Any, **kwargs: Any) -> Any:
        if not flags & os.O_CREAT:
            return call(path, flags, *args, **kwargs)
        with point(f"{place()}: create"):
            return call(path, flags, *args, **kwargs)

    return watched


def surround(owner: type, name: str) -> None:
    """Put points around a method, where the class has it."""
    method = owner.__dict__.get(name)
    if method is None:
        return

    @functools.wraps(method)
    def watched(*args: Any, **kwargs: Any) -> Any:
        with point(f"{owner.__name__}.{name}"):
            return method(*args, **kwargs)

    setattr(owner, name, watched)


def watch_writes(writer: type[base.ChunkWriter]) -> None:
    """Make points of the first write of a chunk, and of the one in its middle: how many there are is up to the net."""
    write = writer.write

    def watched(self: Any, data: bytes | memoryview) -> None:
        before = getattr(self, "_passed", 0)
        self._passed = before + len(data)
        names = [name for name, at in (("first", 0), ("middle", MIDDLE)) if before <= at < self._passed]
        for name in names:
            reach(f"{writer.__name__}.write, {name}, before")
        write(self, data)
        for name in names:
            reach(f"{writer.__name__}.write, {name}, after")

    writer.write = watched  # type: ignore[method-assign]


MIDDLE = 300_000
"""Half a chunk of those that the tests send; the first half does not come in one piece."""


def watch_commits() -> None:
    """Make points of the commit of every transaction, and of every statement that is one of its own."""
    commit, execute = BaseDatabaseWrapper.commit, CursorWrapper.execute

    def watched(self: BaseDatabaseWrapper) -> None:
        with point(f"{place()}: COMMIT"):
            commit(self)

    def watched_execute(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        if self.db.in_atomic_block or not str(sql).startswith(WRITING):
            return execute(self, sql, params)
        with point(f"{place()}: COMMIT"):
            return execute(self, sql, params)

    BaseDatabaseWrapper.commit = watched  # type: ignore[method-assign]
    CursorWrapper.execute = watched_execute  # type: ignore[method-assign]


WRITING = ("INSERT", "UPDATE", "DELETE")


def watch_answers() -> None:
    """Make points of a request that arrives, and of an answer that is about to be sent, and that was sent."""
    handle, close = WSGIHandler.__call__, HttpResponseBase.close
    watching: WeakSet[HttpResponseBase] = WeakSet()

    def watched(self: WSGIHandler, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/control/"):
            return handle(self, environ, start_response)
        reach("request")
        response = handle(self, environ, start_response)
        watching.add(response)
        reach("answer, before")
        return response

    def watched_close(self: HttpResponseBase) -> None:
        close(self)
        if self in watching:
            reach("answer, after")

    WSGIHandler.__call__ = watched  # type: ignore[method-assign]
    HttpResponseBase.close = watched_close  # type: ignore[method-assign]


def watch_signal(signal: Signal, name: str) -> None:
    """Make a point of a signal."""

    def receive(**_: Any) -> None:
        reach(f"signal {name}")

    signal.connect(receive, weak=False, dispatch_uid=f"crashes {name}")
