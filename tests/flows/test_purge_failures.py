"""What cron hears of when the purge could not do everything."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from fineuploader_receiver.backends.base import BackendFailed
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.models import UploadSession
from flowtools import age, chunker, kept_bytes, pattern


def fail(*_: Any, **__: Any) -> bool:
    raise BackendFailed("The disk is read-only.")


def test_expired_upload_whose_bytes_cannot_go_is_reported_and_removed_by_a_later_run(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a run that says 0 and nothing, night after night, while the disk fills up."""
    page = chunker(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    age(upload.uuid)
    output = StringIO()
    with monkeypatch.context() as broken:
        broken.setattr(FileSystemBackend, "discard", fail)
        with pytest.raises(CommandError, match="1 could not be handled"):
            call_command("purge_expired_uploads", "--format", "json", stdout=output)

    assert json.loads(output.getvalue()) == {
        "expired": 0,
        "unclaimed": 0,
        "tidied": 0,
        "orphans": 0,
        "tombstones": 0,
        "bytes": 0,
        "skipped": 1,
        "problems": [f"The bytes of upload {upload.uuid} could not be deleted."],
        "dry_run": False,
    }

    UploadSession.objects.update(lease_until=None)
    call_command("purge_expired_uploads", stdout=StringIO())

    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
