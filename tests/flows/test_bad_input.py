"""Bad input gets an error that the client can read, and stores nothing: no row, no byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.test import Client

from fakeuploader import BrowserFile, FakeUploader, WireRequest, WireResponse
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import (
    CSRF,
    RAW,
    UNKNOWN_UUID,
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

BAD_CHUNK = refused(400, "bad_chunk", preventRetry=True)
BAD_PARAMETER = refused(400, "bad_parameter", preventRetry=True)
BAD_BODY = refused(400, "bad_body", preventRetry=True)
MISSING = refused(400, "missing_parameter", preventRetry=True)
TRUNCATED = refused(400, "truncated_body")
SIZE_MISMATCH = refused(400, "size_mismatch")


def assert_nothing_stored() -> None:
    assert (UploadSession.objects.count(), UploadChunk.objects.count(), kept_bytes()) == (0, 0, {})


def forged(page: FakeUploader, params: Mapping[str, Any], data: bytes = b"x" * 10) -> WireResponse:
    """Send an upload whose parameters are exactly these."""
    bare = FakeUploader(page.transport, page.options.but(omit_default_params=True))
    return page.send(bare.simple_request(bare.add(BrowserFile(data, None), params=params)))


def chunk_params(**changes: Any) -> dict[str, Any]:
    """What the client sends for the first of three chunks, with some of it changed, or left out where None."""
    params = {
        "qqpartindex": 0,
        "qqpartbyteoffset": 0,
        "qqchunksize": 10,
        "qqtotalparts": 3,
        "qqtotalfilesize": 25,
        "qqfilename": "a.bin",
        "qquuid": UNKNOWN_UUID,
    }
    return {name: value for name, value in {**params, **changes}.items() if value is not None}


@pytest.fixture(params=[{}, {"params_in_body": False}, RAW], ids=["body", "query", "raw"])
def page(request: pytest.FixtureRequest, client: Client) -> FakeUploader:
    return finisher(client, **request.param)


BAD_UUIDS = {
    "too short": "0f8fad5b-d9cb-469f-a165-70867728950",
    "too long": UNKNOWN_UUID + "0",
    "no hex": "zf8fad5b-d9cb-469f-a165-70867728950e",
    "a path": "../../etc/passwd",
    "dots": "..",
    "braces": "{" + UNKNOWN_UUID + "}",
    "urn": "urn:uuid:" + UNKNOWN_UUID,
    "no dashes": UNKNOWN_UUID.replace("-", ""),
    "NUL at the end": UNKNOWN_UUID + "\x00",
    "line break at the end": UNKNOWN_UUID + "\n",
    "full-width digits": "\uff10" + UNKNOWN_UUID[1:],
    "4 KB": "0" * 4096,
}


@pytest.mark.parametrize("uuid", BAD_UUIDS.values(), ids=list(BAD_UUIDS))
def test_malformed_uuid_is_refused(page: FakeUploader, uuid: str) -> None:
    for params in ({"qquuid": uuid}, chunk_params(qquuid=uuid)):
        assert answered(forged(page, params)) == refused(400, "bad_uuid", preventRetry=True)
    assert_nothing_stored()


@pytest.mark.parametrize("params", [{"qqfilename": "a"}, chunk_params(qquuid=None), {"qquuid": ""}], ids=str)
def test_missing_uuid_is_refused(client: Client, params: dict[str, Any]) -> None:
    assert answered(forged(uploader(client), params)) == MISSING
    assert_nothing_stored()


BAD_CHUNKS = {
    "index is the total": ({"qqpartindex": 3}, {"bad_chunk"}),
    "index above the total": ({"qqpartindex": 99}, {"bad_chunk"}),
    "negative index": ({"qqpartindex": -1}, {"bad_chunk", "bad_parameter"}),
    "index is no number": ({"qqpartindex": "one"}, {"bad_parameter"}),
    "index is a fraction": ({"qqpartindex": "0.5"}, {"bad_parameter", "bad_chunk"}),
    "index has digits of another script": ({"qqpartindex": "\u0660"}, {"bad_parameter"}),
    "index beyond 64 bits": ({"qqpartindex": "9" * 30, "qqtotalparts": "9" * 31}, {"bad_parameter"}),
    "no parts": ({"qqtotalparts": 0}, {"bad_chunk", "bad_parameter"}),
    "negative parts": ({"qqtotalparts": -3}, {"bad_chunk", "bad_parameter"}),
    "parts are no number": ({"qqtotalparts": "NaN"}, {"bad_parameter"}),
    "more parts than bytes can fill": ({"qqtotalparts": 26}, {"bad_chunk"}),
    "too few parts for the size": ({"qqtotalparts": 2}, {"bad_chunk"}),
    "offset does not fit the index": ({"qqpartbyteoffset": 5}, {"bad_chunk"}),
    "offset beyond the file": ({"qqpartindex": 1, "qqpartbyteoffset": 100}, {"bad_chunk"}),
    "negative offset": ({"qqpartbyteoffset": -10}, {"bad_chunk", "bad_parameter"}),
    "offset is no number": ({"qqpartbyteoffset": "zero"}, {"bad_parameter"}),
    "offset is infinite": ({"qqpartbyteoffset": "Infinity"}, {"bad_parameter"}),
    "size is zero": ({"qqchunksize": 0}, {"bad_chunk", "bad_parameter", "size_mismatch"}),
    "size is negative": ({"qqchunksize": -10}, {"bad_chunk", "bad_parameter"}),
    "size is not the body's": ({"qqchunksize": 9}, {"bad_chunk", "size_mismatch"}),
    "size is larger than the body": ({"qqchunksize": 11}, {"bad_chunk", "size_mismatch"}),
    "total size is negative": ({"qqtotalfilesize": -1}, {"bad_chunk", "bad_parameter"}),
    "total size is no number": ({"qqtotalfilesize": "big"}, {"bad_parameter"}),
    "total size is less than the chunk": ({"qqtotalfilesize": 5}, {"bad_chunk"}),
    "last chunk does not reach the end": (
        {"qqpartindex": 2, "qqpartbyteoffset": 20, "qqtotalfilesize": 35},
        {"bad_chunk"},
    ),
    "last chunk reaches beyond the end": ({"qqpartindex": 2, "qqpartbyteoffset": 20}, {"bad_chunk"}),
}


@pytest.mark.parametrize(("changes", "codes"), BAD_CHUNKS.values(), ids=list(BAD_CHUNKS))
def test_chunk_that_fits_no_file_is_refused(page: FakeUploader, changes: dict[str, Any], codes: set[str]) -> None:
    answer = answered(forged(page, chunk_params(**changes)))
    assert (answer["status"], answer["code"] in codes) == (400, True), answer
    assert_nothing_stored()


@pytest.mark.parametrize("missing", ["qqpartbyteoffset", "qqchunksize"])
def test_chunk_without_its_place_is_refused(page: FakeUploader, missing: str) -> None:
    assert answered(forged(page, chunk_params(**{missing: None}))) == MISSING
    assert_nothing_stored()


CHANGED_TOTALS = {
    "other size": {"qqtotalfilesize": 26},
    "other parts": {"qqtotalparts": 4, "qqtotalfilesize": 35},
}


@pytest.mark.parametrize("changes", CHANGED_TOTALS.values(), ids=list(CHANGED_TOTALS))
def test_totals_that_change_are_refused_without_reset(page: FakeUploader, changes: dict[str, Any]) -> None:
    upload = page.add(pattern(25), uuid=UNKNOWN_UUID)
    page.send(page.chunk_request(upload, 0))
    before = (kept_bytes(), UploadChunk.objects.count())
    changed = chunk_params(**{"qqpartindex": 1, "qqpartbyteoffset": 10, **changes})
    assert answered(forged(page, changed)) == refused(409, "totals_changed")
    assert (kept_bytes(), UploadChunk.objects.count()) == before
    upload.remaining = [1, 2]
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


def test_index_0_with_other_totals_restarts_the_upload(page: FakeUploader) -> None:
    """Scaled images are generated again after a manual retry: the same uuid, another size."""
    first = page.add(pattern(45))
    for index in (0, 1):
        page.send(page.chunk_request(first, index))
    again = page.add(bytes(reversed(pattern(25))), uuid=first.uuid)
    assert page.upload(again).success
    assert content(first.uuid) == bytes(reversed(pattern(25)))
    assert row(first.uuid).total_size == 25
    assert list(kept_bytes()) == [row(first.uuid).file]


SIZE_LIES = {"one less": 1, "one more": -1, "far less": 500}


@pytest.mark.parametrize("difference", SIZE_LIES.values(), ids=list(SIZE_LIES))
@pytest.mark.parametrize("encoding", [{}, {"params_in_body": False}], ids=["body", "query"])
def test_simple_upload_of_another_size_than_announced_is_refused(
    client: Client, difference: int, encoding: dict[str, Any]
) -> None:
    page = uploader(client, **encoding)
    answer = forged(page, {"qquuid": UNKNOWN_UUID, "qqtotalfilesize": 1000 - difference}, pattern(1000))
    assert answered(answer) == SIZE_MISMATCH
    assert_nothing_stored()


# Bodies that break off


def last_bytes(request: WireRequest) -> list[int]:
    """Lengths at which a body can break off: nothing, inside the fields, inside the file, before the last delimiter."""
    return [0, 1, len(request.body) // 2, len(request.body) - 60, len(request.body) - 3, len(request.body) - 1]


@pytest.mark.parametrize("breaks", [False, True], ids=["ends", "breaks"])
@pytest.mark.parametrize("place", range(6))
def test_body_cut_short_is_refused(page: FakeUploader, place: int, breaks: bool) -> None:
    """Regression: a truncated body is stored as a short file or chunk, and called a success."""
    large = page.add(pattern(250_000))
    for request in (page.simple_request(large), page.chunk_request(page.add(pattern(25)), 0)):
        cut = request.cut(max(last_bytes(request)[place], 0), breaks=breaks)
        if cut.body.endswith(b"--\r\n") or cut.body.endswith(b"--"):
            continue
        assert answered(page.send(cut)) == TRUNCATED
    assert_nothing_stored()


@pytest.mark.parametrize("breaks", [False, True], ids=["ends", "breaks"])
def test_last_chunk_cut_short_does_not_complete(page: FakeUploader, breaks: bool) -> None:
    upload = page.add(pattern(25))
    for index in (0, 1):
        page.send(page.chunk_request(upload, index))
    request = page.chunk_request(upload, 2)
    length = 4 if request.header("Content-Type") == "application/octet-stream" else len(request.body) - 62
    assert answered(page.send(request.cut(length, breaks=breaks))) == TRUNCATED
    assert (row(upload.uuid).state, row(upload.uuid).received_bytes) == ("receiving", 20)
    assert answered(page.send(request)) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert content(upload.uuid) == pattern(25)


def test_success_request_cut_short_is_refused(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    request = page.done_request(upload)
    assert answered(page.send(request.cut(20))) == TRUNCATED
    assert row(upload.uuid).state == "receiving"


def test_body_without_a_length_is_refused(page: FakeUploader) -> None:
    upload = page.add(pattern(25))
    expected = refused(411, "length_required", preventRetry=True)
    for request in (page.simple_request(upload), page.chunk_request(upload, 0)):
        assert answered(page.send(request.as_chunked())) == expected
        assert answered(page.send(request.without_length())) == expected
    assert_nothing_stored()


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "", "99999999999999999999999999"])
def test_length_that_is_no_number_is_refused(client: Client, length: str) -> None:
    page = uploader(client)
    request = page.simple_request(page.add(b"x"))
    page.transport.extra["CONTENT_LENGTH"] = length  # type: ignore[attr-defined]
    answer = answered(page.send(request))
    assert (answer["status"], answer["code"] in {"bad_body", "length_required", "truncated_body"}) in (
        (400, True),
        (411, True),
    )
    assert_nothing_stored()


# Forms that are none

BOUNDARY = "----WebKitFormBoundaryAAAAAAAAAAAAAAAA"


def form(body: bytes, *, content_type: str = f"multipart/form-data; boundary={BOUNDARY}") -> WireRequest:
    headers = (("Accept", "application/json"), *CSRF.items(), ("Content-Type", content_type))
    return WireRequest(method="POST", url="/uploads/", headers=headers).with_body(body)


def part(disposition: str, content: bytes = b"x", *, more: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


UUID_PART = part('form-data; name="qquuid"', UNKNOWN_UUID.encode())
FILE_PART = part('form-data; name="qqfile"; filename="a.txt"')
END = f"--{BOUNDARY}--\r\n".encode()


def test_file_before_its_fields_is_refused(client: Client) -> None:
    """Nothing is known of such a file, so not a byte of it may be kept."""
    assert answered(uploader(client).send(form(FILE_PART + UUID_PART + END))) == MISSING
    assert_nothing_stored()


def test_file_before_its_fields_is_taken_when_query_and_header_admit_it(client: Client) -> None:
    request = form(FILE_PART + part('form-data; name="note"', b"late") + END)
    answer = uploader(client).send(request.with_url(f"/uploads/?qquuid={UNKNOWN_UUID}&qqfilename=a.txt"))
    assert answered(answer) == {"status": 200, **accepted(UNKNOWN_UUID, complete=True)}


def test_form_without_a_file_is_refused(client: Client) -> None:
    assert answered(uploader(client).send(form(UUID_PART + END))) == refused(400, "missing_file", preventRetry=True)
    assert_nothing_stored()


def test_file_under_another_name_is_no_file(client: Client) -> None:
    body = UUID_PART + part('form-data; name="other"; filename="a.txt"') + END
    assert answered(uploader(client).send(form(body))) == refused(400, "missing_file", preventRetry=True)
    assert_nothing_stored()


def test_second_file_of_the_right_name_is_discarded(client: Client) -> None:
    body = UUID_PART + FILE_PART + part('form-data; name="qqfile"; filename="b.txt"', b"other") + END
    assert uploader(client).send(form(body)).status == 200
    assert list(kept_bytes().values()) == [b"x"]


BAD_FORMS: dict[str, bytes] = {
    "nameless part": UUID_PART + part("form-data; filename=a", b"x") + END,
    "empty name": UUID_PART + part('form-data; name=""', b"x") + END,
    "no disposition": UUID_PART + f"--{BOUNDARY}\r\nX-Other: 1\r\n\r\nx\r\n".encode() + FILE_PART + END,
    "no headers": UUID_PART + f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + FILE_PART + END,
    "another disposition": UUID_PART + part('attachment; name="qqfile"; filename="a"') + END,
    "header over Django's limit": UUID_PART
    + part('form-data; name="qqfile"; filename="a"', more="X-Long: " + "x" * 2000 + "\r\n")
    + END,
    "name over Django's limit": UUID_PART + part(f'form-data; name="{"n" * 2000}"') + FILE_PART + END,
    "header without end": UUID_PART + f"--{BOUNDARY}\r\nContent-Disposition: ".encode() + b"x" * 100_000,
    "another boundary": UUID_PART.replace(BOUNDARY.encode(), b"other") + END.replace(BOUNDARY.encode(), b"other"),
}


@pytest.mark.parametrize("body", BAD_FORMS.values(), ids=list(BAD_FORMS))
def test_form_that_is_none_is_refused(client: Client, body: bytes) -> None:
    answer = answered(uploader(client).send(form(body)))
    assert answer["status"] == 400
    assert answer["code"] in {"bad_body", "truncated_body", "missing_file"}
    assert_nothing_stored()


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=ä",
    ],
)
def test_form_without_a_usable_boundary_is_refused(client: Client, content_type: str) -> None:
    answer = answered(uploader(client).send(form(UUID_PART + FILE_PART + END, content_type=content_type)))
    assert answer["status"] == 400
    assert answer["code"] in {"bad_body", "truncated_body"}
    assert_nothing_stored()


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_part_in_a_transfer_encoding_is_decoded_or_refused(client: Client, encoding: str) -> None:
    """No browser sends one (RFC 7578 deprecates it); bytes that are kept as they came would not be the file's."""
    disposition = 'form-data; name="qqfile"; filename="a.txt"'
    body = UUID_PART + part(disposition, b"eA==", more=f"Content-Transfer-Encoding: {encoding}\r\n") + END
    assert answered(uploader(client).send(form(body))) == BAD_BODY
    assert_nothing_stored()


