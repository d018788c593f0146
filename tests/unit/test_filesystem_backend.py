"""What is true of the file system only: links and copies, locks, modes, fsync, and errors of the system."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

import fineuploader_receiver
from fineuploader_receiver.backends import filesystem
from fineuploader_receiver.backends.base import BackendFailed, OutOfSpace, Plan, Staging, StagingLost, StoredChunk
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.testing.chunks import (
    PIECES,
    WHOLE,
    content,
    end_late_writer,
    fresh_name,
    in_an_hour,
    put,
    put_pieces,
)

ORDER = (0, 1, 2, 3)
MIB = 2**20
TOKEN = "f" * 32

WRITER = """
import sys
from django.conf import settings
settings.configure()
from django.core.files.storage import FileSystemStorage
from fineuploader_receiver.backends.base import Staging, Plan
from fineuploader_receiver.backends.filesystem import FileSystemBackend

media, root, name = sys.argv[1:]
backend = FileSystemBackend(FileSystemStorage(media))
writer = backend.open_chunk(Staging(root, name), index=1, offset=17, size=None, token="e" * 32)
writer.write(b"child...")
print("in place" if not writer.key else writer.key, flush=True)
for line in sys.stdin:
    writer.write(b"LATE BYTES")
    print("written", flush=True)
writer.commit()
writer.close()
"""


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def backend(media: Path) -> FileSystemBackend:
    return FileSystemBackend(FileSystemStorage(media))


@pytest.fixture
def staging(backend: FileSystemBackend) -> Staging:
    return backend.begin(Plan())


@pytest.fixture(autouse=True)
def no_descriptor_stays_open(media: Path, open_files: Callable[[Path], list[str]]) -> Iterator[None]:
    """A descriptor that is forgotten keeps its lock for as long as the worker lives."""
    yield
    assert open_files(media) == []


def data_file(staging: Staging) -> Path:
    return Path(staging.root, staging.name, "data")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def assembled(backend: FileSystemBackend, staging: Staging) -> tuple[Path, list[StoredChunk]]:
    chunks = put_pieces(backend, staging, ORDER)
    name = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    assert isinstance(backend.storage, FileSystemStorage)
    return Path(backend.storage.path(name)), chunks


# Publishing.


def test_publishing_copies_nothing(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", failing(errno.EIO))
    path, _ = assembled(backend, staging)
    assert path.stat().st_ino == data_file(staging).stat().st_ino


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_where_two_places_cannot_share_a_file_it_is_copied(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    path, chunks = assembled(backend, staging)
    assert path.read_bytes() == WHOLE
    assert [entry.name for entry in path.parent.iterdir()] == ["a file.txt"]
    assert backend.discard(staging, chunks, published=True) is True


def test_copy_is_not_seen_under_its_final_name_before_it_is_whole(
    backend: FileSystemBackend, staging: Staging, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an interrupted completion that leaves a short file under the final name."""
    seen: list[list[str]] = []
    sendfile = os.sendfile

    def watched(target: int, source: int, offset: int, count: int) -> int:
        seen.append([path.name for path in media.rglob("a file.txt")])
        return sendfile(target, source, offset, 1)

    monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    monkeypatch.setattr(os, "sendfile", watched)
    path, _ = assembled(backend, staging)
    assert path.read_bytes() == WHOLE
    assert seen == [[]] * len(WHOLE)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, OutOfSpace), (errno.EDQUOT, OutOfSpace), (errno.EIO, BackendFailed)]
)
def test_failed_copy_leaves_nothing_once_it_is_taken_back_and_may_be_repeated(
    backend: FileSystemBackend,
    staging: Staging,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
) -> None:
    chunks = put_pieces(backend, staging, ORDER)
    name = fresh_name()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing(errno.EXDEV))
        patch.setattr(os, "sendfile", failing(number))
        with pytest.raises(error):
            backend.assemble(staging, chunks, name=name, size=len(WHOLE))
    assert not backend.storage.exists(name)
    backend.retract(name)
    assert sorted(path.name for path in media.rglob("*") if path.is_file()) == ["data"]
    again = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    assert content(backend, again) == WHOLE


