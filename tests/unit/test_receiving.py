"""Receiving a chunk: what is left when the process dies at any step, and what two attempts at one chunk make of it."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone

from fineuploader_receiver import lifecycle
from fineuploader_receiver.backends.base import BackendFailed, ChunkWriter, OutOfSpace, StagingLost
from fineuploader_receiver.backends.filesystem import FileChunkWriter
from fineuploader_receiver.backends.storage import StorageChunkWriter
from fineuploader_receiver.exceptions import (
    Busy,
    DigestMismatch,
    NoSpace,
    SizeMismatch,
    StorageFailed,
    TruncatedBody,
    TypeNotAllowed,
    UploadError,
)
from fineuploader_receiver.lifecycle import claims, receiving
from fineuploader_receiver.lifecycle.uploads import staging_of
from fineuploader_receiver.models import UploadChunk, UploadSession, UploadTombstone
from fineuploader_receiver.protocol.messages import Receipt, UploadMessage
from flowtools import STORAGES, kept_bytes
from storages_for_tests import MinimalStorage
from unittools import DATA, PART, Page, content, pieces, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]

MORE = Receipt(complete=False)
DONE = Receipt(complete=True)
WRITERS: dict[str, type[ChunkWriter]] = {"file system": FileChunkWriter, "minimal": StorageChunkWriter}


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, settings: Any, page: Page) -> type[ChunkWriter]:
    """The writer of a backend, for each of them."""
    MinimalStorage.contents.clear()
    settings.STORAGES = settings.STORAGES | {"default": STORAGES[request.param]}
    return WRITERS[request.param]


def send(page: Page, message: UploadMessage, content: Iterator[bytes]) -> Receipt:
    return lifecycle.receive(page.receiver, page.caller, message, content)


def part(index: int, data: bytes = DATA) -> bytes:
    return data[index * PART : (index + 1) * PART]


def leftovers() -> dict[str, bytes]:
    """What the storage holds besides finished files."""
    finished = set(UploadSession.objects.exclude(completed_at=None).values_list("file", flat=True))
    return {name: data for name, data in kept_bytes(storages["default"]).items() if name not in finished}


def expire() -> None:
    """Let everything that is unfinished fall due, and purge."""
    past = timezone.now() - datetime.timedelta(hours=1)
    UploadSession.objects.filter(completed_at=None).update(expires_at=past, lease_until=None)
    call_command("purge_expired_uploads", verbosity=0)


# A process that is killed: nothing of ours runs any more, and the kernel closes its files.


class Killed(BaseException):
    """As good as SIGKILL, together with `kill`."""


def kill(patch: pytest.MonkeyPatch, writer: type[ChunkWriter]) -> None:
    """Let nothing clean up, but for what the kernel does."""
    patch.setattr(writer, "abort", close_files)
    patch.setattr(receiving._Attempt, "_undo", lambda *_: None)


def close_files(writer: ChunkWriter) -> None:
    if isinstance(writer, FileChunkWriter):
        writer.close()
    elif isinstance(writer, StorageChunkWriter):
        writer._spool.close()


def dying_content(data: bytes, after: int) -> Iterator[bytes]:
    for number, piece in enumerate(pieces(data)):
        if number == after:
            raise Killed
        yield piece
    raise Killed


def die(*_: Any, **__: Any) -> Any:
    raise Killed


def then_die(call: Callable[..., Any]) -> Callable[..., Any]:
    def work(*arguments: Any, **options: Any) -> Any:
        call(*arguments, **options)
        raise Killed

    return work


STEPS: dict[str, Callable[[pytest.MonkeyPatch, type[ChunkWriter]], None]] = {
    "before the claim": lambda patch, writer: patch.setattr(claims.Claim, "take", die),
    "after the claim": lambda patch, writer: patch.setattr(claims.Claim, "take", then_die(claims.Claim.take)),
    "before the bytes are kept": lambda patch, writer: patch.setattr(writer, "commit", die),
    "after the bytes are kept": lambda patch, writer: patch.setattr(writer, "commit", then_die(writer.commit)),
    "before the row says so": lambda patch, writer: patch.setattr(receiving._Attempt, "_commit", die),
    "after the row says so": lambda patch, writer: patch.setattr(
        receiving._Attempt, "_commit", then_die(receiving._Attempt._commit)
    ),
    "before completing": lambda patch, writer: patch.setattr(receiving, "finish", die),
}
BYTES = {f"after {number} pieces": number for number in range(4)}


@pytest.mark.parametrize("step", [*STEPS, *BYTES])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_killed_at_any_step_the_client_s_repeat_completes(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter], step: str, index: int
) -> None:
    others = [other for other in (0, 1, 2) if other != index]
    page.chunks(number, *others)
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, writer)
        if step in STEPS:
            STEPS[step](patch, writer)
        dying = dying_content(part(index), BYTES[step]) if step in BYTES else pieces(part(index))
        with pytest.raises(Killed):
            send(page, page.chunk_message(number, index), dying)
    assert page.chunk(number, index) == DONE
    assert content(number) == DATA
    expire()
    assert leftovers() == {}


@pytest.mark.parametrize("step", [*STEPS, *BYTES])
def test_killed_at_any_step_the_purge_clears_up(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter], step: str
) -> None:
    page.chunks(number, 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, writer)
        if step in STEPS:
            STEPS[step](patch, writer)
        dying = dying_content(part(2), BYTES[step]) if step in BYTES else pieces(part(2))
        with pytest.raises(Killed):
            send(page, page.chunk_message(number, 2), dying)
    assert not UploadSession.objects.filter(state=UploadSession.State.COMPLETE).exists()
    expire()
    assert (leftovers(), UploadSession.objects.count(), UploadChunk.objects.count()) == ({}, 0, 0)


def test_killed_in_its_first_request_the_repeat_completes(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, writer)
        with pytest.raises(Killed):
            send(page, page.simple_message(number), dying_content(DATA, 3))
    assert row(number).received_bytes == 0
    assert page.simple(number) == DONE
    assert content(number) == DATA


# An attempt that fails in peace.


FAILURES: dict[str, tuple[Callable[[Page, uuid.UUID], UploadMessage], bytes, type[UploadError]]] = {
    "too short": (lambda page, number: page.chunk_message(number, 1), b"short", SizeMismatch),
    "too long": (lambda page, number: page.chunk_message(number, 1), b"x" * 11, SizeMismatch),
    "other digest": (
        lambda page, number: page.chunk_message(number, 1, digest=f"sha256:{'0' * 64}"),
        part(1),
        DigestMismatch,
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("first", [True, False], ids=["first request", "later request"])
def test_failed_attempt_leaves_nothing(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter], failure: str, first: bool
) -> None:
    if not first:
        page.chunk(number, 0)
    before = leftovers()
    make, data, error = FAILURES[failure]
    with pytest.raises(error):
        send(page, make(page, number), pieces(data))
    assert UploadSession.objects.count() == (0 if first else 1)
    assert UploadChunk.objects.filter(index=1).count() == 0
    assert UploadTombstone.objects.count() == 0
    assert {name: data[:PART] for name, data in leftovers().items()} == before
    page.chunks(number, *([0] if first else []), 1, 2)
    assert content(number) == DATA


def breaking(data: bytes) -> Iterator[bytes]:
    yield data[:4]
    raise TruncatedBody


def test_connection_that_breaks_leaves_nothing(page: Page, number: uuid.UUID, writer: type[ChunkWriter]) -> None:
    with pytest.raises(TruncatedBody):
        send(page, page.simple_message(number), breaking(DATA))
    assert (leftovers(), UploadSession.objects.count(), UploadTombstone.objects.count()) == ({}, 0, 0)


@pytest.mark.parametrize(
    ("error", "answer"),
    [(OutOfSpace("full"), NoSpace), (BackendFailed("away"), StorageFailed), (StagingLost("gone"), Busy)],
)
@pytest.mark.parametrize("method", ["write", "commit"])
def test_bytes_that_cannot_be_kept(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter], method: str, error: Exception, answer: type[UploadError]
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, method, fail)
        with pytest.raises(answer):
            page.simple(number)
    assert (leftovers(), UploadSession.objects.count()) == ({}, 0)
    assert page.simple(number) == DONE


def test_good_digest(page: Page, number: uuid.UUID) -> None:
    assert page.simple(number, digest=f"sha256:{hashlib.sha256(DATA).hexdigest()}") == DONE


def test_wrong_kind_is_found_out_within_the_first_bytes(page: Page, number: uuid.UUID, options: Options) -> None:
    options(ALLOWED_CONTENT_TYPES=["image/png"])
    read: list[bytes] = []

    def noting(data: bytes) -> Iterator[bytes]:
        for piece in pieces(data, 256):
            read.append(piece)
            yield piece

    data = b"no picture" * 1000
    with pytest.raises(TypeNotAllowed):
        send(page, page.simple_message(number, data), noting(data))
    assert len(read) == 2
    assert (leftovers(), UploadTombstone.objects.get().refusal) == ({}, "type_not_allowed")


# Two attempts at one chunk.


def with_another_in_the_middle(data: bytes, other: Callable[[], Any]) -> Iterator[bytes]:
    yield data[:4]
    other()
    yield data[4:]


def test_overtaken_attempt_succeeds_with_the_winner_s_bytes(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    """The first attempt stalls, the client sends the chunk again, and then the first one goes on."""
    page.chunks(number, 0, 2)
    other = DATA.replace(part(1), b"OTHERBYTES")
    late = with_another_in_the_middle(part(1), lambda: page.chunk(number, 1, other))
    assert send(page, page.chunk_message(number, 1), late) == DONE
    assert content(number) == other
    assert UploadChunk.objects.filter(session=row(number), index=1).count() == 1
    expire()
    assert leftovers() == {}


def test_overtaken_attempt_does_not_count_twice(page: Page, number: uuid.UUID, writer: type[ChunkWriter]) -> None:
    """Guards against received bytes that reach the total while a chunk is missing."""
    page.chunk(number, 0)
    late = with_another_in_the_middle(part(1), lambda: page.chunk(number, 1))
    assert send(page, page.chunk_message(number, 1), late) == MORE
    assert (row(number).received_bytes, row(number).received_chunks) == (20, 2)
    assert page.chunk(number, 2) == DONE
    assert content(number) == DATA


def test_attempt_whose_successor_fails_is_the_chunk(page: Page, number: uuid.UUID, writer: type[ChunkWriter]) -> None:
    """Guards against bytes that arrived whole and were given up for a repeat that did not."""

    def fail() -> None:
        with pytest.raises(TruncatedBody):
            send(page, page.chunk_message(number, 1), breaking(part(1)))

    page.chunk(number, 0)
    late = with_another_in_the_middle(part(1), fail)
    assert send(page, page.chunk_message(number, 1), late) == MORE
    assert page.chunk(number, 2) == DONE
    assert content(number) == DATA
    expire()
    assert leftovers() == {}


def test_first_whole_attempt_counts_though_another_has_claimed_since(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    """Guards against a slow store behind an impatient proxy, where each repeat would overtake the attempt before it."""
    page.chunk(number, 0)
    repeat = claims.Claim(row(number), 1)
    place = staging_of(row(number))
    other = page.receiver.backend.open_chunk(place, index=1, offset=10, size=10, token=repeat.token)

    def claim() -> None:
        assert repeat.take(key=other.key, offset=10, size=10, now=timezone.now())

    assert send(page, page.chunk_message(number, 1), with_another_in_the_middle(part(1), claim)) == MORE
    assert (repeat.look(), repeat.is_stored()) == (True, False)
    assert repeat.store(key=other.key, size=10) is None
    other.abort()
    assert page.chunk(number, 2) == DONE
    assert content(number) == DATA
    expire()
    assert leftovers() == {}


def test_attempts_that_died_leave_nothing_where_the_store_cannot_list(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    page.chunk(number, 0)
    for _ in range(3):
        dead = claims.Claim(row(number), 1)
        attempt = page.receiver.backend.open_chunk(
            staging_of(row(number)), index=1, offset=10, size=10, token=dead.token
        )
        assert dead.take(key=attempt.key, offset=10, size=10, now=timezone.now())
        attempt.write(part(1))
        attempt.commit()
        attempt.close()
    page.chunks(number, 1, 2)
    assert content(number) == DATA
    expire()
    assert leftovers() == {}


def test_attempt_at_an_upload_that_is_deleted_meanwhile(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    page.chunk(number, 0)
    late = with_another_in_the_middle(part(1), lambda: page.delete(number))
    with pytest.raises(Busy):
        send(page, page.chunk_message(number, 1), late)
    assert (leftovers(), UploadSession.objects.count(), UploadChunk.objects.count()) == ({}, 0, 0)


def test_attempt_at_an_upload_that_is_completed_meanwhile(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    late = with_another_in_the_middle(part(1), lambda: page.chunks(number, 0, 1, 2))
    assert send(page, page.chunk_message(number, 1), late) == DONE
    assert content(number) == DATA
    expire()
    assert leftovers() == {}


def test_attempt_at_an_upload_that_is_deleted_and_begun_again_meanwhile(
    page: Page, number: uuid.UUID, writer: type[ChunkWriter]
) -> None:
    """The new upload under the old uuid must not take bytes of the old one."""

    def again() -> None:
        page.delete(number)
        page.chunk(number, 0, b"n" * 25)

    late = with_another_in_the_middle(part(1), again)
    with pytest.raises(Busy):
        send(page, page.chunk_message(number, 1), late)
    page.chunks(number, 1, 2, data=b"n" * 25)
    assert content(number) == b"n" * 25


# What the row learns.


def test_last_word_on_name_and_params(page: Page, number: uuid.UUID) -> None:
    page.chunk(number, 0, filename="first.txt", params={"a": "1", "b": "1"})
    page.chunk(number, 1, filename="second.txt", params={"b": "2", "c": "2"})
    page.chunk(number, 2, filename="", params={})
    upload = row(number)
    assert (upload.filename, upload.params) == ("second.txt", {"a": "1", "b": "2", "c": "2"})


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [((0, 1), False), ((0, 0, 1), False), ((1, 0), True), ((0, 2), True), ((2, 1, 0), True), ((1, 2), False)],
    ids=str,
)
def test_chunks_out_of_order_are_noted(page: Page, number: uuid.UUID, indexes: tuple[int, ...], expected: bool) -> None:
    page.chunks(number, *indexes)
    assert row(number).out_of_order is expected


def test_two_resumed_indexes_are_noted(page: Page, number: uuid.UUID) -> None:
    page.chunk(number, 1, resumed=True, done_request=True)
    assert (row(number).resumed_index, row(number).out_of_order) == (1, False)
    page.chunk(number, 1, resumed=True)
    assert row(number).out_of_order is False
    page.chunk(number, 2, resumed=True)
    assert row(number).out_of_order is True


def test_signals_in_their_order(page: Page, number: uuid.UUID, heard: list[tuple[str, str]]) -> None:
    page.chunks(number, 0, 1, 1, 2, 2)
    page.delete(number)
    assert [name for name, _ in heard] == [
        "upload_started",
        "chunk_received",
        "chunk_received",
        "chunk_received",
        "upload_completed",
        "upload_deleted",
    ]
    assert ("upload_completed", "complete") in heard


# Long bodies.


def test_long_chunk_shows_that_it_is_alive(page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an upload that expires, or a claim that lapses, while its bytes arrive."""
    page.chunk(number, 0)
    past = timezone.now() - datetime.timedelta(days=7)

    def age() -> None:
        UploadSession.objects.update(updated_at=past, expires_at=past)
        UploadChunk.objects.filter(index=1).update(claimed_at=past)
        monkeypatch.setattr(receiving, "HEARTBEAT_SECONDS", 0.0)

    seen: list[bool] = []

    def look() -> None:
        upload = row(number)
        assert upload.expires_at is not None
        claimed = UploadChunk.objects.get(session=upload, index=1).claimed_at
        seen.extend(moment > timezone.now() - datetime.timedelta(minutes=1) for moment in (claimed, upload.updated_at))
        seen.append(upload.expires_at > timezone.now() + datetime.timedelta(days=7))

    def body() -> Iterator[bytes]:
        data = part(1)
        yield data[:2]
        age()
        yield data[2:4]
        yield data[4:6]
        look()
        yield data[6:]

    monkeypatch.setattr(receiving, "HEARTBEAT_SECONDS", -1.0)
    assert send(page, page.chunk_message(number, 1), body()) == MORE
    assert seen == [True, True, True]


def test_disk_that_fills_up_under_a_long_body_is_noticed(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "SPACE_CHECK_BYTES", 8)
    free = [10**12] * 2 + [0]
    monkeypatch.setattr(type(page.receiver.backend), "free_space", lambda backend: free.pop(0) if free else 0)
    with pytest.raises(NoSpace):
        page.simple(number)
    assert (leftovers(), UploadSession.objects.count()) == ({}, 0)
