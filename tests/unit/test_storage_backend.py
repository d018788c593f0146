"""What is true of the generic backend only: the reader over chunks, the spool, and storages that fail."""

from __future__ import annotations

import datetime
import errno
import io
import os
import posixpath
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.backends import storage as module
from fineuploader_receiver.backends.base import BackendFailed, OutOfSpace, Plan, StagingLost, StoredChunk
from fineuploader_receiver.backends.storage import ChunkReader, StorageBackend
from fineuploader_receiver.testing.chunks import WHOLE, content, fresh_name, in_an_hour, put, put_pieces
from storages_for_tests import MinimalStorage

ORDER = (0, 1, 2, 3)
TOKEN = "f" * 32
ORPHAN = "0" * 32
SPOOLED = 2 * module.SPOOL_SIZE


class TroubledStorage(MinimalStorage):
    """Raises what it is told to, by method."""

    def __init__(self, **trouble: Exception) -> None:
        self.trouble = trouble
        self.contents = {}

    def _meet(self, method: str) -> None:
        if method in self.trouble:
            raise self.trouble[method]

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        self._meet("open")
        return super()._open(name, mode)

    def _save(self, name: str, content: IO[Any]) -> str:
        self._meet("save")
        return super()._save(name, content)

    def delete(self, name: str) -> None:
        self._meet("delete")
        super().delete(name)

    def size(self, name: str) -> int:
        self._meet("size")
        return super().size(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self._meet("listdir")
        return super().listdir(path)

    def get_modified_time(self, name: str) -> datetime.datetime:
        self._meet("get_modified_time")
        return super().get_modified_time(name)


class ListedStorage(TroubledStorage):
    """Lists one chunk, whether it is still there or not."""

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        return ([ORPHAN], []) if path == module.PREFIX else ([], [f"0.{TOKEN}"])


class CuttingStorage(MinimalStorage):
    """Keeps less than it was given, and says nothing."""

    def _save(self, name: str, content: IO[Any]) -> str:
        name = super()._save(name, content)
        self.contents[name] = self.contents[name][:5]
        return name


FULL = OSError(errno.ENOSPC, "No space left on device")
AWAY = ConnectionError("the store of /secret/place is away")


def backend_over(**trouble: Exception) -> StorageBackend:
    return StorageBackend(TroubledStorage(**trouble))


# Errors of the storage.


@pytest.mark.parametrize(
    ("trouble", "error"), [(FULL, OutOfSpace), (AWAY, BackendFailed), (ValueError("odd"), BackendFailed)], ids=repr
)
def test_chunk_that_the_storage_does_not_take_is_told(trouble: Exception, error: type[Exception]) -> None:
    backend = backend_over(save=trouble)
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    with pytest.raises(error):
        writer.commit()
    writer.abort()


@pytest.mark.parametrize(("trouble", "error"), [(FULL, OutOfSpace), (AWAY, BackendFailed)], ids=repr)
def test_file_that_the_storage_does_not_take_is_told_and_can_be_tried_again(
    trouble: Exception, error: type[Exception]
) -> None:
    backend = backend_over()
    staging = backend.begin(Plan())
    chunks = put_pieces(backend, staging, ORDER)
    backend.storage.trouble = {"save": trouble}  # type: ignore[attr-defined]
    with pytest.raises(error):
        backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    backend.storage.trouble = {}  # type: ignore[attr-defined]
    name = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    assert content(backend, name) == WHOLE


def test_chunk_that_cannot_be_read_back_is_not_taken_for_lost() -> None:
    """Guards against an outage of the store that makes the client send everything again."""
    backend = backend_over()
    staging = backend.begin(Plan())
    chunks = put_pieces(backend, staging, ORDER)
    backend.storage.trouble = {"open": AWAY}  # type: ignore[attr-defined]
    with pytest.raises(BackendFailed):
        backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "away"])
def test_chunk_that_cannot_be_read_in_words_of_the_storage_is_lost_if_it_is_gone(gone: bool) -> None:
    """A storage that opens lazily and raises an error of its own let an upload without its bytes be tried for ever."""
    backend = backend_over(open=AWAY)
    staging = backend.begin(Plan())
    chunks = put_pieces(backend, staging, ORDER)
    if gone:
        backend.storage.delete(chunks[0].key)
    with pytest.raises(StagingLost if gone else BackendFailed):
        backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))