@pytest.mark.parametrize("content_type", ["text/xml", "application/json", "text/plain"])
def test_raw_body_counts_only_with_a_uuid_in_the_query(client: Client, content_type: str) -> None:
    request = form(b"{}", content_type=content_type)
    answer = answered(uploader(client).send(request))
    assert (answer["status"], answer["success"]) == (400, False)
    assert_nothing_stored()


def test_too_many_fields_are_refused(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 20
    page = uploader(client, params={f"p{number}": 1 for number in range(30)})
    answer = answered(page.send(page.simple_request(page.add(b"x"))))
    assert answer == refused(413, "body_too_large", preventRetry=True)
    assert_nothing_stored()


def test_fields_above_the_memory_limit_are_refused(client: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    page = finisher(client, params={"long": "x" * 20_000})
    upload = page.add(pattern(25))
    for request in (page.simple_request(upload), page.chunk_request(upload, 0), page.done_request(upload)):
        assert answered(page.send(request)) == refused(413, "body_too_large", preventRetry=True)
    assert_nothing_stored()


# Success requests


BAD_JSON: dict[str, bytes] = {
    "not JSON": b"{",
    "not an object": b"[]",
    "null": b"null",
    "a number": b"1",
    "a text": b'"text"',
    "not UTF-8": b'{"qquuid": "\xff"}',
    "nested without end": b'{"a":' * 100_000,
    "nested without end, and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "array nested without end": b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=list(BAD_JSON))
def test_success_request_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    page = finisher(client, success_json=True)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    answer = answered(page.send(page.done_request(upload).with_body(body)))
    assert answer["status"] == 400
    assert answer["code"] in {"bad_body", "bad_parameter"}
    assert row(upload.uuid).state == "receiving"


def test_nested_parameters_of_a_json_success_request_have_a_bound(client: Client) -> None:
    page = finisher(client, success_json=True)
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"a": deep}
    upload = page.add(pattern(25), params={"deep": deep})
    assert answered(page.send(page.done_request(upload))) == BAD_PARAMETER


DONE_WITHOUT: dict[str, Callable[[str], dict[str, Any]]] = {
    "no uuid, as success.params may leave it out": lambda uuid: {"only": "this"},
    "empty uuid": lambda uuid: {"qquuid": ""},
}


@pytest.mark.parametrize("params", DONE_WITHOUT.values(), ids=list(DONE_WITHOUT))
@pytest.mark.parametrize("as_json", [False, True], ids=["form", "JSON"])
def test_success_request_without_a_uuid_is_refused(
    client: Client, as_json: bool, params: Callable[[str], dict[str, Any]]
) -> None:
    page = finisher(client, success_json=as_json, success_params=params(UNKNOWN_UUID))
    assert answered(page.send(page.done_request(page.add(b"")))) == MISSING
    assert_nothing_stored()


@pytest.mark.parametrize("uuid", ["..", "not-a-uuid", 7, ["x"], {"a": "b"}, True], ids=str)
def test_success_request_with_a_malformed_uuid_is_refused(client: Client, uuid: Any) -> None:
    page = finisher(client, success_json=True, success_params={"qquuid": uuid, "qqtotalparts": 0, "qqtotalfilesize": 0})
    assert answered(page.send(page.done_request(page.add(b"")))) == refused(400, "bad_uuid", preventRetry=True)
    assert_nothing_stored()


@pytest.mark.parametrize("totals", [("-1", "0"), ("x", "3"), ("25", "1.5"), ("9" * 40, "3")], ids=str)
def test_success_request_with_totals_that_are_no_numbers_is_refused(client: Client, totals: tuple[str, str]) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    size, parts = totals
    body = f"qquuid={upload.uuid}&qqfilename=a&qqtotalfilesize={size}&qqtotalparts={parts}"
    assert answered(page.send(page.done_request(upload).with_body(body.encode()))) == BAD_PARAMETER
    assert row(upload.uuid).state == "receiving"


# Digests


def test_wrong_digest_is_refused(page: FakeUploader) -> None:
    digest = "sha256:" + hashlib.sha256(b"other bytes").hexdigest()
    small, large = page.add(b"x", params={"qqdigest": digest}), page.add(pattern(25), params={"qqdigest": digest})
    for request in (page.simple_request(small), page.chunk_request(large, 0)):
        assert answered(page.send(request)) == refused(400, "digest_mismatch")
    assert_nothing_stored()


def test_right_digest_of_each_request_is_accepted(page: FakeUploader) -> None:
    upload = page.add(pattern(25))
    for index in range(3):
        data = upload.chunk(index).file.data
        upload.params = {"qqdigest": "sha256:" + hashlib.sha256(data).hexdigest()}
        assert page.send(page.chunk_request(upload, index)).status == 200
    assert content(upload.uuid) == pattern(25)
    assert row(upload.uuid).params == {}


@pytest.mark.parametrize("digest", ["", "sha256", "md4:00", "sha256:xyz", "sha256:" + "0" * 65])
def test_digest_that_cannot_be_verified_is_refused(client: Client, digest: str) -> None:
    """A page that sends a digest wants it checked: nothing may be stored on trust."""
    page = uploader(client, params={"qqdigest": digest})
    answer = answered(page.send(page.simple_request(page.add(b"x"))))
    assert answer["status"] == 400
    assert answer["code"] in {"bad_parameter", "digest_mismatch"}
    assert_nothing_stored()


# What is refused stays readable


def test_refusal_of_a_large_body_is_read_to_the_end_first(client: Client) -> None:
    """Regression: Chrome reports status 0 when the answer comes before the body was read."""
    page = uploader(client)
    request = page.simple_request(page.add(pattern(1_000_000), uuid="bad"))
    transport = page.transport
    environ = transport.environ(request)  # type: ignore[attr-defined]
    response = client.request(**environ)
    assert response.status_code == 400
    assert environ["wsgi.input"].read() == b""


def test_broken_upload_leaves_an_earlier_one_alone(client: Client) -> None:
    page = chunker(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    before = kept_bytes()
    for changes in ({"qqpartindex": 7}, {"qqpartbyteoffset": 7}, {"qquuid": "x"}):
        forged(page, chunk_params(**{"qquuid": upload.uuid, **changes}))
    assert kept_bytes() == before
    upload.remaining = [1, 2]
    assert page.upload(upload).success
