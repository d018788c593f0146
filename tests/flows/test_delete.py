"""Deleting by both methods: what is deleted, who may, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from fakeuploader import BrowserFile, WireRequest
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import CSRF, UNKNOWN_UUID, answered, chunker, content, kept_bytes, pattern, refused, row, uploader

METHODS = ["DELETE", "POST"]

# A uuid becomes the end of the path as it is; servers that join it to a folder remove more than they should.
MALFORMED = [
    "1",
    "not-a-uuid",
    "%2e%2e",
    "..%2f..%2fetc",
    "0f8fad5b-d9cb-469f-a165-70867728950",
    "0f8fad5b-d9cb-469f-a165-70867728950eg",
    "0f8fad5bd9cb469fa16570867728950e0",
    "%7B0f8fad5b-d9cb-469f-a165-70867728950e%7D",
    "%00",
    "é",
]


@pytest.mark.parametrize("method", METHODS)
def test_finished_upload_is_deleted_with_its_file(client: Client, method: str, any_storage: str) -> None:
    page = uploader(client, delete_method=method)
    upload, other = page.add(b"gone"), page.add(b"stays")
    page.upload(upload)
    page.upload(other)
    assert page.delete(upload.uuid).success
    assert page.log[-1][1].status == 200
    assert not UploadSession.objects.filter(uuid=upload.uuid).exists()
    assert list(kept_bytes().values()) == [b"stays"]


@pytest.mark.parametrize("method", METHODS)
def test_unfinished_upload_is_dropped(client: Client, method: str, any_storage: str) -> None:
    page = chunker(client, delete_method=method)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    assert page.delete(upload.uuid).success
    assert (UploadSession.objects.count(), UploadChunk.objects.count(), kept_bytes()) == (0, 0, {})


@pytest.mark.parametrize("method", METHODS)
def test_deleting_again_is_answered_alike(client: Client, method: str) -> None:
    page = uploader(client, delete_method=method)
    upload = page.add(b"gone")
    page.upload(upload)
    first, second = (answered(page.send(page.delete_request(upload.uuid))) for _ in range(2))
    assert first == second
    assert first["status"] == 200
    assert first["success"] is True


@pytest.mark.parametrize("method", METHODS)
def test_unknown_uuid_is_answered_as_deleted(client: Client, method: str) -> None:
    page = uploader(client, delete_method=method)
    assert page.delete(UNKNOWN_UUID).success
    assert UploadSession.objects.count() == 0


@pytest.mark.parametrize("method", METHODS)
def test_foreign_upload_is_answered_as_deleted_and_stays(
    client: Client, other_client: Client, method: str, any_storage: str
) -> None:
    page = chunker(client)
    whole, part = page.add(b"whole"), page.add(pattern(25))
    page.upload(whole)
    page.send(page.chunk_request(part, 0))
    before = (kept_bytes(), list(UploadSession.objects.order_by("pk").values()))
    thief = uploader(other_client, delete_method=method)
    unknown = answered(thief.send(thief.delete_request(UNKNOWN_UUID)))
    for upload in (whole, part):
        answer = answered(thief.send(thief.delete_request(upload.uuid)))
        assert {**answer, "uuid": ""} == {**unknown, "uuid": ""}
    assert (kept_bytes(), list(UploadSession.objects.order_by("pk").values())) == before


@pytest.mark.parametrize("uuid", MALFORMED)
def test_malformed_uuid_is_refused_or_not_found(client: Client, uuid: str, media_root: Path) -> None:
    """Regression: ``qquuid=..`` in a delete removed the media root of a shipped server."""
    page = uploader(client)
    page.upload(b"stays")
    answer = answered(page.send(page.delete_request(uuid)))
    assert answer in (refused(400, "bad_uuid", preventRetry=True), refused(404, "not_found", preventRetry=True))
    assert list(kept_bytes().values()) == [b"stays"]


@pytest.mark.parametrize("uuid", ["1", "not-a-uuid", "0f8fad5b-d9cb-469f-a165-70867728950", "é", "a b"])
def test_malformed_uuid_in_one_segment_is_400(client: Client, uuid: str) -> None:
    page = uploader(client)
    answer = answered(page.send(page.delete_request(uuid.replace("é", "%C3%A9").replace(" ", "%20"))))
    assert answer == refused(400, "bad_uuid", preventRetry=True)


@pytest.mark.parametrize("uuid", ["..", ".", "", "not-a-uuid", "../../etc", "\x00"])
def test_malformed_uuid_in_a_post_is_refused(client: Client, uuid: str) -> None:
    page = uploader(client, delete_method="POST")
    page.upload(b"stays")
    answer = answered(page.send(page.delete_request(uuid)))
    code = "bad_uuid" if uuid else "missing_parameter"
    assert answer == refused(400, code, preventRetry=True)
    assert list(kept_bytes().values()) == [b"stays"]


def test_post_without_a_uuid_is_refused(client: Client) -> None:
    headers = (("Content-Type", "application/x-www-form-urlencoded"), *CSRF.items())
    request = WireRequest(method="POST", url="/uploads/", headers=headers).with_body(b"_method=DELETE")
    assert answered(uploader(client).send(request)) == refused(400, "missing_parameter", preventRetry=True)


def test_post_that_is_no_delete_deletes_nothing(client: Client) -> None:
    page = uploader(client, delete_method="POST")
    upload = page.add(b"stays")
    page.upload(upload)
    request = page.delete_request(upload.uuid)
    answer = page.send(request.with_body(request.body.replace(b"&_method=DELETE", b"")))
    assert (answer.status, answer.json()["success"]) == (400, False)
    assert content(upload.uuid) == b"stays"


def test_delete_post_without_a_content_type_is_understood(client: Client) -> None:
    """XDomainRequest (IE 8 and 9) cannot send one."""
    page = uploader(client, delete_method="POST")
    upload = page.add(b"gone")
    page.upload(upload)
    request = page.delete_request(upload.uuid).without_header("Content-Type")
    assert page.send(request).status == 200
    assert not UploadSession.objects.exists()


def test_delete_post_keeps_its_params_and_session_items_theirs(client: Client) -> None:
    page = uploader(client, delete_method="POST", delete_params={"why": {"deep": ["x", "y"]}})
    for item in ({}, {"params": {"from": "the item"}}):
        upload = page.add(b"gone")
        page.upload(upload)
        assert page.delete(upload.uuid, **item).success
    assert not UploadSession.objects.exists()


@pytest.mark.parametrize("method", METHODS)
def test_claimed_file_is_not_deleted(client: Client, method: str) -> None:
    page = uploader(client, delete_method=method)
    upload = page.add(b"stays")
    page.upload(upload)
    assert row(upload.uuid).claim()
    answer = answered(page.send(page.delete_request(upload.uuid)))
    assert answer == refused(403, "claimed", preventRetry=True)
    assert content(upload.uuid) == b"stays"


def test_upload_starts_anew_after_it_was_deleted(client: Client, any_storage: str) -> None:
    page = uploader(client)
    upload = page.add(b"again")
    page.upload(upload)
    page.delete(upload.uuid)
    assert page.upload(upload).success
    assert list(kept_bytes().values()) == [b"again"]


def test_deleting_a_parent_leaves_its_scaled_images(client: Client) -> None:
    page = uploader(client)
    child, parent = page.add_scaled(BrowserFile(b"large", "p.png"), {"tiny": BrowserFile(b"small", None)})
    page.upload(child)
    page.upload(parent)
    page.delete(parent.uuid)
    assert content(child.uuid) == b"small"


@pytest.mark.parametrize("method", METHODS)
def test_upper_case_uuid_is_the_same_upload(client: Client, method: str) -> None:
    page = uploader(client, delete_method=method)
    upload = page.add(b"gone")
    page.upload(upload)
    assert page.delete(upload.uuid.upper()).success
    assert not UploadSession.objects.exists()
