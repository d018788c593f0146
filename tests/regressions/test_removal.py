"""What must never be deleted, and what must not stay because somebody died while deleting it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from fakeuploader import ClientUpload, FakeUploader
from fineuploader_receiver import lifecycle
from fineuploader_receiver.backends import filesystem
from fineuploader_receiver.backends.base import ChunkWriter, Plan, Staging
from fineuploader_receiver.exceptions import Busy, TypeNotAllowed, UploadLost
from fineuploader_receiver.lifecycle import admission, completion
from fineuploader_receiver.lifecycle.purge import Purge
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.receivers import Receiver, get_receiver
from flowtools import age, answered, finisher, kept_bytes, pattern, refused
from unittools import DATA, Page, content, row

Options = Callable[..., None]

CLAIMED = refused(403, "claimed", preventRetry=True)
DONE = Receipt(complete=True)
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 992


def published() -> dict[str, bytes]:
    return {name: data for name, data in kept_bytes().items() if name.startswith("uploads/")}


# Rows that a site's own rows refer to.


@pytest.fixture(params=[models.PROTECT, models.RESTRICT], ids=["protect", "restrict"])
def clip(request: pytest.FixtureRequest) -> Iterator[type[models.Model]]:
    """A model of the site, in an installed app, whose rows forbid that their upload is deleted."""

    class Clip(models.Model):
        upload = models.ForeignKey(UploadSession, on_delete=request.param, related_name="+")

        class Meta:
            app_label = "messages"

        def __str__(self) -> str:
            return f"clip {self.pk}"

    apps.clear_cache()
    with connection.schema_editor() as editor:
        editor.create_model(Clip)
    yield Clip
    with connection.schema_editor() as editor:
        editor.delete_model(Clip)
    del apps.all_models["messages"]["clip"]
    apps.clear_cache()


def sent(client: Client, *indexes: int) -> tuple[FakeUploader, ClientUpload]:
    page = finisher(client)
    upload = page.add(pattern(25))
    for index in indexes:
        assert page.send(page.chunk_request(upload, index)).status == 200
    return page, upload


@pytest.mark.parametrize("indexes", [(0, 1, 2), (0, 1)], ids=["finished", "unfinished"])
def test_protected_upload_keeps_its_bytes(
    client: Client, options: Options, clip: type[models.Model], indexes: tuple[int, ...]
) -> None:
    """Guards against bytes that are deleted first, under a row that then cannot be."""
    options(UNCLAIMED_AFTER=datetime.timedelta(microseconds=1))
    page, upload = sent(client, *indexes)
    # Drop what a completion leaves to the purge, so that nothing at all may change from here on.
    call_command("purge_expired_uploads", verbosity=0)
    if len(indexes) < 3:
        age(upload.uuid)
    protector = clip._default_manager.create(upload=UploadSession.objects.get(uuid=upload.uuid))
    before = (kept_bytes(), UploadSession.objects.values().get())
    assert answered(page.send(page.delete_request(upload.uuid))) == CLAIMED
    call_command("purge_expired_uploads", unclaimed=True, verbosity=0)
    assert (kept_bytes(), UploadSession.objects.values().get()) == before
    protector.delete()
    assert page.delete(upload.uuid).success
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


# Finished and claimed files.


def test_slow_duplicate_of_the_wrong_kind_leaves_the_finished_file(
    page: Page, number: uuid.UUID, options: Options
) -> None:
    """Guards against a refusal that takes the upload with it, though another request has completed it meanwhile."""
    options(ALLOWED_CONTENT_TYPES=["image/png"])
    message = page.simple_message(number, PNG, filename="a.png")

    def slow() -> Iterator[bytes]:
        yield b"<html>"
        assert lifecycle.receive(page.receiver, page.caller, message, iter([PNG])) == DONE
        assert row(number).claim()
        yield b"x" * 994

    with pytest.raises(TypeNotAllowed):
        lifecycle.receive(page.receiver, page.caller, message, slow())
    assert row(number).claimed_at is not None
    assert content(number) == PNG
    assert published() == {row(number).file: PNG}


@pytest.mark.parametrize("kind", ["chunk", "simple"])
@pytest.mark.parametrize("claimed", [False, True], ids=["unclaimed", "claimed"])
def test_duplicate_that_was_admitted_before_the_completion_leaves_the_finished_file(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch, any_storage: str, kind: str, claimed: bool
) -> None:
    """Guards against taking an upload for lost, whose staged bytes are gone because it has just been published."""
    if kind == "chunk":
        page.chunks(number, 0, 1)
    backend = type(page.receiver.backend)
    open_chunk = backend.open_chunk

    def send() -> Receipt:
        return page.chunk(number, 2) if kind == "chunk" else page.simple(number)

    def delayed(self: Any, staging: Staging, **place: Any) -> ChunkWriter:
        monkeypatch.setattr(backend, "open_chunk", open_chunk)
        assert send() == DONE
        if claimed:
            assert row(number).claim()
        return open_chunk(self, staging, **place)

    monkeypatch.setattr(backend, "open_chunk", delayed)
    assert send() == DONE
    assert (row(number).is_complete, row(number).claimed_at is not None) == (True, claimed)
    assert kept_bytes() == {row(number).file: DATA}


@pytest.mark.parametrize("claimed", [False, True], ids=["unclaimed", "claimed"])
def test_success_request_that_looked_before_the_completion_leaves_the_finished_file(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch, claimed: bool
) -> None:
    """Guards against a reset for missing chunks, whose rows the purge has dropped behind a completion."""
    page.chunks(number, 0, 1)
    meanwhile: list[Receipt] = []

    def permit(self: Receiver, request: HttpRequest, action: str, upload: UploadSession | None) -> bool:
        if action == "complete" and not meanwhile:
            meanwhile.append(page.chunk(number, 2))
            call_command("purge_expired_uploads", verbosity=0)
            if claimed:
                assert row(number).claim()
        return True

    monkeypatch.setattr(Receiver, "has_permission", permit)
    assert [page.done(number), *meanwhile] == [DONE, DONE]
    assert not row(number).chunks.exists()
    assert kept_bytes() == {row(number).file: DATA}


# Removals whose process died.


def removing(number: uuid.UUID, *, seconds: float) -> None:
    """Make the upload look as if a process were removing it, until so many seconds from now."""
    until = timezone.now() + datetime.timedelta(seconds=seconds)
    fields = {"state": "removing", "lease_token": "somebody else", "lease_until": until}
    assert UploadSession.objects.filter(uuid=number).update(**fields) == 1


@pytest.mark.parametrize("finished", [False, True], ids=["unfinished", "finished"])
def test_removal_whose_process_died_is_finished_by_the_next_upload(
    page: Page, number: uuid.UUID, any_storage: str, finished: bool
) -> None:
    """Guards against a uuid that is of no use for ever, because nobody ends what a dead process began."""
    page.chunks(number, *((0, 1, 2) if finished else (0, 1)))
    removing(number, seconds=-1)
    other = DATA[::-1]
    page.chunks(number, 0, 1, 2, data=other)
    assert content(number) == other
    assert kept_bytes() == {row(number).file: other}


def test_removal_whose_process_died_is_finished_by_the_next_delete(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 1)
    removing(number, seconds=-1)
    page.delete(number)
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_removal_whose_process_died_is_finished_by_the_success_request(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a page that hears `assembling` for ever of an upload that nobody assembles."""
    monkeypatch.setattr(completion, "WAIT_SECONDS", 0.1)
    page.chunks(number, 0, 1)
    removing(number, seconds=-1)
    with pytest.raises(Busy):
        page.done(number)
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
    with pytest.raises(UploadLost):
        page.done(number)


def test_removal_that_is_under_way_is_left_to_its_process(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 0.1)
    page.chunks(number, 0, 1)
    removing(number, seconds=60)
    before = (kept_bytes(), UploadSession.objects.values().get())
    with pytest.raises(Busy):
        page.chunk(number, 2)
    page.delete(number)
    call_command("purge_expired_uploads", verbosity=0)
    assert (kept_bytes(), UploadSession.objects.values().get()) == before


def test_purge_of_orphans_leaves_places_that_are_being_made_or_cleared(options: Options) -> None:
    """Guards against a folder without a staged file that counts as old, for either backend that shares it."""
    receiver = get_receiver("videos")
    place = receiver.backend.begin(Plan())
    Path(place.root, place.name, "data").unlink()
    options(BACKEND="fineuploader_receiver.backends.storage.StorageBackend")
    purge = Purge()
    purge.orphans()
    assert (purge.summary.orphans, Path(place.root, place.name).exists()) == (0, True)
    assert filesystem._last_change(f"{place.root}/{place.name}/gone") > timezone.now().timestamp()
