"""What a site's own code may do while a file is said to be complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection
from django.http import HttpRequest
from django.test import Client

from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver
from fineuploader_receiver.signals import upload_completed
from flowtools import accepted, answered, content, finisher, kept_bytes, pattern, refused, row, uploader

HOOK_FAILED = refused(500, "hook_failed")

Hook = Callable[..., None]


def swallow_integrity_error() -> None:
    Group.objects.get_or_create(name="there")
    with suppress(IntegrityError):
        Group.objects.create(name="there")


def swallow_raw_error() -> None:
    Group.objects.get_or_create(name="there")
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")


@contextmanager
def hooked(way: str, do: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the receiver's method or a signal's receiver do something when an upload is complete."""

    def completed(self: Receiver, upload: UploadSession, request: HttpRequest | None) -> None:
        do()

    def heard(**_: Any) -> None:
        do()

    if way == "completed":
        with monkeypatch.context() as patch:
            patch.setattr(Receiver, "completed", completed)
            yield
        return
    upload_completed.connect(heard)
    try:
        yield
    finally:
        upload_completed.disconnect(heard)


@pytest.mark.parametrize("way", ["completed", "upload_completed"])
def test_swallowed_integrity_error_is_a_hook_that_failed(
    client: Client, monkeypatch: pytest.MonkeyPatch, way: str, any_storage: str
) -> None:
    """Guards against a success of which the database keeps nothing, while the staged bytes are deleted."""
    page = finisher(client)
    upload = page.add(pattern(25))
    with hooked(way, swallow_integrity_error, monkeypatch):
        answers = [answered(page.send(page.chunk_request(upload, index))) for index in range(3)]
        answers.append(answered(page.send(page.done_request(upload))))
        assert client.get("/uploads/session").json() == []
    good = {"status": 200, **accepted(upload.uuid, complete=False)}
    assert answers == [good, good, HOOK_FAILED, HOOK_FAILED]
    assert (row(upload.uuid).state, row(upload.uuid).lease_until, Group.objects.count()) == ("receiving", None, 0)
    assert len([name for name in kept_bytes() if not name.startswith("uploads/")]) == (
        1 if any_storage == "file system" else 3
    )
    assert answered(page.send(page.done_request(upload))) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert content(upload.uuid) == pattern(25)
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


@pytest.mark.parametrize("way", ["completed", "upload_completed"])
def test_swallowed_raw_error_is_never_a_success_that_is_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Guards against the same where only PostgreSQL ends the transaction, and Django does not know of it.

    Elsewhere such an error undoes nothing, so the completion, and what the receiver wrote, stand.
    """
    page = uploader(client)
    upload = page.add(b"abc")
    undone = connection.vendor == "postgresql"
    with hooked(way, swallow_raw_error, monkeypatch):
        answer = answered(page.send(page.simple_request(upload)))
    good = {"status": 200, **accepted(upload.uuid, complete=True)}
    assert answer == (HOOK_FAILED if undone else good)
    assert (row(upload.uuid).is_complete, Group.objects.exists()) == (not undone, not undone)
    assert answered(page.send(page.simple_request(upload))) == good
    assert content(upload.uuid) == b"abc"
    assert kept_bytes() == {row(upload.uuid).file: b"abc"}
