"""Requests that stand still in the middle, at a point of the test's choosing, while others run to their end."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.test import Client

from fakeuploader import DjangoTransport, WireRequest, WireResponse
from fineuploader_receiver.backends.base import Backend, ChunkWriter, Staging, StoredChunk
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.backends.storage import StorageBackend

POINTS = ("body", "opened", "written", "committed", "assemble", "assembled", "validate", "discard")
"""Within the body; with a place to write to, before the claim; with all bytes written; with the writer committed,
before the row; before and after the file is made; while it is examined; before staged bytes are deleted."""

PATIENCE_SECONDS = 60

_current = threading.local()


class Attempt:
    """One request in a thread of its own, which stands still when it first comes to `point`."""

    def __init__(self, client: Client, request: WireRequest, point: str) -> None:
        self.answer: WireResponse | None = None
        self._error: BaseException | None = None
        self._point = point
        self._transport = _PausingTransport(_copy_of(client))
        self._stands = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(request,), daemon=True)

    def begin(self) -> bool:
        """Run up to the point. True when the request stands there now, False when it has ended without coming by."""
        self._thread.start()
        assert self._stands.wait(PATIENCE_SECONDS)
        if self.answer is None and self._error is None:
            return True
        self.go_on()
        return False

    def go_on(self) -> WireResponse:
        """Let the request run to its end, and return its answer."""
        self._released.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), f"the request that stood at {self._point} does not end"
        if self._error is not None:
            raise self._error
        assert self.answer is not None
        return self.answer

    def pass_by(self, point: str) -> None:
        if point == self._point and not self._stands.is_set():
            self._stands.set()
            assert self._released.wait(PATIENCE_SECONDS)

    def _run(self, request: WireRequest) -> None:
        _current.attempt = self
        try:
            self.answer = self._transport.send(request)
        except BaseException as error:
            self._error = error
        finally:
            connections.close_all()
            self._stands.set()


def stand_at(point: str) -> None:
    """Stand still here, if that is what the request of this thread was told."""
    attempt = getattr(_current, "attempt", None)
    if attempt is not None:
        attempt.pass_by(point)


def _copy_of(client: Client) -> Client:
    copy = Client(enforce_csrf_checks=True)
    copy.cookies = client.cookies
    return copy


class _PausingTransport(DjangoTransport):
    """Stands still after all but the last two bytes of a body: within the file part, or before the last boundary."""

    def environ(self, request: WireRequest) -> dict[str, Any]:
        first, last = request.body[:-2], request.body[-2:]
        return super().environ(request) | {"wsgi.input": _PausingInput(first, last)}


class _PausingInput(io.RawIOBase):
    def __init__(self, first: bytes, last: bytes) -> None:
        self._pieces = [io.BytesIO(first), io.BytesIO(last)]

    def read(self, size: int | None = -1, /) -> bytes:
        if data := self._pieces[0].read(size):
            return data
        stand_at("body")
        return self._pieces[1].read(size)


class _StandingWriter(ChunkWriter):
    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer
        self.key = writer.key

    def write(self, data: bytes | memoryview) -> None:
        self._writer.write(data)

    def commit(self) -> str:
        stand_at("written")
        key = self.key = self._writer.commit()
        stand_at("committed")
        return key

    def abort(self) -> None:
        self._writer.abort()

    def close(self) -> None:
        self._writer.close()


class _Standing(Backend):
    """A backend in which requests can stand still."""

    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        writer = super().open_chunk(staging, index=index, offset=offset, size=size, token=token)  # type: ignore[safe-super]
        stand_at("opened")
        return _StandingWriter(writer)

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        stand_at("assemble")
        made = super().assemble(staging, chunks, name=name, size=size)  # type: ignore[safe-super]
        stand_at("assembled")
        return made

    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        stand_at("discard")
        return super().discard(staging, chunks, published=published)  # type: ignore[safe-super]


class StandingFileSystemBackend(_Standing, FileSystemBackend):
    pass


class StandingStorageBackend(_Standing, StorageBackend):
    pass
