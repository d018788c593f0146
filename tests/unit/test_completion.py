"""Completing: once, by the holder of a lease, whatever dies, fails or arrives at the same moment."""

from __future__ import annotations

import datetime
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from fineuploader_receiver.backends.base import BackendFailed, OutOfSpace, Staging, StoredChunk
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.exceptions import (
    Assembling,
    HookFailed,
    InvalidFile,
    NoSpace,
    StorageFailed,
    UploadError,
    UploadLost,
)
from fineuploader_receiver.lifecycle import completion, naming
from fineuploader_receiver.models import UploadSession, UploadTombstone
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.signals import upload_completed
from flowtools import kept_bytes
from unittools import DATA, HookedReceiver, Page, content, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]
Assemble = Callable[..., str]
Meanwhile = Callable[[], None]

ASSEMBLE = FileSystemBackend.assemble
RECEIVING = UploadSession.State.RECEIVING
ASSEMBLING = UploadSession.State.ASSEMBLING
COMPLETE = UploadSession.State.COMPLETE
DONE = Receipt(complete=True)
ONCE = [("validate", "assembling"), ("completed", "complete")]


@pytest.fixture
def hooks(options: Options, monkeypatch: pytest.MonkeyPatch) -> type[HookedReceiver]:
    monkeypatch.setattr(HookedReceiver, "calls", [])
    monkeypatch.setattr(HookedReceiver, "validate_error", None)
    monkeypatch.setattr(HookedReceiver, "completed_error", None)
    options(RECEIVER="unittools.HookedReceiver")
    return HookedReceiver


@pytest.fixture
def whole(page: Page, number: uuid.UUID, hooks: type[HookedReceiver]) -> uuid.UUID:
    """An upload whose chunks are all stored, and which nobody has completed: the process that should have, failed."""
    page.chunks(number, 1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSystemBackend, "assemble", raising(BackendFailed("for a moment")))
        with pytest.raises(StorageFailed):
            page.chunk(number, 0)
    assert facts(number) == {"state": RECEIVING, "published": False, "leased": False, "complete": False}
    return number


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def facts(number: uuid.UUID) -> dict[str, Any]:
    upload = row(number)
    return {
        "state": upload.state,
        "published": upload.published,
        "leased": bool(upload.lease_token or upload.lease_until),
        "complete": upload.completed_at is not None,
    }


def finished(number: uuid.UUID) -> dict[str, bytes]:
    """What the storage must hold when the upload is complete, and nothing else."""
    return {row(number).file: DATA}


def nothing() -> None:
    """Happen in the meantime, where a test has nothing else in mind."""


def around(monkeypatch: pytest.MonkeyPatch, *, before: Meanwhile = nothing, after: Meanwhile = nothing) -> list[str]:
    """Let something happen before or after each assembling, and note the names that were assembled."""
    names: list[str] = []

    def watched(
        self: FileSystemBackend, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int
    ) -> str:
        names.append(name)
        before()
        made = ASSEMBLE(self, staging, chunks, name=name, size=size)
        after()
        return made

    monkeypatch.setattr(FileSystemBackend, "assemble", watched)
    return names


def lease(number: uuid.UUID, *, seconds: float, **fields: Any) -> None:
    """Make the upload look as if another process were assembling it."""
    until = timezone.now() + datetime.timedelta(seconds=seconds)
    values = {"state": ASSEMBLING, "lease_token": "somebody else", "lease_until": until, **fields}
    assert UploadSession.objects.filter(uuid=number).update(**values) == 1


# Once, with the same answer for everybody.


def test_last_missing_chunk_completes(page: Page, number: uuid.UUID, hooks: type[HookedReceiver]) -> None:
    receipts = [page.chunk(number, index) for index in (2, 0, 1)]
    assert receipts == [Receipt(complete=False), Receipt(complete=False), DONE]
    assert hooks.calls == ONCE
    assert kept_bytes() == finished(number)


@pytest.mark.parametrize("again", ["done", "chunk", "both"])
def test_whoever_asks_again_hears_the_same(
    page: Page, number: uuid.UUID, hooks: type[HookedReceiver], again: str
) -> None:
    page.chunks(number, 0, 1, 2)
    before = (facts(number), kept_bytes())
    if again != "chunk":
        assert [page.done(number), page.done(number)] == [DONE, DONE]
    if again != "done":
        assert [page.chunk(number, index) for index in (2, 1, 0)] == [DONE, DONE, DONE]
    assert hooks.calls == ONCE
    assert (facts(number), kept_bytes()) == before