def test_storage_that_keeps_less_than_it_was_given_makes_no_file() -> None:
    storage = CuttingStorage()
    storage.contents = {}
    backend = StorageBackend(storage)
    staging = backend.begin(Plan())
    chunk = put(backend, staging, 0, b"12345")
    longer = StoredChunk(index=1, offset=5, size=5, key=put(backend, staging, 1, b"67890").key)
    name = fresh_name()
    with pytest.raises(BackendFailed):
        backend.assemble(staging, [chunk, longer], name=name, size=10)
    assert not storage.exists(name)


def test_storage_that_cannot_measure_is_believed() -> None:
    backend = backend_over(size=NotImplementedError())
    staging = backend.begin(Plan())
    name = backend.assemble(staging, put_pieces(backend, staging, ORDER), name=fresh_name(), size=len(WHOLE))
    assert content(backend, name) == WHOLE


@pytest.mark.parametrize("method", ["delete", "listdir"])
def test_bytes_that_cannot_be_deleted_are_told(method: str) -> None:
    backend = backend_over()
    staging = backend.begin(Plan())
    chunk = put(backend, staging, 0, b"x")
    backend.storage.trouble = {method: AWAY}  # type: ignore[attr-defined]
    with pytest.raises(BackendFailed):
        backend.discard(staging, [chunk], published=False)


def test_finished_file_that_cannot_be_deleted_is_told() -> None:
    with pytest.raises(BackendFailed):
        backend_over(delete=AWAY).retract(fresh_name())


def test_abort_never_raises() -> None:
    backend = backend_over(delete=AWAY)
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    writer.commit()
    writer.abort()


def test_orphans_that_cannot_be_looked_for_are_told() -> None:
    with pytest.raises(BackendFailed):
        list(backend_over(listdir=AWAY).orphans(before=in_an_hour()))


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "away"])
def test_orphan_whose_time_cannot_be_told_is_told_unless_it_has_just_gone(gone: bool) -> None:
    """Regression: a chunk that was deleted while the purge looked for orphans in a bucket ended the purge."""
    storage = ListedStorage(get_modified_time=AWAY)
    storage.contents = {} if gone else {posixpath.join(module.PREFIX, ORPHAN, f"0.{TOKEN}"): b"x"}
    backend = StorageBackend(storage)
    if gone:
        assert [staging.name for staging in backend.orphans(before=in_an_hour())] == [ORPHAN]
    else:
        with pytest.raises(BackendFailed):
            list(backend.orphans(before=in_an_hour()))


@pytest.mark.parametrize("method", ["save", "open", "delete"])
def test_check_says_what_is_wrong(method: str) -> None:
    (problem,) = backend_over(**{method: AWAY}).check()
    assert "ConnectionError" in problem


def test_check_finds_a_storage_that_returns_other_bytes() -> None:
    storage = TroubledStorage()
    storage._open = lambda name, mode="rb": ContentFile(b"other")  # type: ignore[method-assign]
    assert StorageBackend(storage).check() == ["The storage returned other bytes than it was given."]


# The spool.


class FullDisk(io.BytesIO):
    """A temporary file on a disk without room: what is written fails only when it leaves the buffer."""

    def seek(self, *args: Any) -> int:
        raise FULL

    def close(self) -> None:
        super().close()
        raise FULL


