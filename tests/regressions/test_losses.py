"""Bytes, rows and answers that get lost on the way, and what the page hears of it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from fakeuploader import ClientUpload, FakeUploader
from fineuploader_receiver.backends.base import BackendFailed
from fineuploader_receiver.exceptions import HookFailed, StorageFailed, UploadLost
from fineuploader_receiver.lifecycle import completion, naming, uploads
from fineuploader_receiver.models import UploadChunk, UploadSession
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.receivers import Receiver
from flowtools import accepted, answered, chunker, content, finisher, kept_bytes, pattern, refused, row
from unittools import DATA, Page
from unittools import content as content_of
from unittools import row as row_of

Options = Callable[..., None]

RESET = refused(409, "upload_lost", reset=True)
MARKER = "qqdonerequest"
LAST = 3


def chunk(page: FakeUploader, upload: ClientUpload, index: int) -> dict[str, Any]:
    return answered(page.send(page.chunk_request(upload, index)))


def good(upload: ClientUpload, *, complete: bool = False) -> dict[str, Any]:
    return {"status": 200, **accepted(upload.uuid, complete=complete)}


def lose_staged_bytes(*_: Any) -> None:
    """Delete everything that is staged, as somebody might who tidies up a store by hand."""
    storage = storages["default"]
    for name in kept_bytes():
        if not name.startswith("uploads/"):
            storage.delete(name)


def start(page: FakeUploader, *indexes: int) -> ClientUpload:
    upload = page.add(pattern(35))
    assert [chunk(page, upload, index) for index in indexes] == [good(upload)] * len(indexes)
    return upload


# Staged bytes.


@pytest.mark.parametrize(
    ("marker", "order"),
    [({MARKER: "true"}, (0, 1, 2)), ({MARKER: "true"}, (2, 1, 0)), ({}, (2, 1, 0)), ({}, (0, 2, 1))],
    ids=["marker", "marker and out of order", "out of order", "skipped one"],
)
def test_page_with_done_hears_of_lost_bytes_from_done(
    client: Client, any_storage: str, marker: dict[str, str], order: tuple[int, ...]
) -> None:
    """Guards against `reset` in the last chunk's answer, which hangs a page with concurrent chunks."""
    page = finisher(client, params=marker)
    upload = start(page, *order)
    lose_staged_bytes()
    assert chunk(page, upload, LAST) == good(upload)
    assert answered(page.send(page.done_request(upload))) == RESET
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
    upload.restart()
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(35)


@pytest.mark.parametrize("marker", [{}, {MARKER: "false"}], ids=["unknown", "marker"])
def test_page_without_done_hears_of_lost_bytes_at_once(
    client: Client, any_storage: str, marker: dict[str, str]
) -> None:
    """Guards against a success for a file that is not there, on a page that asks no more."""
    page = chunker(client, params=marker)
    upload = start(page, 0, 1, 2)
    lose_staged_bytes()
    assert chunk(page, upload, LAST) == RESET
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
    upload.restart()
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(35)


# The answer to a commit.


def test_chunk_whose_commit_was_not_answered_keeps_its_bytes(
    client: Client, monkeypatch: pytest.MonkeyPatch, any_storage: str
) -> None:
    """Guards against a row that says `stored` of bytes that were deleted, because the database's answer was lost."""
    page = finisher(client)
    upload = page.add(pattern(25))
    assert [chunk(page, upload, index) for index in (1, 2)] == [good(upload)] * 2
    commit = connection._commit  # type: ignore[attr-defined]
    lost: list[bool] = []

    def commit_and_break() -> None:
        stored = UploadChunk.objects.filter(index=0, stored=True).exists()
        commit()
        if stored and not lost:
            lost.append(True)
            raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", commit_and_break)
        assert chunk(page, upload, 0) == refused(503, "busy")
    assert lost
    assert row(upload.uuid).received_chunks == 3
    assert chunk(page, upload, 0) == good(upload, complete=True)
    assert answered(page.send(page.done_request(upload))) == good(upload, complete=True)
    assert content(upload.uuid) == pattern(25)
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


# Rows.


def test_sequential_page_goes_on_far_into_an_upload_whose_row_is_gone_and_is_reset(client: Client) -> None:
    """Guards against a file that is silently lost with a database that was restored from a backup."""
    page = chunker(client)
    upload = page.add(pattern(195))
    assert [chunk(page, upload, index) for index in range(16)] == [good(upload)] * 16
    UploadSession.objects.all().delete()
    assert [chunk(page, upload, index) for index in (16, 17, 18)] == [good(upload)] * 3
    assert chunk(page, upload, 19) == RESET
    assert not UploadSession.objects.exists()
    upload.restart()
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(195)


