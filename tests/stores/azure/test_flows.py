"""Whole uploads over HTTP into Azure's blob service, and what happens to them when it goes wrong."""

from __future__ import annotations

import datetime
import gzip
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import BlobServiceClient
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from storages.backends.azure_storage import AzureStorage

from fakeuploader import FakeUploader, SocketTransport
from fineuploader_receiver.backends import AZURE, azure
from fineuploader_receiver.models import UploadSession
from flowtools import FORM_CSRF, RAW, TOKEN, content, finisher, pattern, purge, row, strict_client, uploader
from stores.azure.azurite import Azurite
from stores.faultproxy import Fault, FaultProxy, Passed, in_front_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

TRIES = 4
"""How often the service is asked before a request gives up."""


def is_block(request: Passed) -> bool:
    return request.method == "PUT" and "comp=block&" in f"{request.path}&"


def is_commit(request: Passed) -> bool:
    return request.method == "PUT" and "comp=blocklist" in request.path


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    with in_front_of(azurite.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def site(
    transactional_db: None,
    azurite: Azurite,
    container: str,
    proxy: FaultProxy,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A site whose files go to a container behind the proxy, and that does not wait long for it."""
    options = Azurite(port=proxy.port).options(container)
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "storages.backends.azure_storage.AzureStorage", "OPTIONS": options}
    }
    settings.FINEUPLOADER_RECEIVERS = {}
    monkeypatch.setattr(azure, "PAUSES", (0.01,) * (TRIES - 1))
    monkeypatch.setattr(azure, "BLOCK_SIZE", 700)


@pytest.fixture
def client(user: User) -> Client:
    browser = strict_client()
    browser.force_login(user)
    return browser


@pytest.fixture
def blobs(azurite: Azurite, container: str) -> Callable[[], set[str]]:
    """Everything in the container, uncommitted blobs too."""

    def names() -> set[str]:
        found = azurite.service.get_container_client(container).list_blobs(include=["uncommittedblobs"])
        return {blob.name for blob in found}

    return names


def page_of(client: Client, **changes: Any) -> FakeUploader:
    return finisher(client, **{"part_size": 1000, **changes})


@pytest.mark.parametrize("encoding", [{}, {"params_in_body": False}, RAW], ids=["body", "query", "raw"])
def test_chunks_become_one_exact_blob(
    client: Client, encoding: dict[str, Any], proxy: FaultProxy, blobs: Callable[[], set[str]]
) -> None:
    page = page_of(client, **encoding)
    upload = page.add(pattern(4_500))
    assert page.upload(upload).success
    assert row(upload.uuid).backend == AZURE
    assert content(upload.uuid) == pattern(4_500)
    assert blobs() == {row(upload.uuid).file}
    assert sum(request.size for request in proxy.passed if is_block(request)) == 4_500


@pytest.mark.parametrize("size", [0, 1, 700, 999])
def test_simple_upload_becomes_one_exact_blob(client: Client, size: int, blobs: Callable[[], set[str]]) -> None:
    page = uploader(client)
    upload = page.add(pattern(size))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(size)
    assert blobs() == {row(upload.uuid).file}


def test_form_of_an_old_browser_becomes_one_exact_blob(client: Client) -> None:
    page = uploader(client, params=FORM_CSRF)
    upload = page.add(pattern(2_500))
    assert page.upload_form(upload).success
    assert content(upload.uuid) == pattern(2_500)


def test_chunks_sent_truly_at_once_become_one_exact_blob(
    client: Client, live_server: LiveServer, blobs: Callable[[], set[str]]
) -> None:
    host, _, port = live_server.url.removeprefix("http://").partition(":")
    cookies = {"csrftoken": TOKEN, "sessionid": client.cookies["sessionid"].value}
    options = page_of(client, concurrent=True, max_connections=6).options
    page = FakeUploader(SocketTransport(host, int(port), cookies=cookies), options, parallel=True)
    upload = page.add(pattern(19_500))
    assert page.upload(upload, attempts=3).success
    assert content(upload.uuid) == pattern(19_500)
    assert blobs() == {row(upload.uuid).file}


def test_blob_is_what_the_storage_itself_would_have_made(
    client: Client, settings: Settings, azurite: Azurite, container: str
) -> None:
    options = {"object_parameters": {"content_disposition": "attachment"}, "cache_control": "private, max-age=60"}
    entry = settings.STORAGES["default"]
    settings.STORAGES = settings.STORAGES | {"default": {**entry, "OPTIONS": {**entry["OPTIONS"], **options}}}
    page = page_of(client)
    upload = page.add(pattern(2_500), name="report.pdf")
    assert page.upload(upload).success
    ours = row(upload.uuid).file
    theirs = storages["default"].save("theirs/report.pdf", ContentFile(pattern(2_500)))

    def properties(name: str) -> dict[str, Any]:
        found = azurite.service.get_blob_client(container, name).get_blob_properties()
        return {**dict(found.content_settings), "content_md5": None, "metadata": found.metadata, "size": found.size}

    assert properties(ours) == properties(theirs)
    assert properties(ours)["content_disposition"] == "attachment"


def test_packed_file_is_read_back_as_it_was_sent(client: Client, azurite: Azurite, container: str) -> None:
    """The storage takes the name for a content encoding; then reading unpacks the file, or fails, as it did here."""
    page = page_of(client)
    data = gzip.compress(pattern(50_000), mtime=0)
    upload = page.add(data, name="report.tar.gz")
    assert page.upload(upload).success
    assert content(upload.uuid) == data
    found = azurite.service.get_blob_client(container, row(upload.uuid).file).get_blob_properties()
    assert found.content_settings.content_encoding is None


def test_reading_the_first_bytes_does_not_read_the_file(client: Client, proxy: FaultProxy) -> None:
    page = page_of(client, part_size=100_000)
    upload = page.add(pattern(500_000))
    assert page.upload(upload).success
    assert row(upload.uuid).content_type == "text/plain"
    assert 0 < proxy.answered < 100_000


def test_deleted_and_purged_uploads_leave_nothing(client: Client, blobs: Callable[[], set[str]]) -> None:
    page = page_of(client)
    finished, unfinished, expired = (page.add(pattern(2_500)) for _ in range(3))
    assert page.upload(finished).success
    for upload in (unfinished, expired):
        assert page.send_chunk(upload, 0).success
    assert len(blobs()) == 3
    assert page.delete(finished.uuid).success
    assert page.delete(unfinished.uuid).success
    purge(expired.uuid)
    assert (blobs(), UploadSession.objects.count()) == (set(), 0)


@pytest.mark.parametrize("fault", ["500", "503", "reset", "lost"])
@pytest.mark.parametrize("when", [is_block, is_commit])
def test_fault_that_passes_costs_the_client_nothing(
    client: Client, proxy: FaultProxy, fault: Fault, when: Callable[[Passed], bool]
) -> None:
    proxy.go_wrong(fault, times=TRIES - 1, when=when)
    page = page_of(client)
    upload = page.add(pattern(2_500))
    assert page.upload(upload).success
    assert (proxy.times, content(upload.uuid)) == (0, pattern(2_500))


@pytest.mark.parametrize("fault", ["500", "503", "reset", "lost"])
@pytest.mark.parametrize("when", [is_block, is_commit])
def test_fault_that_lasts_is_told_and_the_upload_goes_on_afterwards(
    client: Client, proxy: FaultProxy, fault: Fault, when: Callable[[Passed], bool], blobs: Callable[[], set[str]]
) -> None:
    proxy.go_wrong(fault, times=TRIES, when=when)
    page = page_of(client)
    upload = page.add(pattern(2_500))
    outcome = page.upload(upload)
    assert (outcome.success, outcome.response.get("code")) == (False, "storage_error")
    assert not outcome.prevent_retry
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(2_500)
    assert blobs() == {row(upload.uuid).file}


def test_service_that_does_not_answer_is_asked_again(
    client: Client, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage: Any = storages["default"]
    impatient = BlobServiceClient.from_connection_string(storage.connection_string, read_timeout=3)
    monkeypatch.setattr(storage, "_service_client", impatient)
    proxy.go_wrong("stall", times=1, when=is_block)
    page = page_of(client)
    upload = page.add(pattern(1_500))
    assert page.upload(upload, attempts=2).success
    assert (proxy.times, content(upload.uuid)) == (0, pattern(1_500))


def test_blocks_that_the_service_dropped_start_the_upload_again(
    client: Client, azurite: Azurite, container: str
) -> None:
    page = page_of(client)
    upload = page.add(pattern(2_500))
    for index in (0, 1):
        assert page.send_chunk(upload, index).success
    blob = azurite.service.get_blob_client(container, row(upload.uuid).file)
    blob.commit_block_list([])
    blob.delete_blob()
    upload.remaining = [2]
    outcome = page.upload(upload)
    assert (outcome.success, outcome.reset) == (False, True)
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(2_500)


def test_expired_credentials_are_a_readable_error_and_the_upload_goes_on_with_new_ones(
    client: Client, settings: Settings
) -> None:
    page = page_of(client)
    upload = page.add(pattern(2_500))
    assert page.send_chunk(upload, 0).success
    storage: Any = storages["default"]
    good = storage._client
    wrong = re.sub("AccountKey=[^;]+", "AccountKey=AAAA", storage.connection_string)
    storage._client = BlobServiceClient.from_connection_string(wrong).get_container_client(storage.azure_container)
    outcome = page.send_chunk(upload, 1)
    assert (outcome.success, outcome.response["code"]) == (False, "storage_error")
    storage._client = good
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(2_500)


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        ({"azure_container": "not-there"}, "The container does not exist."),
        ({"wrong_key": True}, "let this machine in."),
    ],
    ids=["no container", "wrong key"],
)
def test_check_says_what_is_missing(azurite: Azurite, container: str, break_it: dict[str, Any], expected: str) -> None:
    options = azurite.options(container)
    if break_it.pop("wrong_key", False):
        options["connection_string"] = re.sub("AccountKey=[^;]+", "AccountKey=AAAA", options["connection_string"])
    (problem,) = azure.AzureBlockBackend(AzureStorage(**{**options, **break_it})).check()
    assert problem.endswith(expected)


def test_fork_speaks_through_connections_of_its_own(azurite: Azurite, container: str) -> None:
    """Guards against workers of one preloaded parent that read each other's answers."""
    backend = azure.AzureBlockBackend(AzureStorage(**azurite.options(container)))
    assert backend.check() == []
    before = backend.storage.client
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        fine = backend.check() == [] and backend.storage.client is not before
        os.write(writing, b"1" if fine else b"0")
        os._exit(0)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"1"
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    assert backend.check() == []
    assert backend.storage.client is before


def test_purge_of_orphans_finds_none(client: Client, blobs: Callable[[], set[str]]) -> None:
    page = page_of(client)
    assert page.send_chunk(page.add(pattern(2_500)), 0).success
    UploadSession.objects.update(created_at=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    call_command("purge_expired_uploads", "--orphans", verbosity=0)
    assert len(blobs()) == 1
