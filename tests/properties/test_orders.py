"""Every order in which up to five chunks can arrive, with the success request before, between and after them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from fakeuploader import ClientUpload, FakeUploader
from fineuploader_receiver.models import UploadSession
from flowtools import STORAGES, accepted, answered, chunker, content, finisher, kept_bytes, pattern, refused

if TYPE_CHECKING:
    from pytest_django import Settings

EVERYTHING = "TEST_EXAMPLES" in os.environ
LATE_OR_EARLY = 5

BACKENDS = {
    "file system": "fineuploader_receiver.backends.filesystem.FileSystemBackend",
    "memory": "fineuploader_receiver.backends.storage.StorageBackend",
}


def orders(count: int) -> Iterator[tuple[int, Sequence[int]]]:
    yield from enumerate(itertools.permutations(range(count)))


def positions(number: int, count: int) -> Sequence[int]:
    """After how many chunks the success request comes.

    With five chunks every order has a late and an early one; ``TEST_EXAMPLES`` asks for all of them.
    """
    if count < LATE_OR_EARLY or EVERYTHING:
        return range(count + 1)
    return (number % count, count)


def send(page: FakeUploader, upload: ClientUpload, index: int) -> dict[str, Any]:
    return answered(page.send(page.chunk_request(upload, index)))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, settings: Settings) -> str:
    settings.STORAGES = settings.STORAGES | {"default": STORAGES[request.param]}
    settings.FINEUPLOADER_RECEIVERS = {"default": {"BACKEND": BACKENDS[request.param]}}
    return str(request.param)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("count", range(1, 6))
def test_file_is_exact_whenever_its_chunks_and_the_success_request_arrive(
    client: Client, backend: str, count: int
) -> None:
    page = finisher(client, mandatory=True)
    data = pattern(10 * count - 3)
    for number, order in orders(count):
        for position in positions(number, count):
            upload = page.add(data)
            answers = [send(page, upload, index) for index in order[:position]]
            done = answered(page.send(page.done_request(upload)))
            answers += [send(page, upload, index) for index in order[position:]]
            good = {"status": 200, **accepted(upload.uuid, complete=False)}
            whole = {"status": 200, **accepted(upload.uuid, complete=True)}
            if position == count:
                assert [*answers, done] == [good] * (count - 1) + [whole] * 2
            else:
                assert done == refused(409, "upload_lost", reset=True)
                assert answers == [good] * (count - 1) + [whole if position == 0 else good]
                assert page.upload(upload).success
            assert content(upload.uuid) == data
            assert page.delete(upload.uuid).success
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.parametrize("count", range(1, 6))
def test_last_chunk_to_arrive_completes_the_file_whichever_it_is(client: Client, backend: str, count: int) -> None:
    page = chunker(client, mandatory=True)
    data = pattern(10 * count - 3)
    for _, order in orders(count):
        upload = page.add(data)
        answers = [send(page, upload, index)["complete"] for index in order]
        assert answers == [False] * (count - 1) + [True]
        assert content(upload.uuid) == data
        assert page.delete(upload.uuid).success
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