def test_page_with_sixteen_connections_is_not_reset(client: Client) -> None:
    """Guards against taking a fresh page, which may well begin with index 15, for one that lost its upload."""
    page = chunker(client, concurrent=True, max_connections=16)
    upload = page.add(pattern(195))
    order = [*range(15, -1, -1), 19, 18, 17]
    assert [chunk(page, upload, index) for index in order] == [good(upload)] * 19
    assert chunk(page, upload, 16) == good(upload, complete=True)
    assert content(upload.uuid) == pattern(195)


@pytest.mark.parametrize(
    ("order", "out_of_order"),
    [((0,), False), ((0, 1), False), ((0, 2), True), ((0, 1, 3), True), ((1, 0), True), ((1, 2), False), ((3,), False)],
    ids=str,
)
def test_chunks_out_of_order_are_noticed(client: Client, order: tuple[int, ...], out_of_order: bool) -> None:
    """Guards against MariaDB, which lets an expression see the new values of the columns to its left."""
    page = chunker(client)
    upload = page.add(pattern(45))
    assert [chunk(page, upload, index) for index in order] == [good(upload)] * len(order)
    assert row(upload.uuid).out_of_order is out_of_order
    assert row(upload.uuid).highest_index == max(order)


# Power.


@pytest.fixture
def whole(page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> uuid.UUID:
    """An upload with every chunk stored, of which nothing is published yet."""

    def fail(*_: Any, **__: Any) -> str:
        raise BackendFailed("for a moment")

    page.chunks(number, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(type(page.receiver.backend), "assemble", fail)
        with pytest.raises(StorageFailed):
            page.chunk(number, 2)
    assert row_of(number).state == "receiving"
    return number


def reboot(number: uuid.UUID, **fields: Any) -> None:
    """Make the upload look as if this machine had been started again since its chunks were acknowledged."""
    assert UploadSession.objects.filter(uuid=number).update(boot_id="another start", **fields) == 1


@pytest.mark.parametrize("state", ["receiving", "assembling"])
@pytest.mark.parametrize("through", ["done", "chunk"])
def test_bytes_from_before_a_reboot_are_never_published(
    page: Page, whole: uuid.UUID, monkeypatch: pytest.MonkeyPatch, state: str, through: str
) -> None:
    """Guards against a file full of zeros: what was acknowledged without fsync may be gone after a power cut."""
    past = timezone.now() - datetime.timedelta(minutes=1)
    lease = {"lease_token": "dead", "lease_until": past, "file": "uploads/dead/a.txt"} if state == "assembling" else {}
    reboot(whole, state=state, **lease)
    published = []
    monkeypatch.setattr(type(page.receiver.backend), "assemble", lambda *_, name, **__: published.append(name))
    with pytest.raises(UploadLost):
        page.done(whole) if through == "done" else page.chunk(whole, 1)
    assert published == []
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.parametrize("durability", ["none", "publish", "chunk"])
def test_published_file_outlives_a_reboot_only_if_it_was_flushed(
    page: Page, whole: uuid.UUID, options: Options, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    """Guards against completing with a file that was linked, never flushed, and is full of zeros after a power cut."""
    options(DURABILITY=durability)

    def fail(*_: Any) -> None:
        raise RuntimeError("the shop is closed")

    with monkeypatch.context() as patch:
        patch.setattr(Receiver, "completed", fail)
        with pytest.raises(HookFailed):
            page.done(whole)
    monkeypatch.setattr(uploads, "current_boot", lambda: "another start")
    if durability == "none":
        with pytest.raises(UploadLost):
            page.done(whole)
        assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
    else:
        assert page.done(whole) == Receipt(complete=True)
        assert content_of(whole) == DATA


def test_bytes_of_this_start_are_published(page: Page, whole: uuid.UUID) -> None:
    """The other side of the test above: nothing but the start of the machine makes the difference."""
    assert page.done(whole) == Receipt(complete=True)
    assert content_of(whole) == DATA


# Leases.


def test_lease_taken_while_its_holder_publishes_leaves_one_file(
    page: Page, whole: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a second file beside the one that a predecessor published and gave back, its hook having failed.

    The second request has looked at the row already when the first one does all that.
    """
    final_name = naming.final_name
    states = []

    def fail(*_: Any) -> None:
        raise RuntimeError("the shop is closed")

    def meanwhile(receiver: Receiver, upload: UploadSession) -> str:
        monkeypatch.setattr(completion, "final_name", final_name)
        with monkeypatch.context() as patch:
            patch.setattr(Receiver, "completed", fail)
            with pytest.raises(HookFailed):
                page.done(whole)
        states.append((row_of(whole).state, row_of(whole).published, row_of(whole).file))
        return final_name(receiver, upload)

    monkeypatch.setattr(completion, "final_name", meanwhile)
    assert page.done(whole) == Receipt(complete=True)
    assert states == [("receiving", True, row_of(whole).file)]
    assert kept_bytes() == {row_of(whole).file: DATA}