def test_completion_that_failed_is_tried_again_by_a_repeated_chunk(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]
) -> None:
    assert page.chunk(whole, 1) == DONE
    assert hooks.calls == ONCE
    assert kept_bytes() == finished(whole)


def test_completion_that_failed_is_tried_again_by_done(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]
) -> None:
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE
    assert kept_bytes() == finished(whole)


def test_digest_of_the_finished_file_is_kept(page: Page, number: uuid.UUID, options: Options) -> None:
    options(DIGEST="sha256")
    page.chunks(number, 2, 1, 0)
    assert row(number).digest == f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def test_row_of_a_complete_upload(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 1, 2)
    upload = row(number)
    assert upload.completed_at is not None
    assert {
        "state": upload.state,
        "total_size": upload.total_size,
        "received_bytes": upload.received_bytes,
        "expires_at": upload.expires_at,
        "lease": (upload.lease_token, upload.lease_until),
        "updated_at": upload.updated_at,
        "content_type": upload.content_type,
        "digest": upload.digest,
        "claimed_at": upload.claimed_at,
    } == {
        "state": COMPLETE,
        "total_size": 25,
        "received_bytes": 25,
        "expires_at": None,
        "lease": ("", None),
        "updated_at": upload.completed_at,
        "content_type": "text/plain",
        "digest": "",
        "claimed_at": None,
    }


# Leases.


def test_lease_that_somebody_holds_is_waited_for(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "WAIT_SECONDS", 0.1)
    lease(whole, seconds=60)
    with pytest.raises(Assembling):
        page.done(whole)
    assert (hooks.calls, facts(whole)["state"]) == ([], ASSEMBLING)


def test_lapsed_lease_is_taken_over_and_the_file_made_again(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]
) -> None:
    lease(whole, seconds=-1)
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE
    assert kept_bytes() == finished(whole)


def test_what_a_dead_process_assembled_and_never_recorded_is_deleted(
    page: Page, whole: uuid.UUID, backend: FileSystemBackend
) -> None:
    upload = row(whole)
    dead = backend.assemble(
        Staging(upload.staging_root, upload.staged_name), stored(upload), name="uploads/dead/a.txt", size=25
    )
    lease(whole, seconds=-1, file=dead)
    assert page.done(whole) == DONE
    assert row(whole).file != dead
    assert kept_bytes() == finished(whole)