def test_name_that_is_taken_is_never_written_over(backend: FileSystemBackend, staging: Staging) -> None:
    chunks = put_pieces(backend, staging, ORDER)
    name = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    other = backend.begin(Plan())
    with pytest.raises(BackendFailed):
        backend.assemble(other, [put(backend, other, 0, b"other")], name=name, size=5)
    assert content(backend, name) == WHOLE


def test_staged_file_of_another_size_is_not_published(backend: FileSystemBackend, staging: Staging) -> None:
    chunks = put_pieces(backend, staging, ORDER)
    with data_file(staging).open("ab") as file:
        file.write(b"too much")
    name = fresh_name()
    with pytest.raises(StagingLost):
        backend.assemble(staging, chunks, name=name, size=len(WHOLE))
    assert not backend.storage.exists(name)


def test_chunk_written_elsewhere_that_is_lost_makes_no_file(backend: FileSystemBackend, staging: Staging) -> None:
    late = backend.open_chunk(staging, index=1, offset=17, size=None, token=TOKEN)
    chunks = put_pieces(backend, staging, ORDER)
    late.abort()
    assert chunks[1].key
    Path(staging.root, staging.name, chunks[1].key).unlink()
    with pytest.raises(StagingLost):
        backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))


def test_chunk_written_elsewhere_that_is_short_makes_no_file(backend: FileSystemBackend, staging: Staging) -> None:
    late = backend.open_chunk(staging, index=1, offset=17, size=None, token=TOKEN)
    chunks = put_pieces(backend, staging, ORDER)
    late.abort()
    os.truncate(Path(staging.root, staging.name, chunks[1].key), 3)
    with pytest.raises(StagingLost):
        backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))


# Errors of the system.


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, OutOfSpace),
        (errno.EDQUOT, OutOfSpace),
        (errno.EFBIG, OutOfSpace),
        (errno.EIO, BackendFailed),
    ],
)
def test_failed_write_is_told_and_leaves_other_chunks_intact(
    backend: FileSystemBackend,
    staging: Staging,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
) -> None:
    chunks = put_pieces(backend, staging, ORDER)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(number))
        writer = backend.open_chunk(staging, index=1, offset=17, size=None, token=TOKEN)
        with pytest.raises(error):
            writer.write(b"no room")
        writer.abort()
    chunks[1] = put(backend, staging, 1, PIECES[1], offset=17)
    name = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    assert content(backend, name) == WHOLE


def test_write_that_takes_only_a_part_goes_on(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, bytes(data[:3]), offset))
    path, _ = assembled(backend, staging)
    assert path.read_bytes() == WHOLE


