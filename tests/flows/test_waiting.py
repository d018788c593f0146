"""What is answered while somebody else is at the same upload, or the database is: wait a little, then try again."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from fakeuploader import ClientUpload, FakeUploader
from fineuploader_receiver.lifecycle import completion
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver
from flowtools import accepted, answered, chunker, content, finisher, kept_bytes, pattern, refused, row

ASSEMBLING = refused(503, "assembling")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for another process's completion only so long that it shows."""
    monkeypatch.setattr(completion, "WAIT_SECONDS", 0.1)


def under_way(page: FakeUploader, monkeypatch: pytest.MonkeyPatch, *, lease: datetime.timedelta) -> ClientUpload:
    """An upload with every chunk stored, that another process is completing, or was when it died."""
    upload = page.add(pattern(25))
    with monkeypatch.context() as patch:
        patch.setattr(completion, "finish", lambda *args: False)
        patch.setattr("fineuploader_receiver.lifecycle.receiving.finish", lambda *args: False)
        for index in range(3):
            page.send(page.chunk_request(upload, index))
    mine = UploadSession.objects.filter(uuid=upload.uuid)
    mine.update(state="assembling", lease_token="somebody else's", lease_until=timezone.now() + lease)
    return upload


@pytest.mark.usefixtures("impatient")
def test_completion_that_takes_long_is_answered_with_try_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a second success request joins a second time, and the file is doubled or torn."""
    page = finisher(client)
    upload = under_way(page, monkeypatch, lease=datetime.timedelta(minutes=5))
    for request in (page.done_request(upload), page.chunk_request(upload, 1)):
        assert answered(page.send(request)) == ASSEMBLING
    assert row(upload.uuid).state == "assembling"
    assert not [name for name in kept_bytes() if name.startswith("uploads/")]


@pytest.mark.parametrize("through", ["done", "chunk"])
def test_completion_whose_process_died_is_taken_over(
    client: Client, monkeypatch: pytest.MonkeyPatch, through: str, any_storage: str
) -> None:
    page = finisher(client)
    upload = under_way(page, monkeypatch, lease=datetime.timedelta(seconds=-1))
    request = page.done_request(upload) if through == "done" else page.chunk_request(upload, 1)
    assert answered(page.send(request)) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert content(upload.uuid) == pattern(25)
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


def test_live_completion_cannot_be_deleted_under_its_process(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = finisher(client)
    upload = under_way(page, monkeypatch, lease=datetime.timedelta(minutes=5))
    before = kept_bytes()
    assert answered(page.send(page.delete_request(upload.uuid))) == ASSEMBLING
    assert kept_bytes() == before
    assert row(upload.uuid).state == "assembling"


def test_locked_database_is_answered_with_try_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*args: Any) -> bool:
        raise OperationalError("database is locked: /secret/place")

    page = chunker(client)
    upload = page.add(pattern(25))
    monkeypatch.setattr(Receiver, "has_permission", locked)
    answer = page.send(page.chunk_request(upload, 0))
    assert answered(answer) == refused(503, "busy")
    assert "secret" not in answer.text
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_arriving_chunks_push_the_expiry(client: Client) -> None:
    """Regression: expiry counted from the beginning kills slow uploads."""
    page = chunker(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    soon = timezone.now() + datetime.timedelta(minutes=1)
    UploadSession.objects.filter(uuid=upload.uuid).update(expires_at=soon, updated_at=soon)
    page.send(page.chunk_request(upload, 1))
    expires = row(upload.uuid).expires_at
    assert expires is not None
    assert expires > soon + datetime.timedelta(days=7)


def test_finished_upload_does_not_expire(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    page.upload(upload)
    assert row(upload.uuid).expires_at is None