def test_what_a_dead_process_published_is_adopted(
    page: Page, whole: uuid.UUID, backend: FileSystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = row(whole)
    published = backend.assemble(
        Staging(upload.staging_root, upload.staged_name), stored(upload), name="uploads/dead/a.txt", size=25
    )
    lease(whole, seconds=-1, file=published, published=True)
    monkeypatch.setattr(FileSystemBackend, "assemble", raising(AssertionError("it was there")))
    assert page.done(whole) == DONE
    assert kept_bytes() == {published: DATA}


def test_two_dead_processes_leave_nothing(page: Page, whole: uuid.UUID, backend: FileSystemBackend) -> None:
    upload = row(whole)
    staging, chunks = Staging(upload.staging_root, upload.staged_name), stored(upload)
    first = backend.assemble(staging, chunks, name="uploads/first/a.txt", size=25)
    second = backend.assemble(staging, chunks, name="uploads/second/a.txt", size=25)
    lease(whole, seconds=-1, file=second, leftover=first)
    assert page.done(whole) == DONE
    assert kept_bytes() == finished(whole)


def test_process_that_lost_its_lease_deletes_its_own_file_only(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first one assembles, its lease lapses, and the second one completes."""

    def overtake() -> None:
        monkeypatch.setattr(FileSystemBackend, "assemble", ASSEMBLE)
        lease(whole, seconds=-1)
        assert page.done(whole) == DONE

    names = around(monkeypatch, after=overtake)
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE
    assert row(whole).file not in names
    assert kept_bytes() == finished(whole)


def test_process_that_lost_its_lease_before_it_began_hears_of_the_success(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against `reset` for an upload that another process has completed, whose staged bytes are gone by then."""

    def overtake() -> None:
        monkeypatch.setattr(FileSystemBackend, "assemble", ASSEMBLE)
        lease(whole, seconds=-1)
        assert page.done(whole) == DONE

    around(monkeypatch, before=overtake)
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE
    assert kept_bytes() == finished(whole)


def test_file_that_is_published_while_its_lease_is_taken_over_is_adopted(
    page: Page, whole: uuid.UUID, backend: FileSystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a row that says `published` of a name which does not exist yet: the holder may die next."""
    upload = row(whole)
    late = backend.assemble(
        Staging(upload.staging_root, upload.staged_name), stored(upload), name="uploads/late/a.txt", size=25
    )
    lease(whole, seconds=-1, file=late)
    final_name = naming.final_name

    def meanwhile(*arguments: Any) -> str:
        monkeypatch.setattr(completion, "final_name", final_name)
        UploadSession.objects.filter(uuid=whole).update(published=True)
        return final_name(*arguments)

    monkeypatch.setattr(completion, "final_name", meanwhile)
    assert page.done(whole) == DONE
    assert kept_bytes() == {late: DATA}


@pytest.mark.django_db(transaction=True)
def test_lease_is_renewed_while_the_file_is_being_made(
    page: Page, whole: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "LEASE", datetime.timedelta(seconds=1))
    seen: list[datetime.datetime] = []

    def wait_for_renewal() -> None:
        deadline = time.monotonic() + 20
        while len(set(seen)) < 3:
            assert time.monotonic() < deadline
            until = row(whole).lease_until
            assert until is not None
            seen.append(until)

    around(monkeypatch, before=wait_for_renewal)
    assert page.done(whole) == DONE
    assert seen == sorted(seen)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [2, 4])
def test_requests_at_the_same_moment_complete_once(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver], count: int
) -> None:
    start = threading.Barrier(count)
    outcomes: list[Receipt | UploadError] = []

    def request(index: int) -> None:
        start.wait()
        try:
            outcomes.append(page.done(whole) if index % 2 else page.chunk(whole, index % 3))
        except UploadError as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=request, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [DONE] * count
    assert hooks.calls == ONCE
    # A repeated chunk that is just looking leaves the staged file, which is the finished one, to the purge.
    call_command("purge_expired_uploads", verbosity=0)
    assert kept_bytes() == finished(whole)


# What fails, and what it leaves.


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (BackendFailed("away"), StorageFailed),
        (OutOfSpace("full"), NoSpace),
        (RuntimeError("a bug"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=repr,
)
def test_failed_assembling_gives_the_lease_back(
    page: Page,
    whole: uuid.UUID,
    hooks: type[HookedReceiver],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    answer: type[BaseException],
) -> None:
    staged = kept_bytes()
    with monkeypatch.context() as patch:
        around(patch, after=raising(error))
        with pytest.raises(answer):
            page.done(whole)
    assert facts(whole) == {"state": RECEIVING, "published": False, "leased": False, "complete": False}
    assert kept_bytes() == staged
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE


def test_hook_that_raises_keeps_the_file_and_runs_again(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a receiver's exception that deletes the file, or that makes it a second time."""
    names = around(monkeypatch)
    hooks.completed_error = RuntimeError("the shop is closed")
    for _ in range(2):
        with pytest.raises(HookFailed):
            page.done(whole)
        assert facts(whole) == {"state": RECEIVING, "published": True, "leased": False, "complete": False}
    assert not Group.objects.exists()
    hooks.completed_error = None
    assert page.done(whole) == DONE
    assert hooks.calls == ONCE * 3
    assert names == [row(whole).file]
    assert list(Group.objects.values_list("name", flat=True)) == [str(whole)]
    assert kept_bytes() == finished(whole)


def test_signal_s_receiver_that_raises_is_a_hook_that_failed(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]
) -> None:
    listener = raising(RuntimeError("the shop is closed"))
    upload_completed.connect(listener)
    try:
        with pytest.raises(HookFailed):
            page.done(whole)
    finally:
        upload_completed.disconnect(listener)
    assert not Group.objects.exists()
    assert page.done(whole) == DONE


def test_hook_that_meets_a_busy_database_is_not_a_failed_hook(
    page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]
) -> None:
    hooks.completed_error = OperationalError("the database is elsewhere")
    with pytest.raises(OperationalError):
        page.done(whole)
    assert facts(whole) == {"state": RECEIVING, "published": True, "leased": False, "complete": False}


def test_refused_file_is_deleted_and_stays_refused(page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]) -> None:
    hooks.validate_error = ValidationError("Too blue.")
    with pytest.raises(InvalidFile, match=r"Too blue\."):
        page.done(whole)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)
    hooks.validate_error = None
    with pytest.raises(InvalidFile, match=r"Too blue\."):
        page.done(whole)
    with pytest.raises(InvalidFile, match=r"Too blue\."):
        page.chunk(whole, 1)
    tombstone = UploadTombstone.objects.get()
    assert (tombstone.uuid, tombstone.refusal, tombstone.message) == (whole, "invalid_file", "Too blue.")