@pytest.mark.parametrize(("durability", "expected"), [("none", []), ("publish", [0, 16, 32]), ("chunk", [])])
def test_long_file_is_written_out_while_it_arrives(
    media: Path, monkeypatch: pytest.MonkeyPatch, durability: str, expected: list[int]
) -> None:
    """Guards against a completion whose fsync has all to do that the system kept for half a minute."""
    asked: list[int] = []

    def advise(fd: int, start: int, size: int, advice: int) -> None:
        assert (size, advice) == (16 * MIB, os.POSIX_FADV_DONTNEED)
        asked.append(start // MIB)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    backend = FileSystemBackend(FileSystemStorage(media), durability=durability)
    staging = backend.begin(Plan())
    for index in range(13):
        writer = backend.open_chunk(staging, index=index, offset=5 * MIB * index, size=5 * MIB, token=TOKEN)
        writer.write(bytes(3 * MIB))
        writer.write(bytes(2 * MIB))
        writer.commit()
        writer.close()
    assert asked == expected


def test_failed_fsync_is_told_before_the_chunk_counts(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FileSystemBackend(FileSystemStorage(media), durability="chunk")
    writer = backend.open_chunk(backend.begin(Plan()), index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(BackendFailed):
        writer.commit()
    writer.abort()


def test_error_that_only_a_close_tells_is_told_before_the_chunk_counts(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against acknowledging what a network file system, over its quota, could not write back."""
    writer = backend.open_chunk(staging, index=0, offset=0, size=None, token=TOKEN)
    writer.write(b"x")
    close = os.close

    def close_in_vain(fd: int) -> None:
        close(fd)
        raise OSError(errno.EDQUOT, "over quota")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close_in_vain)
        with pytest.raises(OutOfSpace):
            writer.commit()
    writer.abort()


def test_staged_file_that_cannot_be_flushed_is_lost(
    media: Path, backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a file with a hole: a second fsync succeeds, though the pages of the first are gone."""
    chunk = put(backend, staging, 0, WHOLE)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(StagingLost):
        backend.assemble(staging, [chunk], name=fresh_name(), size=len(WHOLE))
    assert not (media / "uploads").exists()


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, OutOfSpace), (errno.EACCES, BackendFailed), (errno.EROFS, BackendFailed)]
)
def test_place_that_cannot_be_made_is_told(
    backend: FileSystemBackend, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(os, "mkdir", failing(number))
    with pytest.raises(error):
        backend.begin(Plan())


def test_chunk_of_a_vanished_upload_is_lost(backend: FileSystemBackend, staging: Staging) -> None:
    backend.discard(staging, (), published=False)
    with pytest.raises(StagingLost):
        backend.open_chunk(staging, index=0, offset=0, size=None, token=TOKEN)


def test_file_published_between_opening_and_locking_is_not_written_to(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a writer that changes the finished file through the name it had before."""
    path, chunks = assembled(backend, staging)
    lock = filesystem._lock

    def slow(fd: int, start: int, length: int) -> bool:
        monkeypatch.setattr(filesystem, "_lock", lock)
        assert backend.discard(staging, chunks, published=True) is True
        return lock(fd, start, length)

    monkeypatch.setattr(filesystem, "_lock", slow)
    with pytest.raises(StagingLost):
        backend.open_chunk(staging, index=1, offset=17, size=None, token=TOKEN)
    assert path.read_bytes() == WHOLE


def test_file_system_without_locks_is_told(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.fcntl", failing(errno.ENOLCK))
    with pytest.raises(BackendFailed):
        backend.open_chunk(staging, index=0, offset=0, size=None, token=TOKEN)
    assert len(backend.check()) == 1


def test_check_says_what_is_wrong(backend: FileSystemBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "makedirs", failing(errno.EACCES))
    (problem,) = backend.check()
    assert "Permission denied" in problem


def test_orphans_that_cannot_be_looked_for_are_told(
    backend: FileSystemBackend, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", failing(errno.EACCES))
        with pytest.raises(BackendFailed):
            list(backend.orphans(before=in_an_hour()))


def test_no_orphans_where_nothing_was_ever_staged(backend: FileSystemBackend) -> None:
    assert list(backend.orphans(before=in_an_hour())) == []


def test_file_of_somebody_else_is_left_where_it_is(backend: FileSystemBackend, staging: Staging) -> None:
    notes = Path(staging.root, staging.name, "notes.txt")
    notes.write_text("not ours")
    with pytest.raises(BackendFailed):
        backend.discard(staging, (), published=False)
    assert notes.read_text() == "not ours"


def test_folder_of_somebody_else_is_left_where_it_is(backend: FileSystemBackend, staging: Staging) -> None:
    name = "elsewhere/a file.txt"
    backend.assemble(staging, put_pieces(backend, staging, ORDER), name=name, size=len(WHOLE))
    neighbour = Path(backend.storage.path("elsewhere"), "neighbour.txt")
    neighbour.write_text("not ours")
    backend.retract(name)
    assert [path.name for path in neighbour.parent.iterdir()] == ["neighbour.txt"]


def test_free_space_of_a_disk(backend: FileSystemBackend, staging: Staging) -> None:
    free = backend.free_space()
    assert free is not None
    assert free > 0


def test_free_space_before_there_is_a_folder_is_unknown(media: Path) -> None:
    assert FileSystemBackend(FileSystemStorage(media / "nothing")).free_space() is None


# Modes.


@pytest.mark.parametrize("staging_dir", [None, "elsewhere"])
def test_staged_bytes_are_private(media: Path, tmp_path: Path, staging_dir: str | None) -> None:
    where = None if staging_dir is None else str(tmp_path / staging_dir)
    backend = FileSystemBackend(FileSystemStorage(media), staging_dir=where)
    staging = backend.begin(Plan())
    folder = Path(staging.root, staging.name)
    late = backend.open_chunk(staging, index=0, offset=0, size=None, token=TOKEN)
    overtaking = backend.open_chunk(staging, index=0, offset=0, size=None, token="e" * 32)
    assert {path: mode(path) for path in (Path(staging.root), folder, *folder.iterdir())} == {
        Path(staging.root): 0o700,
        folder: 0o700,
        folder / "data": 0o600,
        folder / f"0.{'e' * 32}": 0o600,
    }
    late.abort()
    overtaking.abort()


def test_staging_lies_in_the_storage_s_own_location_so_that_publishing_is_a_link(
    backend: FileSystemBackend, staging: Staging, media: Path
) -> None:
    assert staging.root == str(media / ".fineuploader")


@pytest.mark.parametrize("link", [True, False], ids=["linked", "copied"])
@pytest.mark.parametrize(("permissions", "expected"), [(None, 0o644), (0o640, 0o640)], ids=["default", "given"])
def test_finished_file_has_the_storage_s_mode(
    media: Path, monkeypatch: pytest.MonkeyPatch, link: bool, permissions: int | None, expected: int
) -> None:
    if not link:
        monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    backend = FileSystemBackend(FileSystemStorage(media, file_permissions_mode=permissions))
    path, _ = assembled(backend, backend.begin(Plan()))
    assert mode(path) == expected


@pytest.mark.parametrize("link", [True, False], ids=["linked", "copied"])
@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_storage_without_a_mode_leaves_it_to_the_umask(
    media: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, link: bool, umask: int
) -> None:
    settings.FILE_UPLOAD_PERMISSIONS = None
    if not link:
        monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    before = os.umask(umask)
    try:
        backend = FileSystemBackend(FileSystemStorage(media))
        path, _ = assembled(backend, backend.begin(Plan()))
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o666 & ~umask, 0o777 & ~umask)


def test_new_folders_have_the_storage_s_mode_and_old_ones_keep_theirs(media: Path) -> None:
    (media / "uploads").mkdir(parents=True)
    (media / "uploads").chmod(0o711)
    backend = FileSystemBackend(FileSystemStorage(media, directory_permissions_mode=0o750))
    path, _ = assembled(backend, backend.begin(Plan()))
    assert {folder.name: mode(folder) for folder in (path.parent, path.parents[1], path.parents[2])} == {
        path.parent.name: 0o750,
        "2026": 0o750,
        "uploads": 0o711,
    }


# Durability.


@pytest.mark.parametrize(
    ("durability", "expected"),
    [
        ("none", {"chunk": 0, "file": 0, "folders": set()}),
        ("publish", {"chunk": 0, "file": 1, "folders": {"", "uploads", "2026"}}),
        ("chunk", {"chunk": 1, "file": 1, "folders": {"", "uploads", "2026"}}),
    ],
)
def test_what_is_brought_to_the_disk_and_when(
    media: Path, monkeypatch: pytest.MonkeyPatch, durability: str, expected: dict[str, Any]
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    backend = FileSystemBackend(FileSystemStorage(media), durability=durability)
    staging = backend.begin(Plan())
    synced.clear()
    chunk = put(backend, staging, 0, WHOLE)
    for_chunk = synced.count(str(data_file(staging)))
    synced.clear()
    name = backend.assemble(staging, [chunk], name=fresh_name(), size=len(WHOLE))
    random_folder = str(Path(name).parent)
    folders = {os.path.relpath(path, media) for path in synced if path != str(data_file(staging))} - {random_folder}
    assert {
        "chunk": for_chunk,
        "file": synced.count(str(data_file(staging))),
        "folders": {Path(folder).name for folder in folders},
    } == expected
    assert (str(media / random_folder) in synced) is (durability != "none")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is flushed from now on, by a process that has flushed nothing before."""
    filesystem._sync_entry.cache_clear()
    paths: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: paths.append(Path(f"/proc/self/fd/{fd}").readlink()))
    return paths


def test_folders_that_somebody_else_has_just_made_are_flushed_as_well(
    media: Path, synced: list[Path], backend: FileSystemBackend, staging: Staging
) -> None:
    """Guards against a power cut that takes the year's folder, whose maker was not at its fsync yet."""
    name = fresh_name()
    (media / name).parents[1].mkdir(parents=True)
    chunk = put(backend, staging, 0, WHOLE)
    backend.assemble(staging, [chunk], name=name, size=len(WHOLE))
    assert {media, *(media / name).parents} <= {*synced, *media.parents}


def test_chunk_s_durability_covers_the_staging_folder_itself(media: Path, synced: list[Path]) -> None:
    """Guards against a power cut that takes the folder of all staged files, made for the first of them."""
    backend = FileSystemBackend(FileSystemStorage(media), durability="chunk")
    staging = backend.begin(Plan())
    assert {media, Path(staging.root), data_file(staging).parent} <= set(synced)


@pytest.mark.parametrize(("durability", "expected"), [("none", False), ("publish", False), ("chunk", True)])
def test_acknowledged_chunks_survive_a_power_cut_only_with_an_fsync_each(
    media: Path, durability: str, expected: bool
) -> None:
    assert FileSystemBackend(FileSystemStorage(media), durability=durability).durable is expected


# Writers in other processes, stopped and killed while they hold a chunk's lock.


@contextlib.contextmanager
def writing_process(media: Path, staging: Staging) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write chunk 1 in place."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fineuploader_receiver.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(media), staging.root, staging.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "in place\n"
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def write_late(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGCONT)
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert process.stdout.readline() == "written\n"


def test_stopped_writer_makes_completing_copy_and_cannot_change_the_finished_file(
    backend: FileSystemBackend, staging: Staging, media: Path
) -> None:
    with writing_process(media, staging) as process:
        stop(process)
        path, chunks = assembled(backend, staging)
        assert chunks[1].key
        assert path.stat().st_ino != data_file(staging).stat().st_ino
        assert backend.discard(staging, chunks, published=True) is False
        write_late(process)
        assert path.read_bytes() == WHOLE
        process.communicate("")
        assert process.returncode == 0
    assert path.read_bytes() == WHOLE
    assert backend.discard(staging, chunks, published=True) is True
    assert path.read_bytes() == WHOLE


def test_killed_writer_frees_its_place_and_completing_links(
    backend: FileSystemBackend, staging: Staging, media: Path
) -> None:
    with writing_process(media, staging) as process:
        process.kill()
        process.wait()
    path, chunks = assembled(backend, staging)
    assert chunks[1].key == ""
    assert path.stat().st_ino == data_file(staging).stat().st_ino
    assert path.read_bytes() == WHOLE
    assert backend.discard(staging, chunks, published=True) is True


def test_writer_that_was_overtaken_and_then_killed_leaves_its_lock_to_nobody(
    backend: FileSystemBackend, staging: Staging, media: Path
) -> None:
    with writing_process(media, staging) as process:
        stop(process)
        chunks = put_pieces(backend, staging, ORDER)
        assert chunks[1].key
        process.kill()
        process.wait()
    name = backend.assemble(staging, chunks, name=fresh_name(), size=len(WHOLE))
    assert Path(backend.storage.path(name)).stat().st_ino == data_file(staging).stat().st_ino
    assert content(backend, name) == WHOLE


def test_abandoned_upload_is_discarded_although_a_stopped_writer_holds_it(
    backend: FileSystemBackend, staging: Staging, media: Path
) -> None:
    with writing_process(media, staging) as process:
        stop(process)
        assert backend.discard(staging, (), published=False) is True
        assert not Path(staging.root, staging.name).exists()
        process.send_signal(signal.SIGCONT)


def test_late_writer_in_this_process_is_as_harmless(backend: FileSystemBackend, staging: Staging) -> None:
    late = backend.open_chunk(staging, index=1, offset=17, size=None, token=secrets.token_hex(16))
    late.write(b"wrong!!!")
    path, chunks = assembled(backend, staging)
    assert backend.discard(staging, chunks, published=True) is False
    end_late_writer(late)
    assert path.read_bytes() == WHOLE
    assert backend.discard(staging, chunks, published=True) is True
