"""What shows that a page sends chunks concurrently: a reset in a chunk's answer would throw inside it.

Regressions: chunks that were sent as 2, 1, 0 may well be stored as 0, 1, 2, and two that were sent at the same moment
may be admitted one after the other. The page hung after a loss on the server.
"""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from fakeuploader import ClientUpload, FakeUploader
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import accepted, answered, chunker, pattern, refused, row


def send(page: FakeUploader, upload: ClientUpload, index: int, *, resuming: bool = False) -> dict[str, object]:
    return answered(page.send(page.chunk_request(upload, index, resuming=resuming)))


def arrive(upload: ClientUpload, index: int, *, seconds_ago: int = 0) -> None:
    """Let a chunk be on its way, in another process."""
    claimed = timezone.now() - datetime.timedelta(seconds=seconds_ago)
    UploadChunk.objects.create(
        session=row(upload.uuid), index=index, offset=10 * index, size=10, token="another", claimed_at=claimed
    )


@pytest.fixture
def page(client: Client) -> FakeUploader:
    return chunker(client)


@pytest.mark.parametrize(("seconds_ago", "out_of_order"), [(0, True), (3600, False)], ids=["arriving", "given up"])
def test_chunk_beside_another_that_is_arriving_is_a_sign(
    page: FakeUploader, seconds_ago: int, out_of_order: bool
) -> None:
    upload = page.add(pattern(45))
    send(page, upload, 0)
    arrive(upload, 2, seconds_ago=seconds_ago)
    send(page, upload, 1)
    assert row(upload.uuid).out_of_order is out_of_order


def test_chunk_below_the_one_that_was_admitted_first_is_a_sign(page: FakeUploader) -> None:
    upload = page.add(pattern(45))
    send(page, upload, 0)
    UploadSession.objects.update(first_index=2)
    send(page, upload, 1)
    assert row(upload.uuid).out_of_order is True


def test_last_index_beside_another_resumed_one_is_not_reset(page: FakeUploader) -> None:
    upload = page.add(pattern(45))
    send(page, upload, 3, resuming=True)
    arrive(upload, 1)
    assert send(page, upload, 4) == {"status": 200, **accepted(upload.uuid, complete=False)}


def test_last_index_beside_nothing_is_reset(page: FakeUploader) -> None:
    upload = page.add(pattern(45))
    send(page, upload, 3, resuming=True)
    assert send(page, upload, 4) == refused(409, "upload_lost", reset=True)
