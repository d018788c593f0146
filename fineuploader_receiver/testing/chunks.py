"""What the contract's tests do with a backend: store chunks as the lifecycle does, assemble them, read them back."""

from __future__ import annotations

import datetime
import secrets
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from django.core.files.storage import Storage

from ..backends.base import Backend, BackendFailed, ChunkWriter, OutOfSpace, Plan, Staging, StagingLost, StoredChunk

T = TypeVar("T")

PIECES = (b"The first chunk, ", b"the second one, ", b"a third, ", b"end")
WHOLE = b"".join(PIECES)


def pieces_for(backend: Backend) -> tuple[bytes, ...]:
    """``PIECES``, repeated until they are as large as the backend wants chunks to be."""
    return (*(piece * -(-backend.smallest_chunk // len(piece)) for piece in PIECES[:-1]), PIECES[-1])


def whole(backend: Backend) -> bytes:
    """The file that ``put_pieces`` stores."""
    return b"".join(pieces_for(backend))


def begin(backend: Backend, *, chunks: int = 8) -> Staging:
    """Begin an upload as the lifecycle does; one of a single chunk does not say how large it is."""
    chunk_size = float(max(map(len, pieces_for(backend)))) if chunks > 1 else None
    return backend.begin(Plan(name=fresh_name(), total_chunks=chunks, chunk_size=chunk_size))


def put(
    backend: Backend,
    staging: Staging,
    index: int,
    data: bytes | Iterable[bytes],
    *,
    offset: int = 0,
    size: int | None = None,
) -> StoredChunk:
    """Store a chunk as the lifecycle does when nothing goes wrong; `size` is needed where `data` has many pieces."""
    announced = len(data) if isinstance(data, bytes) else size
    writer = backend.open_chunk(staging, index=index, offset=offset, size=announced, token=token())
    written = 0
    for piece in [data] if isinstance(data, bytes) else data:
        writer.write(piece)
        written += len(piece)
    return StoredChunk(index=index, offset=offset, size=written, key=kept(writer))


def kept(writer: ChunkWriter) -> str:
    """End an attempt as the lifecycle does when its row says that it counts, and return its key."""
    key = writer.commit()
    writer.close()
    return key


def put_pieces(backend: Backend, staging: Staging, order: Sequence[int]) -> list[StoredChunk]:
    """Store the pieces in an order and return their chunks in the order of the file."""
    chunks, pieces = {}, pieces_for(backend)
    for index in order:
        offset = sum(map(len, pieces[:index]))
        chunks[index] = put(backend, staging, index, pieces[index], offset=offset)
    return [chunks[index] for index in sorted(chunks)]


def assemble(backend: Backend, staging: Staging, chunks: Sequence[StoredChunk], *, name: str = "") -> str:
    """Assemble as one attempt of the lifecycle does."""
    size = sum(chunk.size for chunk in chunks)
    return backend.assemble(staging, chunks, name=name or final_name(backend, staging), size=size)


def final_name(backend: Backend, staging: Staging) -> str:
    """A name of the attempt's own; for a backend of `fixed_name` the one that `begin` planned, whose folder it kept."""
    return f"uploads/2026/{staging.name}/a file.txt" if backend.fixed_name else fresh_name()


def finish(writer: ChunkWriter, end: str) -> None:
    """Let a writer come to the end of an attempt that lost its claim meanwhile."""
    if "commit" in end:
        kept(writer)
    if "abort" in end:
        writer.abort()


def end_late_writer(writer: ChunkWriter) -> None:
    """Let a writer go on after it has lost: it may be refused, and is aborted in the end, as every loser is."""
    try:
        writer.write(b"WRONG!!!")
        kept(writer)
    except (StagingLost, BackendFailed, OutOfSpace):
        pass
    writer.abort()


def token() -> str:
    return secrets.token_hex(16)


def fresh_name() -> str:
    """A final name that only one attempt uses, in the form the lifecycle gives it."""
    return f"uploads/2026/{secrets.token_hex(16)}/a file.txt"


def content(backend: Backend, name: str) -> bytes:
    with backend.storage.open(name, "rb") as file:
        data: bytes = file.read()
    return data


def listed(storage: Storage, folder: str = "") -> Iterator[str]:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}".lstrip("/") for name in files)
    for name in folders:
        yield from listed(storage, f"{folder}/{name}".lstrip("/"))


def in_an_hour() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)


def an_hour_ago() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)


def peak(work: Callable[[], T]) -> tuple[T, int]:
    """What a call returns, and the most memory it held at once."""
    tracemalloc.start()
    try:
        result = work()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
