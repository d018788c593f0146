"""Every limit at the limit and one past it, on real bytes; and what else a site may refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from fakeuploader import BrowserFile, FakeUploader
from fineuploader_receiver.models import UploadSession
from flowtools import (
    ENCODINGS,
    FORM_CSRF,
    RAW,
    accepted,
    answered,
    chunker,
    content,
    finisher,
    kept_bytes,
    pattern,
    refused,
    row,
    uploader,
)

Options = Callable[..., None]

TOO_LARGE = refused(413, "file_too_large", preventRetry=True)
CHUNK_TOO_LARGE = refused(413, "chunk_too_large", preventRetry=True)
TOO_MANY_CHUNKS = refused(413, "too_many_chunks", preventRetry=True)
BAD_EXTENSION = refused(415, "extension_not_allowed", preventRetry=True)
BAD_TYPE = refused(415, "type_not_allowed", preventRetry=True)
INVALID = refused(422, "invalid_file", preventRetry=True)
TOO_MANY_UPLOADS = refused(429, "too_many_uploads")

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
HTML = b"<!DOCTYPE html><html><script>alert(document.cookie)</script></html>"


@pytest.fixture
def options(settings: Any) -> Options:
    """Set options of the default receiver."""

    def set_options(**options: Any) -> None:
        settings.FINEUPLOADER_RECEIVERS = {"default": options, "videos": {}}

    return set_options


def assert_nothing_kept() -> None:
    assert kept_bytes() == {}
    assert not UploadSession.objects.filter(state="complete").exists()


def sent(page: FakeUploader, data: bytes | BrowserFile) -> dict[str, Any]:
    return answered(page.send(page.simple_request(page.add(data))))


# Sizes


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_file_at_the_limit_is_taken_and_one_past_it_is_refused(
    client: Client, options: Options, encoding: dict[str, Any]
) -> None:
    options(MAX_FILE_SIZE=1000)
    page = uploader(client, **encoding)
    assert sent(page, pattern(1001)) == TOO_LARGE
    assert_nothing_kept()
    assert sent(page, pattern(1000))["status"] == 200


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_file_in_chunks_past_the_limit_is_refused_with_its_first_chunk(
    client: Client, options: Options, encoding: dict[str, Any]
) -> None:
    options(MAX_FILE_SIZE=25)
    page = finisher(client, **encoding)
    assert page.upload(page.add(pattern(25))).success
    before = kept_bytes()
    for index in range(3):
        assert answered(page.send(page.chunk_request(page.add(pattern(26)), index))) == TOO_LARGE
    assert kept_bytes() == before


def test_size_is_counted_on_real_bytes_where_none_is_declared(client: Client, options: Options) -> None:
    """Form uploads declare no size."""
    options(MAX_FILE_SIZE=1000)
    page = uploader(client, params=FORM_CSRF)
    refusal = page.upload_form(page.add(pattern(1001)))
    assert (refusal.success, refusal.prevent_retry) == (False, True)
    assert_nothing_kept()
    assert page.upload_form(page.add(pattern(1000))).success


def test_size_is_counted_on_real_bytes_whatever_is_declared(client: Client, options: Options) -> None:
    """Regression: declared 10 bytes, stored 28."""
    options(MAX_FILE_SIZE=1000)
    page = uploader(client, omit_default_params=True)
    lying = page.add(pattern(5000), params={"qquuid": "0f8fad5b-d9cb-469f-a165-70867728950e", "qqtotalfilesize": 10})
    answer = answered(page.send(page.simple_request(lying)))
    assert (answer["status"], answer["success"]) in ((400, False), (413, False))
    assert_nothing_kept()


def test_refusal_of_a_large_file_names_the_limit_s_error_to_the_page(client: Client, options: Options) -> None:
    options(MAX_FILE_SIZE=1000)
    page = uploader(client)
    outcome = page.upload(page.add(pattern(500_000)), attempts=3)
    assert (outcome.success, outcome.prevent_retry, len(page.log)) == (False, True, 1)
    assert outcome.error != "XHR returned response code 0"


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_chunk_at_the_limit_is_taken_and_one_past_it_is_refused(
    client: Client, options: Options, encoding: dict[str, Any]
) -> None:
    options(MAX_CHUNK_SIZE=10)
    large = finisher(client, part_size=11, **encoding)
    assert answered(large.send(large.chunk_request(large.add(pattern(25)), 0))) == CHUNK_TOO_LARGE
    assert_nothing_kept()
    assert finisher(client, **encoding).upload(pattern(25)).success


def test_chunks_at_the_limit_are_taken_and_one_past_it_is_refused(client: Client, options: Options) -> None:
    options(MAX_CHUNKS=3)
    page = finisher(client)
    assert answered(page.send(page.chunk_request(page.add(pattern(31)), 0))) == TOO_MANY_CHUNKS
    assert_nothing_kept()
    assert page.upload(page.add(pattern(30))).success


def test_chunks_have_a_limit_by_default(client: Client) -> None:
    page = finisher(client, part_size=1)
    assert answered(page.send(page.chunk_request(page.add(pattern(50_001)), 0))) == TOO_MANY_CHUNKS
    assert answered(page.send(page.chunk_request(page.add(pattern(50_000)), 0)))["status"] == 200


# Kinds


@pytest.mark.parametrize("name", ["a.jpg", "b.JPG", "c.tar.jpg", "d.png"])
def test_allowed_extension_is_taken(client: Client, options: Options, name: str) -> None:
    options(ALLOWED_EXTENSIONS=["jpg", ".PNG"])
    assert uploader(client).upload(BrowserFile(b"x", name)).success


@pytest.mark.parametrize("name", ["a.exe", "jpg", "a.jpg.exe", "a", "", ".jpg ", "a.jpg/b", "a.jp", "a.jpg\u202e.exe"])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_other_extension_is_refused(client: Client, options: Options, name: str, encoding: dict[str, Any]) -> None:
    options(ALLOWED_EXTENSIONS=["jpg"])
    page = uploader(client, **encoding)
    assert sent(page, BrowserFile(b"x", name)) == BAD_EXTENSION
    assert_nothing_kept()


def test_extension_is_checked_again_at_completion(client: Client, options: Options) -> None:
    """The name may change until the last request."""
    options(ALLOWED_EXTENSIONS=["jpg"])
    page = finisher(client)
    upload = page.add(BrowserFile(pattern(25), "a.jpg"))
    for index in (0, 1):
        page.send(page.chunk_request(upload, index))
    upload.name = "a.exe"
    assert answered(page.send(page.chunk_request(upload, 2))) == BAD_EXTENSION
    assert not [name for name in kept_bytes() if name.startswith("uploads/")]
    assert not UploadSession.objects.filter(state="complete").exists()


def test_success_request_cannot_give_a_finished_file_a_name_that_is_not_allowed(
    client: Client, options: Options
) -> None:
    options(ALLOWED_EXTENSIONS=["jpg"])
    page = finisher(client)
    upload = page.add(BrowserFile(pattern(25), "a.jpg"))
    for index in range(3):
        page.send(page.chunk_request(upload, index))
    upload.name = "a.exe"
    page.done(upload)
    assert not row(upload.uuid).filename.endswith(".exe")
    assert row(upload.uuid).file.endswith(".jpg")


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_type_is_sniffed_and_not_believed(client: Client, options: Options, encoding: dict[str, Any]) -> None:
    options(ALLOWED_CONTENT_TYPES=["image/png"])
    page = uploader(client, **encoding)
    assert sent(page, BrowserFile(HTML, "a.png", "image/png")) == BAD_TYPE
    assert_nothing_kept()
    assert sent(page, BrowserFile(PNG, "a.png", "text/html"))["status"] == 200


def test_type_is_sniffed_from_the_first_chunk_in_any_order(client: Client, options: Options) -> None:
    options(ALLOWED_CONTENT_TYPES=["image/png"])
    page = finisher(client, concurrent=True, part_size=16)
    assert page.upload(BrowserFile(PNG + pattern(40), "a.png")).success
    refusal = page.upload(BrowserFile(HTML, "a.png"))
    assert (refusal.success, refusal.prevent_retry) == (False, True)
    assert len([name for name in kept_bytes() if name.startswith("uploads/")]) == 1


def test_validator_of_the_assembled_file_refuses_it(client: Client, options: Options, any_storage: str) -> None:
    options(VALIDATORS=["receivers_for_tests.refuse_even"])
    page = finisher(client)
    assert sent(uploader(client), pattern(6)) == INVALID
    outcome = page.upload(page.add(pattern(26)))
    assert (outcome.success, outcome.prevent_retry, outcome.error) == (False, True, "Too even.")
    assert_nothing_kept()
    odd = page.add(pattern(25))
    assert page.upload(odd).success
    assert content(odd.uuid) == pattern(25)


def test_refused_file_stays_refused(client: Client, options: Options) -> None:
    options(VALIDATORS=["receivers_for_tests.refuse_even"])
    page = finisher(client)
    upload = page.add(pattern(26))
    page.upload(upload)
    for request in (page.chunk_request(upload, 1), page.done_request(upload)):
        answer = page.send(request).json()
        assert answer["success"] is False or answer["complete"] is False
    assert_nothing_kept()


# Quotas


def test_unfinished_uploads_at_the_limit_are_taken_and_one_past_it_waits(client: Client, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=2)
    page = chunker(client)
    first, second, third = (page.add(pattern(25)) for _ in range(3))
    for upload in (first, second):
        assert page.send(page.chunk_request(upload, 0)).status == 200
    assert answered(page.send(page.chunk_request(third, 0))) == TOO_MANY_UPLOADS
    first.remaining = [1, 2]
    assert page.upload(first).success
    assert page.upload(third).success


def test_finished_uploads_are_not_active(client: Client, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=1)
    page = finisher(client)
    assert [page.upload(page.add(pattern(25))).success for _ in range(3)] == [True] * 3


def test_deleted_upload_frees_its_place(client: Client, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=1)
    page = chunker(client)
    first, second = page.add(pattern(25)), page.add(pattern(25))
    page.send(page.chunk_request(first, 0))
    assert answered(page.send(page.chunk_request(second, 0))) == TOO_MANY_UPLOADS
    page.delete(first.uuid)
    assert page.send(page.chunk_request(second, 0)).status == 200


def test_limits_of_owners_are_their_own(client: Client, other_client: Client, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=1, MAX_STAGED_BYTES=25)
    for browser in (client, other_client):
        page = chunker(browser)
        assert page.send(page.chunk_request(page.add(pattern(25)), 0)).status == 200


def test_staged_bytes_are_reserved_as_declared_by_the_first_request(client: Client, options: Options) -> None:
    options(MAX_STAGED_BYTES=50)
    page = chunker(client)
    first, second, third = (page.add(pattern(25)) for _ in range(3))
    for upload in (first, second):
        assert page.send(page.chunk_request(upload, 0)).status == 200
    assert answered(page.send(page.chunk_request(third, 0))) == refused(413, "quota_exceeded")
    assert answered(page.send(page.simple_request(page.add(b"x")))) == refused(413, "quota_exceeded")
    second.remaining = [1, 2]
    assert page.upload(second).success
    assert page.upload(third).success


def test_file_larger_than_the_whole_quota_is_refused_for_good(client: Client, options: Options) -> None:
    options(MAX_STAGED_BYTES=50)
    page = chunker(client)
    answer = answered(page.send(page.chunk_request(page.add(pattern(51)), 0)))
    assert answer == refused(413, "quota_exceeded", preventRetry=True)
    assert_nothing_kept()
    assert page.send(page.chunk_request(page.add(pattern(50)), 0)).status == 200


def test_full_disk_is_refused_for_now(client: Client, options: Options) -> None:
    options(MIN_FREE_SPACE=2**62)
    page = finisher(client, **RAW)
    upload = page.add(pattern(25))
    expected = refused(507, "no_space")
    assert answered(page.send(page.simple_request(page.add(b"x")))) == expected
    assert answered(page.send(page.chunk_request(upload, 0))) == expected
    assert_nothing_kept()
    options()
    assert page.upload(upload).success


def test_refused_upload_uses_no_quota(client: Client, options: Options) -> None:
    options(MAX_ACTIVE_UPLOADS=1, ALLOWED_EXTENSIONS=["jpg"])
    page = chunker(client)
    page.send(page.chunk_request(page.add(BrowserFile(pattern(25), "a.exe")), 0))
    good = page.add(BrowserFile(pattern(25), "a.jpg"))
    assert answered(page.send(page.chunk_request(good, 0))) == {"status": 200, **accepted(good.uuid, complete=False)}
