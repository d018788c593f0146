"""Simple uploads: one request, one file, in every encoding and on every kind of storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from fakeuploader import BrowserFile
from fineuploader_receiver.models import UploadSession
from flowtools import ENCODINGS, FORM_CSRF, RAW, accepted, answered, content, kept_bytes, pattern, row, uploader

# Names that have broken upload servers, each with its reason.
HOSTILE_NAMES = {
    "climbs": "../../etc/passwd",
    "absolute": "/etc/cron.d/x",
    "windows path": "C:\\Windows\\system32\\drivers\\etc\\hosts",
    "only dots": "..",
    "empty": "",
    "blank": "   ",
    "quotes": "a\"b'c.txt",
    "line breaks": "a\r\nSet-Cookie: x=1\nb.txt",
    "NUL, which PostgreSQL refuses": "a\x00b.txt",
    "lone surrogate": "a\ud800.txt",
    "right to left": "a\u202etxt.exe",
    "other scripts": "файл-資料-ملف.pdf",
    "300 characters, over every file system's limit": "n" * 300 + ".txt",
    "4 KB": "ä" * 2048 + ".jpeg",
    "device": "CON.txt",
    "format characters, which upload_to must not expand": "100%Y%%d.txt",
    "settings": "settings.py",
    "markup": "<script>alert(1)</script>.html",
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_simple_upload_is_stored_and_answered_as_complete(
    client: Client, encoding: Mapping[str, Any], any_storage: str
) -> None:
    page = uploader(client, **encoding)
    upload = page.add(BrowserFile(pattern(2000), "report.txt", "text/plain"))
    assert page.upload(upload).success
    assert page.log[0][1].json() == accepted(upload.uuid, complete=True)
    stored = row(upload.uuid)
    assert {
        "state": stored.state,
        "filename": stored.filename,
        "content_type": stored.content_type,
        "total_size": stored.total_size,
        "received_bytes": stored.received_bytes,
        "receiver": stored.receiver,
        "storage": stored.storage,
        "claimed_at": stored.claimed_at,
    } == {
        "state": "complete",
        "filename": "report.txt",
        "content_type": "text/plain",
        "total_size": 2000,
        "received_bytes": 2000,
        "receiver": "default",
        "storage": "default",
        "claimed_at": None,
    }
    assert kept_bytes() == {stored.file: pattern(2000)}
    assert content(upload.uuid) == pattern(2000)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_simple_upload_works_with_every_method(client: Client, method: str, encoding: Mapping[str, Any]) -> None:
    page = uploader(client, method=method, **encoding)
    upload = page.add(pattern(100))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(100)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_empty_file_is_stored_as_an_empty_file(client: Client, encoding: Mapping[str, Any], any_storage: str) -> None:
    page = uploader(client, **encoding)
    upload = page.add(BrowserFile(b"", "empty.txt"))
    assert page.upload(upload).success
    assert kept_bytes() == {row(upload.uuid).file: b""}


def test_answer_is_plain_text_that_nothing_sniffs(client: Client) -> None:
    page = uploader(client)
    page.upload(b"x")
    headers = page.log[0][1].headers
    assert headers["content-type"].partition(";")[0] == "text/plain"
    assert headers["x-content-type-options"] == "nosniff"


def test_raw_body_above_the_memory_limit_is_streamed(client: Client, any_storage: str) -> None:
    """Regression: ``request.body`` refuses bodies above DATA_UPLOAD_MAX_MEMORY_SIZE (2.5 MB)."""
    page = uploader(client, **RAW)
    upload = page.add(pattern(3_000_000))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(3_000_000)


def test_multipart_body_above_the_memory_limit_is_streamed(client: Client) -> None:
    page = uploader(client)
    upload = page.add(pattern(3_000_000))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(3_000_000)


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16])
def test_file_as_long_as_a_read_buffer_is_exact(client: Client, size: int) -> None:
    """Regression: a delimiter that falls on the edge of a buffer costs or adds bytes in hand-made parsers."""
    page = uploader(client)
    upload = page.add(pattern(size))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(size)


@pytest.mark.parametrize("data", [b"\r\n--", b"--", b"\r\n", b"\r\n----WebKitFormBoundary", b"a\r\n--b\r\n\r\n--"])
def test_file_that_looks_like_a_delimiter_is_exact(client: Client, data: bytes) -> None:
    page = uploader(client)
    upload = page.add(data * 3)
    assert page.upload(upload).success
    assert content(upload.uuid) == data * 3


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=list(HOSTILE_NAMES))
def test_hostile_name_is_stored_safely(client: Client, name: str, encoding: Mapping[str, Any]) -> None:
    if encoding and "\ud800" in name:
        # A browser cannot put it into an address: encodeURIComponent() throws.
        name = name.replace("\ud800", "\ufffd")
    page = uploader(client, **encoding)
    upload = page.add(BrowserFile(b"content", name))
    assert page.upload(upload).success
    [(path, data)] = kept_bytes().items()
    stored = row(upload.uuid)
    assert (path, data) == (stored.file, b"content")
    assert path.startswith("uploads/")
    assert len(path) <= 512
    assert not {"..", ""} & set(path.split("/"))
    assert not set("\\\r\n\x00<>") & set(path)


@pytest.mark.parametrize("name", ["a\"b'c.txt", "файл-資料-ملف.pdf", "../../etc/passwd", "x" * 300])
def test_display_name_is_kept_as_it_came(client: Client, name: str) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"content", name))
    page.upload(upload)
    assert row(upload.uuid).filename == name


def test_display_name_is_cut(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"content", "n" * 4096))
    assert page.upload(upload).success
    assert row(upload.uuid).filename == "n" * 1024


def test_name_is_the_edited_one_and_not_that_of_the_part(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"content", "IMG_0001.jpg"), name="holiday.jpg")
    page.upload(upload)
    assert row(upload.uuid).filename == "holiday.jpg"


def test_folder_in_the_part_header_does_not_count(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"content", "one.txt", relative_path="dir/sub/one.txt"))
    page.upload(upload)
    assert row(upload.uuid).filename == "one.txt"


def test_two_files_of_one_name_are_two_files(client: Client, any_storage: str) -> None:
    """Regression: iOS names every photo image.jpg, and storages overwrite or race on equal names."""
    page = uploader(client)
    uploads = [page.add(BrowserFile(data, "image.jpg")) for data in (b"first", b"second", b"third")]
    assert all(page.upload(upload).success for upload in uploads)
    assert [content(upload.uuid) for upload in uploads] == [b"first", b"second", b"third"]
    assert len(kept_bytes()) == 3


def test_repeated_upload_is_answered_alike_and_kept_once(client: Client, any_storage: str) -> None:
    """Regression: Chromium sends a POST again when a kept-alive connection closes without an answer."""
    page = uploader(client)
    upload = page.add(pattern(500))
    request = page.simple_request(upload)
    first, second = page.send(request), page.send(request)
    assert answered(first) == answered(second) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert list(kept_bytes().values()) == [pattern(500)]
    assert UploadSession.objects.count() == 1


def test_other_bytes_under_the_same_uuid_do_not_change_the_file(client: Client, any_storage: str) -> None:
    page = uploader(client)
    upload = page.add(b"the first bytes")
    page.upload(upload)
    page.upload(page.add(b"the other bytes", uuid=upload.uuid))
    assert content(upload.uuid) == b"the first bytes"
    assert len(kept_bytes()) == 1


def test_form_upload_is_stored_and_its_answer_can_be_read(client: Client) -> None:
    page = uploader(client, params=FORM_CSRF)
    upload = page.add(BrowserFile(pattern(100), "old & <new>.txt", "text/plain"))
    outcome = page.upload_form(upload)
    assert outcome.success
    assert outcome.response["uuid"] == upload.uuid
    assert content(upload.uuid) == pattern(100)
    headers = page.log[0][1].headers
    assert headers["content-type"].partition(";")[0] == "text/plain"
    assert "x-frame-options" not in headers


def test_empty_form_upload_is_stored(client: Client) -> None:
    page = uploader(client, params=FORM_CSRF)
    upload = page.add(BrowserFile(b"", "empty.txt"))
    assert page.upload_form(upload).success
    assert content(upload.uuid) == b""


def test_custom_param_named_like_the_file_is_not_the_file(client: Client) -> None:
    page = uploader(client, params={"qqfile": "a text field"})
    upload = page.add(pattern(100))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(100)


def test_extra_file_parts_are_discarded(client: Client) -> None:
    """Regression: servers that take the first file part store the page's extra blob instead of the file."""
    page = uploader(client, params={"extra": BrowserFile(b"not this", "extra.bin")})
    upload = page.add(pattern(100))
    assert page.upload(upload).success
    assert list(kept_bytes().values()) == [pattern(100)]


