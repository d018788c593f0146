"""Deleting and dropping: what may be removed in which state, what goes with it, and what is remembered."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone

from fineuploader_receiver.backends.base import BackendFailed
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.exceptions import Assembling, Claimed, Forbidden, StorageFailed, TypeNotAllowed
from fineuploader_receiver.lifecycle.removal import drop
from fineuploader_receiver.models import UploadChunk, UploadSession, UploadTombstone
from fineuploader_receiver.receivers import Receiver
from flowtools import kept_bytes
from unittools import Page, row

pytestmark = pytest.mark.django_db

State = UploadSession.State
HOUR = datetime.timedelta(hours=1)


def lease(number: uuid.UUID, state: str, held: bool) -> None:
    until = timezone.now() + (HOUR if held else -HOUR)
    UploadSession.objects.filter(uuid=number).update(state=state, lease_until=until, lease_token="somebody")


def everything_is_gone() -> bool:
    return (kept_bytes(), UploadSession.objects.count(), UploadChunk.objects.count()) == ({}, 0, 0)


@pytest.fixture
def unfinished(page: Page, number: uuid.UUID) -> uuid.UUID:
    page.chunks(number, 0, 2)
    return number


@pytest.fixture
def finished(page: Page, number: uuid.UUID) -> uuid.UUID:
    page.simple(number)
    return number


# The owner's delete.


def test_unfinished_upload_goes_with_its_bytes(page: Page, unfinished: uuid.UUID, heard: list[tuple[str, str]]) -> None:
    heard.clear()
    page.delete(unfinished)
    assert everything_is_gone()
    assert [name for name, _ in heard] == ["upload_deleted"]


def test_finished_upload_goes_with_its_file(page: Page, finished: uuid.UUID, heard: list[tuple[str, str]]) -> None:
    heard.clear()
    page.delete(finished)
    assert everything_is_gone()
    assert [name for name, _ in heard] == ["upload_deleted"]


def test_repeat_and_unknown_and_foreign_deletes_change_nothing(
    page: Page, other_page: Page, unfinished: uuid.UUID, heard: list[tuple[str, str]]
) -> None:
    heard.clear()
    before = kept_bytes()
    page.delete(uuid.uuid4())
    other_page.delete(unfinished)
    Page(page.caller.owner, "videos").delete(unfinished)
    assert (kept_bytes(), heard) == (before, [])
    page.delete(unfinished)
    page.delete(unfinished)
    assert [name for name, _ in heard] == ["upload_deleted"]


@pytest.mark.parametrize(
    ("state", "held", "error"),
    [
        (State.ASSEMBLING, True, Assembling),
        (State.ASSEMBLING, False, None),
        (State.REMOVING, True, None),
        (State.REMOVING, False, None),
    ],
)
def test_delete_of_an_upload_that_somebody_is_at(
    page: Page, unfinished: uuid.UUID, state: str, held: bool, error: type[Exception] | None
) -> None:
    lease(unfinished, state, held)
    if error is None:
        page.delete(unfinished)
    else:
        with pytest.raises(error):
            page.delete(unfinished)
    assert UploadSession.objects.exists() is held


def test_claimed_file_is_the_site_s(page: Page, finished: uuid.UUID) -> None:
    row(finished).claim()
    with pytest.raises(Claimed):
        page.delete(finished)
    assert kept_bytes().keys() == {row(finished).file}


def test_file_that_is_claimed_at_the_last_moment_stays(
    page: Page, finished: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(receiver: Receiver, request: Any, action: str, upload: UploadSession) -> bool:
        return row(finished).claim()

    monkeypatch.setattr(Receiver, "has_permission", late)
    with pytest.raises(Claimed):
        page.delete(finished)
    assert kept_bytes().keys() == {row(finished).file}


def test_owner_who_may_not_delete(page: Page, finished: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no(receiver: Receiver, request: Any, action: str, upload: UploadSession) -> bool:
        asked.append(action)
        return False

    monkeypatch.setattr(Receiver, "has_permission", no)
    with pytest.raises(Forbidden):
        page.delete(finished)
    assert asked == ["delete"]
    assert kept_bytes().keys() == {row(finished).file}


def test_bytes_that_cannot_be_deleted_keep_the_row_for_the_next_attempt(
    page: Page, finished: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a row that goes while its file stays for ever."""

    def fail(*_: Any, **__: Any) -> None:
        raise BackendFailed("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemBackend, "retract", fail)
        with pytest.raises(StorageFailed):
            page.delete(finished)
    assert row(finished).state == State.REMOVING
    UploadSession.objects.update(lease_until=timezone.now() - HOUR)
    page.delete(finished)
    assert everything_is_gone()


# Dropping.


@pytest.mark.parametrize(
    ("state", "held", "expected"),
    [
        (State.RECEIVING, False, True),
        (State.ASSEMBLING, True, False),
        (State.ASSEMBLING, False, False),
        (State.REMOVING, True, False),
        (State.REMOVING, False, False),
    ],
)
def test_dropping_takes_unfinished_uploads_only(
    page: Page, unfinished: uuid.UUID, state: str, held: bool, expected: bool
) -> None:
    lease(unfinished, state, held)
    assert drop(page.receiver, row(unfinished)) is expected
    assert everything_is_gone() is expected


def test_dropping_never_takes_a_finished_file(page: Page, unfinished: uuid.UUID) -> None:
    """Guards against a stale look at the row: it was receiving when it was read."""
    stale = row(unfinished)
    page.chunk(unfinished, 1)
    assert drop(page.receiver, stale) is False
    assert kept_bytes().keys() == {row(unfinished).file}


def test_dropping_on_a_condition(page: Page, unfinished: uuid.UUID) -> None:
    assert drop(page.receiver, row(unfinished), only=Q(chunks=None)) is False
    assert drop(page.receiver, row(unfinished), only=Q(received_chunks=2)) is True


def test_dropping_where_bytes_cannot_be_deleted(
    page: Page, unfinished: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> bool:
        raise BackendFailed("read-only")

    monkeypatch.setattr(FileSystemBackend, "discard", fail)
    assert drop(page.receiver, row(unfinished)) is False
    assert row(unfinished).state == State.REMOVING


# What is remembered.


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, {"done_request": None, "refusal": "", "message": ""}),
        ({"done_request": True}, {"done_request": True, "refusal": "", "message": ""}),
        (
            {"refusal": TypeNotAllowed("Only pictures. " + "x" * 600)},
            {"done_request": None, "refusal": "type_not_allowed", "message": ("Only pictures. " + "x" * 600)[:500]},
        ),
    ],
    ids=["lost", "done", "refused"],
)
def test_tombstone(page: Page, unfinished: uuid.UUID, how: dict[str, Any], expected: dict[str, Any]) -> None:
    drop(page.receiver, row(unfinished), **how)
    tombstone = UploadTombstone.objects.get()
    assert {name: getattr(tombstone, name) for name in expected} == expected
    names = (tombstone.receiver, tombstone.owner_key, tombstone.uuid, tombstone.out_of_order)
    assert names == ("default", page.caller.owner.key, unfinished, True)


def test_last_burial_counts(page: Page, unfinished: uuid.UUID) -> None:
    drop(page.receiver, row(unfinished), refusal=TypeNotAllowed())
    page.chunk(unfinished, 0)
    assert UploadTombstone.objects.get().refusal == ""
    page.delete(unfinished)
    page.chunk(unfinished, 0)
    page.delete(unfinished)
    assert UploadTombstone.objects.get().refusal == ""


def test_no_tombstone_for_what_begins_again_at_once(page: Page, unfinished: uuid.UUID) -> None:
    drop(page.receiver, row(unfinished), tombstone=False)
    assert not UploadTombstone.objects.exists()


def test_bytes_of_a_backend_that_is_gone_are_left(page: Page, unfinished: uuid.UUID) -> None:
    kept = kept_bytes()
    UploadSession.objects.update(backend="nowhere.Backend")
    page.delete(unfinished)
    assert (kept_bytes(), UploadSession.objects.count()) == (kept, 0)
