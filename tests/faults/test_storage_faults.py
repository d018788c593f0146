"""A storage that fails at each call site: nothing is acknowledged that is not kept, and the file arrives in the end."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.test import Client

from fakeuploader import FakeUploader, WireResponse
from faultystorage import FaultyStorage
from fineuploader_receiver.models import UploadSession
from flowtools import content, finisher, pattern

if TYPE_CHECKING:
    from pytest_django import Settings

DATA = pattern(45)

FAULTS: Mapping[str, Callable[[], Exception]] = {
    "full": lambda: OSError(errno.ENOSPC, "no space in /secret/place"),
    "broken": lambda: OSError(errno.EIO, "error in /secret/place"),
    "odd": lambda: RuntimeError("the store of /secret/place is away"),
}
WHILE_UPLOADING = ("save a chunk", "save the file", "open a chunk", "open the file", "read", "exists", "size")
WHILE_REMOVING = ("delete a chunk", "delete the file", "listdir")
CODES = {(503, "storage_error"), (507, "no_space")}


@pytest.fixture(autouse=True)
def faulty(settings: Settings) -> Iterator[None]:
    FaultyStorage.contents.clear()
    FaultyStorage.heal()
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "faultystorage.FaultyStorage"}}
    yield
    FaultyStorage.heal()


@pytest.fixture
def page(client: Client) -> FakeUploader:
    return finisher(client)


def assert_clear(answer: WireResponse) -> None:
    """Success, or a refusal that the client understands and that tells nobody anything of the site."""
    body = answer.json()
    assert b"secret" not in answer.body
    assert (answer.status, body["success"]) == (200, True) or (answer.status, body["code"]) in CODES


def assert_nothing_left(page: FakeUploader, uuid: str) -> None:
    assert page.delete(uuid).success
    call_command("purge_expired_uploads", verbosity=0)
    assert (UploadSession.objects.count(), FaultyStorage.contents) == (0, {})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("site", WHILE_UPLOADING)
def test_upload_ends_well_once_the_storage_is_itself_again(page: FakeUploader, site: str, fault: str) -> None:
    FaultyStorage.break_at(site, FAULTS[fault])
    upload = page.add(DATA)
    outcome = page.upload(upload, attempts=3)
    assert (outcome.success, outcome.prevent_retry, FaultyStorage.met > 0) == (False, False, True)
    for _, answer in page.log:
        assert_clear(answer)
    FaultyStorage.heal()
    assert page.upload(upload, attempts=2).success
    assert content(upload.uuid) == DATA
    assert_nothing_left(page, upload.uuid)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("site", WHILE_REMOVING)
def test_what_cannot_be_deleted_is_deleted_later(page: FakeUploader, site: str, fault: str) -> None:
    upload = page.add(DATA)
    FaultyStorage.break_at(site, FAULTS[fault])
    assert page.upload(upload).success
    assert content(upload.uuid) == DATA
    answer = page.send(page.delete_request(upload.uuid))
    assert_clear(answer)
    assert FaultyStorage.met > 0
    assert UploadSession.objects.exists() is (answer.status != 200)
    FaultyStorage.heal()
    assert_nothing_left(page, upload.uuid)


@pytest.mark.parametrize("site", ["save a chunk", "save the file"])
def test_storage_that_returns_another_name_is_believed(page: FakeUploader, site: str) -> None:
    FaultyStorage.break_at(site, "renames")
    upload = page.add(DATA)
    assert page.upload(upload).success
    assert (content(upload.uuid), FaultyStorage.met > 0) == (DATA, True)
    assert_nothing_left(page, upload.uuid)


def test_forgotten_chunk_is_never_told_as_a_file(page: FakeUploader) -> None:
    FaultyStorage.break_at("save a chunk", "forgets")
    upload = page.add(DATA)
    outcome = page.upload(upload)
    assert (outcome.success, outcome.reset) == (False, True)
    FaultyStorage.heal()
    assert page.upload(upload).success
    assert content(upload.uuid) == DATA
    assert_nothing_left(page, upload.uuid)
