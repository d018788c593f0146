"""Who may send what: limits that a message alone can break, quotas, free space, and totals that change."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from fineuploader_receiver.backends.base import BackendFailed, OutOfSpace, Plan
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.exceptions import (
    ChunkTooLarge,
    ExtensionNotAllowed,
    FileTooLarge,
    Forbidden,
    NoSpace,
    QuotaExceeded,
    StorageFailed,
    TooManyChunks,
    TooManyUploads,
    TotalsChanged,
    UploadError,
)
from fineuploader_receiver.lifecycle import quota
from fineuploader_receiver.models import OwnerUsage, UploadSession, UploadTombstone
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.receivers import Receiver
from flowtools import kept_bytes
from unittools import DATA, Page, content, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]

DONE = Receipt(complete=True)


def stored_nothing() -> bool:
    return (kept_bytes(), UploadSession.objects.count(), UploadTombstone.objects.count()) == ({}, 0, 0)


# Limits, at the limit and one past it.


@pytest.mark.parametrize(
    ("option", "limit", "allowed", "refused", "error"),
    [
        ("MAX_FILE_SIZE", 25, {}, {"total_size": 26, "size": 26}, FileTooLarge),
        ("ALLOWED_EXTENSIONS", ["txt"], {}, {"filename": "a.exe"}, ExtensionNotAllowed),
    ],
)
def test_simple_upload_at_the_limit_and_past_it(
    page: Page,
    number: uuid.UUID,
    options: Options,
    option: str,
    limit: Any,
    allowed: dict[str, Any],
    refused: dict[str, Any],
    error: type[UploadError],
) -> None:
    options(**{option: limit})
    with pytest.raises(error):
        page.simple(number, **refused)
    assert stored_nothing()
    assert page.simple(number, **allowed) == DONE


@pytest.mark.parametrize(
    ("option", "limit", "below", "error"),
    [
        ("MAX_FILE_SIZE", 25, 24, FileTooLarge),
        ("MAX_CHUNK_SIZE", 10, 9, ChunkTooLarge),
        ("MAX_CHUNKS", 3, 2, TooManyChunks),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_chunk_at_the_limit_and_past_it(
    page: Page,
    number: uuid.UUID,
    options: Options,
    option: str,
    limit: int,
    below: int,
    error: type[UploadError],
    index: int,
) -> None:
    """Every chunk says what the whole file will be, the short last one as well."""
    options(**{option: below})
    with pytest.raises(error):
        page.chunk(number, index)
    assert stored_nothing()
    options(**{option: limit})
    page.chunk(number, index)


def test_chunk_beyond_the_largest_file_is_refused_whatever_the_total_says(
    page: Page, number: uuid.UUID, options: Options
) -> None:
    options(MAX_FILE_SIZE=20)
    page.chunks(number, 0, 1, total_size=None)
    with pytest.raises(FileTooLarge):
        page.chunk(number, 2, total_size=None)


def test_permission_is_asked_before_anything_is_stored(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []

    def no(receiver: Receiver, request: Any, action: str, upload: UploadSession) -> bool:
        asked.append((action, (upload.pk, upload.uuid, upload.filename, upload.total_size, upload.params)))
        return False

    monkeypatch.setattr(Receiver, "has_permission", no)
    with pytest.raises(Forbidden):
        page.simple(number, params={"album": "1"})
    assert asked == [("upload", (None, number, "a.txt", 25, {"album": "1"}))]
    assert stored_nothing()


@pytest.mark.parametrize(("error", "answer"), [(OutOfSpace("full"), NoSpace), (BackendFailed("away"), StorageFailed)])
def test_place_that_cannot_be_made(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch, error: Exception, answer: type[UploadError]
) -> None:
    def fail(backend: FileSystemBackend, plan: Plan) -> Any:
        raise error

    monkeypatch.setattr(FileSystemBackend, "begin", fail)
    with pytest.raises(answer):
        page.simple(number)
    assert stored_nothing()


# Free space.


@pytest.mark.parametrize(
    ("free", "total", "fits"), [(125, 25, True), (124, 25, False), (None, 25, True), (0, 0, True)], ids=str
)
def test_space_for_what_is_still_to_come_at_the_first_request(
    page: Page,
    number: uuid.UUID,
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
    free: int | None,
    total: int,
    fits: bool,
) -> None:
    options(MIN_FREE_SPACE=100)
    monkeypatch.setattr(FileSystemBackend, "free_space", lambda backend: free)
    data = DATA[:total]
    if fits:
        assert page.simple(number, data) == DONE
    else:
        with pytest.raises(NoSpace):
            page.simple(number, data)
        assert stored_nothing()


@pytest.mark.parametrize(("free", "fits"), [(115, True), (114, False)])
def test_space_for_what_is_still_to_come_at_a_later_request(
    page: Page, number: uuid.UUID, options: Options, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool
) -> None:
    """Guards against many small chunks that fill the disk, each admitted because the first one was."""
    page.chunk(number, 0)
    options(MIN_FREE_SPACE=100)
    monkeypatch.setattr(FileSystemBackend, "free_space", lambda backend: free)
    if fits:
        page.chunk(number, 1)
    else:
        with pytest.raises(NoSpace):
            page.chunk(number, 1)
        assert row(number).received_bytes == 10


def test_full_disk_does_not_keep_a_whole_upload_from_being_completed(
    page: Page, number: uuid.UUID, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.chunks(number, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(FileSystemBackend, "assemble", failing)
        with pytest.raises(StorageFailed):
            page.chunk(number, 2)
    options(MIN_FREE_SPACE=100)
    monkeypatch.setattr(FileSystemBackend, "free_space", lambda backend: 0)
    assert page.chunk(number, 2) == DONE


def failing(*_: Any, **__: Any) -> Any:
    raise BackendFailed("for a moment")


# Quotas.


def test_active_uploads_at_the_limit_and_past_it(page: Page, other_page: Page, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=2)
    first, second, third = (uuid.uuid4() for _ in range(3))
    page.chunk(first, 0)
    page.chunk(second, 0)
    with pytest.raises(TooManyUploads):
        page.chunk(third, 0)
    assert not UploadSession.objects.filter(uuid=third).exists()
    page.chunks(first, 1, 2)
    page.chunk(third, 0)
    other_page.chunk(uuid.uuid4(), 0)
    Page(page.caller.owner, "videos").chunk(uuid.uuid4(), 0)


@pytest.mark.parametrize(("limit", "fits"), [(50, True), (49, False)])
def test_staged_bytes_at_the_limit_and_past_it(page: Page, options: Options, limit: int, fits: bool) -> None:
    options(MAX_STAGED_BYTES=limit)
    page.chunk(uuid.uuid4(), 0)
    if fits:
        page.chunk(uuid.uuid4(), 0)
    else:
        with pytest.raises(QuotaExceeded) as caught:
            page.chunk(uuid.uuid4(), 0)
        assert caught.value.prevent_retry is False


def test_file_above_the_whole_allowance_is_refused_for_good(page: Page, number: uuid.UUID, options: Options) -> None:
    options(MAX_STAGED_BYTES=24)
    with pytest.raises(QuotaExceeded) as caught:
        page.chunk(number, 0)
    assert caught.value.prevent_retry is True
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


def test_later_chunks_cost_no_quota(page: Page, number: uuid.UUID, options: Options, monkeypatch: Any) -> None:
    options(MAX_STAGED_BYTES=25, MAX_ACTIVE_UPLOADS=1)
    page.chunk(number, 0)
    monkeypatch.setattr(quota, "check", failing)
    monkeypatch.setattr(quota, "take_turn", failing)
    page.chunks(number, 1, 2)
    assert content(number) == DATA


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, 25),
        ({"total_size": None, "size": None, "body_size": 300}, 300),
    ],
)
def test_reserved_is_the_larger_of_declared_and_received(
    page: Page, number: uuid.UUID, message: dict[str, Any], expected: int
) -> None:
    page.simple(number, **message)
    assert row(number).reserved_bytes == expected


def test_chunks_of_unknown_total_reserve_what_they_may_become(page: Page, number: uuid.UUID) -> None:
    page.chunk(number, 1, total_size=None)
    assert row(number).reserved_bytes == 30


def test_receiver_without_quotas_counts_nobody(page: Page, number: uuid.UUID) -> None:
    page.simple(number)
    assert not OwnerUsage.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("limits", "error"),
    [({"MAX_ACTIVE_UPLOADS": 3}, TooManyUploads), ({"MAX_STAGED_BYTES": 3 * 25 + 24}, QuotaExceeded)],
    ids=["uploads", "bytes"],
)
def test_uploads_begun_at_the_same_moment_never_pass_a_limit(
    page: Page, options: Options, limits: dict[str, int], error: type[UploadError]
) -> None:
    """Guards against summing first and inserting then, which overshot."""
    options(**limits)
    threads = 8
    start = threading.Barrier(threads)
    outcomes: list[str] = []

    def begin() -> None:
        start.wait()
        try:
            page.chunk(uuid.uuid4(), 0)
            outcomes.append("begun")
        except error:
            outcomes.append("refused")
        finally:
            connection.close()

    workers = [threading.Thread(target=begin) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(outcomes) == ["begun"] * 3 + ["refused"] * 5
    assert UploadSession.objects.count() == 3


# Totals that change.


def test_other_totals_are_refused_without_a_reset(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 1)
    with pytest.raises(TotalsChanged) as caught:
        page.chunk(number, 1, DATA + b"more")
    assert caught.value.reset is False
    page.chunk(number, 2)
    assert content(number) == DATA


def test_picture_that_was_scaled_again_begins_again_with_its_first_chunk(page: Page, number: uuid.UUID) -> None:
    other = bytes(reversed(DATA)) + b"longer"
    page.chunks(number, 0, 1)
    page.chunk(number, 0, other)
    page.chunks(number, 1, 2, 3, data=other)
    assert content(number) == other
    assert kept_bytes().keys() == {row(number).file}


def test_first_chunk_of_other_totals_waits_while_others_arrive(page: Page, number: uuid.UUID) -> None:
    """Guards against an upload that is dropped under chunks which are on their way."""
    page.chunk(number, 0)
    upload = row(number)
    upload.chunks.create(index=1, offset=10, size=10, token="x", claimed_at=timezone.now())
    with pytest.raises(TotalsChanged):
        page.chunk(number, 0, DATA + b"more")
    upload.chunks.filter(index=1).update(claimed_at=timezone.now() - datetime.timedelta(hours=1))
    page.chunk(number, 0, DATA + b"more")
    assert row(number).total_size == 29


@pytest.mark.parametrize("index", [0, 1])
def test_finished_file_is_not_replaced(page: Page, number: uuid.UUID, index: int) -> None:
    page.chunks(number, 0, 1, 2)
    with pytest.raises(TotalsChanged):
        page.chunk(number, index, DATA + b"more")
    assert content(number) == DATA