def test_full_disk_below_the_spool_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a full disk that is found out when the buffer is written, and answered as a fault of ours."""
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda *args, **kwargs: FullDisk())
    backend = backend_over()
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    with pytest.raises(OutOfSpace):
        writer.commit()
    writer.abort()


@pytest.mark.parametrize("option", ["FILE_UPLOAD_TEMP_DIR", "staging_dir"])
def test_large_chunk_is_spooled_where_the_site_says(
    tmp_path: Path, settings: Any, open_files: Callable[[Path], list[str]], option: str
) -> None:
    if option == "FILE_UPLOAD_TEMP_DIR":
        settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    backend = StorageBackend(InMemoryStorage(), staging_dir=str(tmp_path) if option == "staging_dir" else None)
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    assert open_files(tmp_path) == []
    writer.write(b"x" * SPOOLED)
    assert len(open_files(tmp_path)) == 1
    writer.abort()
    assert open_files(tmp_path) == []


def test_aborted_chunk_leaves_no_object() -> None:
    backend = backend_over()
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    writer.commit()
    writer.abort()
    assert backend.storage.contents == {}  # type: ignore[attr-defined]


# The reader.


def reader_over(pieces: Sequence[bytes]) -> tuple[ChunkReader, MinimalStorage]:
    storage = MinimalStorage()
    storage.contents = {str(number): piece for number, piece in enumerate(pieces)}
    chunks, offset = [], 0
    for number, piece in enumerate(pieces):
        chunks.append(StoredChunk(index=number, offset=offset, size=len(piece), key=str(number)))
        offset += len(piece)
    return ChunkReader(storage, chunks), storage


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(-1, 50), st.just(0)),
            st.tuples(st.just("seek"), st.integers(-60, 130), st.integers(0, 2)),
        ),
        max_size=12,
    ),
)
def test_reader_over_chunks_behaves_like_one_file(pieces: list[bytes], moves: list[tuple[str, int, int]]) -> None:
    expected = io.BytesIO(b"".join(pieces))
    reader, _ = reader_over(pieces)
    for verb, number, whence in moves:
        if verb == "read":
            assert reader.read(number) == expected.read(number)
        else:
            base = {0: 0, 1: expected.tell(), 2: len(expected.getvalue())}[whence]
            assert reader.seek(number, whence) == expected.seek(max(0, base + number))
        assert reader.tell() == expected.tell()
    reader.close()


def test_reader_can_be_buffered_and_rewound_as_storages_do() -> None:
    data = random.Random(7).randbytes(100_000)
    reader, _ = reader_over([data[start : start + 1000] for start in range(0, len(data), 1000)])
    buffered = io.BufferedReader(reader)
    assert buffered.read(10) == data[:10]
    assert buffered.seek(0, io.SEEK_END) == len(data)
    assert buffered.seek(0) == 0
    assert buffered.read() == data
    assert (reader.readable(), reader.seekable(), reader.writable()) == (True, True, False)


def test_reader_keeps_one_chunk_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, storage = reader_over([b"one", b"two", b"three"])
    opened: list[File[Any]] = []

    def noting(name: str, mode: str = "rb") -> File[Any]:
        opened.append(File(io.BytesIO(storage.contents[name]), name))
        return opened[-1]

    monkeypatch.setattr(storage, "_open", noting)
    assert reader.read() == b"onetwothree"
    assert [file.closed for file in opened] == [True, True, False]
    reader.close()
    assert [file.closed for file in opened] == [True, True, True]


@pytest.mark.parametrize("now", [None, b"", b"tw"], ids=["gone", "empty", "shorter"])
def test_reader_never_ends_before_the_file_does(now: bytes | None) -> None:
    """Guards against a missing part that makes a short file and a success."""
    reader, storage = reader_over([b"one", b"two", b"three"])
    if now is None:
        del storage.contents["1"]
    else:
        storage.contents["1"] = now
    with pytest.raises(StagingLost):
        reader.read()


def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of what is flushed to the disk."""
    names: list[str] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        names.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    return names


def test_files_of_a_local_storage_are_flushed_as_durability_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of a storage on this host were taken for safe from a power cut though nothing had flushed them."""
    names = flushed(monkeypatch)
    backend = StorageBackend(FileSystemStorage(tmp_path / "media"), durability="publish")
    staging = backend.begin(Plan())
    writer = backend.open_chunk(staging, index=0, offset=0, size=None, token="0" * 32)
    writer.write(b"bytes")
    chunk = StoredChunk(index=0, offset=0, size=5, key=writer.commit())
    assert (backend.durable, names) == (False, [])
    backend.assemble(staging, [chunk], name="deep/file", size=5)
    assert names == ["file", "deep", "media"]

    lasting = StorageBackend(FileSystemStorage(tmp_path / "media"), durability="chunk")
    writer = lasting.open_chunk(staging, index=1, offset=5, size=None, token="1" * 32)
    writer.write(b"more")
    names.clear()
    key = writer.commit()
    assert lasting.durable
    assert names == [Path(key).name, staging.name, ".fineuploader", "media"]


def test_attempt_that_ends_after_its_upload_was_removed_leaves_no_folder(tmp_path: Path) -> None:
    """Guards against an empty folder for every delete that meets a chunk which is just being saved."""
    backend = StorageBackend(FileSystemStorage(tmp_path))
    staging = backend.begin(Plan())
    late = backend.open_chunk(staging, index=0, offset=0, size=None, token=TOKEN)
    late.write(b"x")
    assert backend.discard(staging, (), published=False) is True
    late.commit()
    late.abort()
    assert list((tmp_path / ".fineuploader").iterdir()) == []