def test_validation_that_breaks_refuses_nothing(page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]) -> None:
    hooks.validate_error = RuntimeError("the scanner is away")
    with pytest.raises(HookFailed):
        page.done(whole)
    assert facts(whole) == {"state": RECEIVING, "published": True, "leased": False, "complete": False}
    hooks.validate_error = None
    assert page.done(whole) == DONE


def test_lost_staging_resets(page: Page, whole: uuid.UUID, backend: FileSystemBackend) -> None:
    upload = row(whole)
    backend.discard(Staging(upload.staging_root, upload.staged_name), (), published=False)
    with pytest.raises(UploadLost):
        page.done(whole)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


def test_published_file_that_is_gone_resets(page: Page, whole: uuid.UUID, hooks: type[HookedReceiver]) -> None:
    hooks.completed_error = RuntimeError("the shop is closed")
    with pytest.raises(HookFailed):
        page.done(whole)
    row(whole).get_storage().delete(row(whole).file)
    hooks.completed_error = None
    with pytest.raises(UploadLost):
        page.done(whole)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


def test_chunks_that_do_not_add_up_make_no_file(page: Page, number: uuid.UUID) -> None:
    """A last chunk says nothing of the total, and the others one that it does not reach."""
    page.chunk(number, 2, total_size=None)
    page.chunk(number, 0, total_size=27)
    assert page.chunk(number, 1, total_size=27) == Receipt(complete=False)
    with pytest.raises(UploadLost):
        page.done(number, total_size=27)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


@pytest.mark.parametrize(
    "changes", [{"total_size": 24}, {"total_chunks": 2}, {"total_size": 0, "total_chunks": 0}], ids=str
)
def test_done_with_other_totals_resets(page: Page, whole: uuid.UUID, changes: dict[str, Any]) -> None:
    with pytest.raises(UploadLost):
        page.done(whole, **changes)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


def test_done_may_leave_the_totals_out(page: Page, whole: uuid.UUID) -> None:
    assert page.done(whole, total_size=None, total_chunks=None) == DONE


@pytest.mark.parametrize("total", [25, None])
def test_chunks_may_leave_the_total_size_out(
    page: Page, number: uuid.UUID, hooks: type[HookedReceiver], total: int | None
) -> None:
    """Guards against a success request that names a size which the row does not know yet."""
    page.chunks(number, 0, 1, total_size=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSystemBackend, "assemble", raising(BackendFailed("for a moment")))
        with pytest.raises(StorageFailed):
            page.chunk(number, 2, total_size=None)
    assert page.done(number, total_size=total) == DONE
    assert content(number) == DATA


def test_done_with_chunks_missing_resets(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 2)
    with pytest.raises(UploadLost):
        page.done(number)
    assert (kept_bytes(), UploadSession.objects.count()) == ({}, 0)


def test_done_alone_makes_an_empty_file(page: Page, number: uuid.UUID, hooks: type[HookedReceiver]) -> None:
    assert page.done(number, total_size=0, total_chunks=0) == DONE
    assert kept_bytes() == {row(number).file: b""}
    assert hooks.calls == ONCE


def stored(upload: UploadSession) -> list[StoredChunk]:
    values = upload.chunks.order_by("index").values("index", "offset", "size", "key")
    return [StoredChunk(**fields) for fields in values]