def test_numeric_custom_param_named_like_an_index_does_not_make_a_chunk(client: Client) -> None:
    page = uploader(client, params={"qqpartindex": 3})
    upload = page.add(pattern(100))
    assert page.upload(upload).success
    assert page.log[0][1].json() == accepted(upload.uuid, complete=True)


def test_parameters_left_out_are_replaced_by_the_page_s_own(client: Client) -> None:
    uuid = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
    page = uploader(client, omit_default_params=True, params={"qquuid": uuid, "qqfilename": "own.txt"})
    assert page.upload(pattern(100)).success
    assert (row(uuid).filename, content(uuid)) == ("own.txt", pattern(100))


def test_renamed_parameters_are_understood(client: Client, settings: Any) -> None:
    names = {"qquuid": "id", "qqfilename": "name", "qqtotalfilesize": "size", "qqfile": "upload"}
    settings.FINEUPLOADER_RECEIVERS = {"default": {"PARAM_NAMES": names}, "videos": {}}
    page = uploader(client)
    page = uploader(
        client,
        names=type(page.names)(uuid="id", filename="name", total_size="size", file="upload"),
        params={"qquuid": "now the page's own"},
    )
    upload = page.add(BrowserFile(pattern(100), "a.txt"))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(100)
    assert row(upload.uuid).params == {"qquuid": "now the page's own"}


def test_parameters_of_the_body_win_over_those_of_the_query(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "body.txt"))
    request = page.simple_request(upload)
    page.send(request.with_url("/uploads/?qquuid=..&qqfilename=query.txt&qqtotalfilesize=99"))
    assert row(upload.uuid).filename == "body.txt"
