"""From requests to messages: what each kind of request says, and what is refused before anything is stored."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, QueryDict
from django.test import RequestFactory

from fineuploader_receiver.exceptions import (
    BadBody,
    BadChunk,
    BadParameter,
    BadUuid,
    BodyTooLarge,
    MissingFile,
    MissingParameter,
    TruncatedBody,
    UploadError,
)
from fineuploader_receiver.protocol import requests
from fineuploader_receiver.protocol.body import Body
from fineuploader_receiver.protocol.messages import DeleteMessage, DoneMessage, UploadMessage
from fineuploader_receiver.protocol.names import ParamNames
from fineuploader_receiver.protocol.requests import IncomingDelete, IncomingUpload

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NUMBER = uuid.UUID(UUID)
NAMES = ParamNames()
DATA = b"0123456789"
SIMPLE = {"qquuid": UUID, "qqfilename": "a.txt", "qqtotalfilesize": "10"}
CHUNK = {
    "qqpartindex": "1",
    "qqpartbyteoffset": "10",
    "qqchunksize": "10",
    "qqtotalparts": "3",
    "qqtotalfilesize": "25",
    "qqfilename": "a.txt",
    "qquuid": UUID,
}
FILE = ("qqfile", "a.txt", "text/plain", DATA)
BOUNDARY = "bound"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
FORM = "application/x-www-form-urlencoded"
RAW = "application/octet-stream"

# Numbers as other languages read them, and none that the client writes.
STRANGE_NUMBERS = [
    "-1",
    "+1",
    "1.0",
    "1e1",
    "0x1",
    " 1",
    "1 ",
    "1\n",
    "1_0",
    "\u0661",
    "\uff11",
    "\u00b2",
    "NaN",
    "Infinity",
    "abc",
    "1" * 17,
    "9" * 400,
]
STRANGE_DECIMALS = [number for number in STRANGE_NUMBERS if number != "1.0"] + [
    "1.",
    ".5",
    "1.5.2",
    "1," + "5",
    "1e400",
]


def multipart(fields: Mapping[str, str], *files: tuple[str, str | None, str, bytes]) -> bytes:
    pieces = []
    for name, value in fields.items():
        pieces.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, filename, kind, content in files:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"'
        pieces += [f"{head}\r\nContent-Type: {kind}\r\n\r\n".encode(), content, b"\r\n"]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def request(
    data: bytes, kind: str, query: Mapping[str, str] | None = None, *, method: str = "POST", **meta: str
) -> WSGIRequest:
    made = RequestFactory().generic(method, "/uploads/", QUERY_STRING=urlencode(query or {}), CONTENT_TYPE=kind)
    return WSGIRequest({**made.environ, "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)), **meta})


def read(made: HttpRequest, names: ParamNames = NAMES) -> IncomingUpload:
    incoming = requests.read_upload(made, Body(made), names)
    assert isinstance(incoming, IncomingUpload)
    return incoming


def upload(fields: Mapping[str, str], *files: tuple[str, str | None, str, bytes], **extra: Any) -> IncomingUpload:
    return read(request(multipart(fields, *(files or [FILE])), MULTIPART, **extra))


def content(incoming: IncomingUpload) -> bytes:
    return b"".join(bytes(piece) for piece in incoming.content)


def simple(**changes: Any) -> UploadMessage:
    said: dict[str, Any] = {"uuid": NUMBER, "wire_uuid": UUID, "filename": "a.txt", "content_type": "text/plain"}
    return UploadMessage(**{**said, "total_size": 10, "size": 10, **changes})


def chunk(**changes: Any) -> UploadMessage:
    place = {"index": 1, "total_chunks": 3, "offset": 10, "size": 10, "chunk_size": 10.0, "total_size": 25}
    return simple(**{"chunked": True, **place, **changes})


# Uploads, in every encoding.


def test_simple_upload_with_its_parameters_in_the_body() -> None:
    body = multipart({"album": "1", **SIMPLE}, FILE)
    incoming = read(request(body, MULTIPART))
    assert incoming.message == simple(params={"album": "1"}, body_size=len(body))
    assert content(incoming) == DATA
    assert incoming.form.dict() == {"album": "1", **SIMPLE}
    assert incoming.from_frame is False


def test_simple_upload_with_its_parameters_in_the_query() -> None:
    body = multipart({}, FILE)
    incoming = read(request(body, MULTIPART, {"album": "1", **SIMPLE}))
    assert incoming.message == simple(params={"album": "1"}, body_size=len(body))
    assert content(incoming) == DATA
    assert incoming.form.dict() == {}


def test_simple_upload_as_a_raw_body() -> None:
    query = {"album": "1", "qquuid": UUID, "qqfilename": "a.txt", "qqfile": "a.txt"}
    incoming = read(request(DATA, RAW, query, HTTP_X_MIME_TYPE="text/plain"))
    assert incoming.message == simple(params={"album": "1"}, body_size=10)
    assert content(incoming) == DATA


def test_chunk_with_its_parameters_in_the_body() -> None:
    body = multipart({"album": "1", **CHUNK}, ("qqfile", "blob", RAW, DATA))
    incoming = read(request(body, MULTIPART))
    assert incoming.message == chunk(params={"album": "1"}, content_type=RAW, body_size=len(body))


def test_chunk_as_a_raw_body() -> None:
    incoming = read(request(DATA, RAW, {**CHUNK, "qqresume": "true", "qqfile": "a.txt"}))
    assert incoming.message == chunk(content_type="", body_size=10, resumed=True)
    assert content(incoming) == DATA


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("kind", ["multipart", "raw"])
def test_methods(method: str, kind: str) -> None:
    if kind == "raw":
        made = request(DATA, RAW, SIMPLE, method=method)
    else:
        made = request(multipart(SIMPLE, FILE), MULTIPART, method=method)
    assert content(read(made)) == DATA


def test_form_upload_of_an_old_browser_has_no_size() -> None:
    fields = {"qquuid": UUID, "qqfilename": "a.txt"}
    incoming = upload(fields, HTTP_ACCEPT="text/html,*/*")
    assert (incoming.message.total_size, incoming.message.size, incoming.from_frame) == (None, None, True)


def test_middleware_that_has_read_the_form() -> None:
    body = multipart({"album": "1", **SIMPLE}, ("other", "x", RAW, b"not this"), FILE)
    made = request(body, MULTIPART)
    assert made.POST["album"] == "1"
    incoming = read(made)
    assert incoming.message == simple(params={"album": "1"}, body_size=len(body))
    assert content(incoming) == DATA


def test_body_comes_before_the_query() -> None:
    other = "11111111-d9cb-469f-a165-70867728950e"
    incoming = upload({**SIMPLE, "a": "body"}, query={"qquuid": other, "a": "query", "b": "query"})
    assert incoming.message.uuid == NUMBER
    assert incoming.message.params == {"a": "body", "b": "query"}


def test_file_is_the_part_with_its_name_and_not_the_first() -> None:
    extra = ("custom", "blob", RAW, b"not the file")
    assert content(upload(SIMPLE, extra, FILE)) == DATA
    assert content(upload(SIMPLE, FILE, extra, extra)) == DATA


def test_text_field_with_the_file_s_name_is_a_text_field() -> None:
    assert content(upload({"qqfile": "a text", **SIMPLE})) == DATA


def test_renamed_parameters() -> None:
    names = ParamNames.renamed({"qquuid": "id", "qqfile": "data"})
    body = multipart(
        {"id": UUID, "qqfilename": "a.txt", "qqtotalfilesize": "10"}, ("data", "a.txt", "text/plain", DATA)
    )
    assert read(request(body, MULTIPART), names).message == simple(body_size=len(body))


@pytest.mark.parametrize(
    ("fields", "filename", "expected"),
    [
        ({"qqfilename": "edited.txt"}, "original.txt", "edited.txt"),
        ({}, "original.txt", "original.txt"),
        ({"qqfilename": ""}, "original.txt", ""),
        ({"qqfilename": "../../etc/passwd"}, "x", "../../etc/passwd"),
        ({"qqfilename": "n\0ul"}, "x", "n\ufffdul"),
        ({"qqfilename": "x" * 4000}, "x", "x" * 4000),
    ],
)
def test_name_of_the_file(fields: dict[str, str], filename: str, expected: str) -> None:
    incoming = upload({"qquuid": UUID, **fields}, ("qqfile", filename, "text/plain", DATA))
    assert incoming.message.filename == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image/PNG", "image/png"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("image/svg+xml", "image/svg+xml"),
        ("", ""),
        ("nonsense", ""),
        ("text/pl ain", ""),
        ("a/" + "b" * 128, ""),
    ],
)
def test_declared_type(kind: str, expected: str) -> None:
    assert upload(SIMPLE, ("qqfile", "a.txt", kind, DATA)).message.content_type == expected


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False), ("", None), ("1", None)])
def test_marker_of_generated_options(text: str, expected: bool | None) -> None:
    assert upload({**CHUNK, "qqdonerequest": text}).message.done_request is expected


@pytest.mark.parametrize(
    "said", [{"qqpartindex": "0"}, {"qqtotalparts": "7"}, {"qqchunksize": "3", "qqpartbyteoffset": "9"}]
)
def test_custom_parameters_named_like_a_chunk_s_make_no_chunk(said: dict[str, str]) -> None:
    assert upload({**SIMPLE, **said}).message.chunked is False


# Numbers.


@pytest.mark.parametrize("name", ["qqpartindex", "qqtotalparts", "qqtotalfilesize"])
@pytest.mark.parametrize("value", STRANGE_NUMBERS, ids=repr)
def test_whole_number_that_is_none(name: str, value: str) -> None:
    with pytest.raises(BadParameter):
        read(request(b"x", RAW, {**CHUNK, name: value}))


@pytest.mark.parametrize("name", ["qqpartbyteoffset", "qqchunksize"])
@pytest.mark.parametrize("value", STRANGE_DECIMALS, ids=repr)
def test_number_that_is_none(name: str, value: str) -> None:
    with pytest.raises(BadParameter):
        read(request(b"x", RAW, {**CHUNK, name: value}))


@pytest.mark.parametrize(
    ("name", "limit"),
    [("qqpartindex", requests.MAX_COUNT), ("qqtotalparts", requests.MAX_COUNT), ("qqtotalfilesize", requests.MAX_SIZE)],
)
def test_number_at_its_limit_and_one_past_it(name: str, limit: int) -> None:
    lookup = requests._Lookup({name: str(limit)})
    assert lookup.integer(name, limit) == limit
    with pytest.raises(BadParameter):
        requests._Lookup({name: str(limit + 1)}).integer(name, limit)


@pytest.mark.parametrize(
    ("text", "expected"), [("3.3333333333333335", 10 / 3), ("0", 0.0), ("9007199254740992", 2.0**53), ("0.5", 0.5)]
)
def test_numbers_as_javascript_writes_them(text: str, expected: float) -> None:
    assert requests._Lookup({"n": text}).decimal("n") == expected


@pytest.mark.parametrize("name", ["qqpartindex", "qqtotalparts", "qqpartbyteoffset", "qqchunksize"])
def test_chunk_needs_all_of_its_numbers(name: str) -> None:
    with pytest.raises(MissingParameter):
        upload({**CHUNK, name: ""})


@pytest.mark.parametrize(("index", "count"), [(3, 3), (4, 3), (0, 0), (2**31 - 1, 2**31 - 1)])
def test_index_that_is_not_below_the_count(index: int, count: int) -> None:
    with pytest.raises(BadChunk):
        upload({**CHUNK, "qqpartindex": str(index), "qqtotalparts": str(count)})


@pytest.mark.parametrize("size", [9, 11])
def test_raw_body_of_another_length_than_the_chunk(size: int) -> None:
    with pytest.raises(BadChunk):
        read(request(b"x" * size, RAW, CHUNK))


@pytest.mark.parametrize("size", [9, 11])
def test_raw_body_of_another_length_than_the_file(size: int) -> None:
    with pytest.raises(BadChunk):
        read(request(b"x" * size, RAW, SIMPLE))


@pytest.mark.parametrize(
    ("index", "offset", "size", "expected"),
    [
        (0, "0", "3.3333333333333335", (0, 3, 10 / 3)),
        (1, "3.3333333333333335", "3.3333333333333335", (3, 4, 10 / 3)),
        (2, "6.666666666666667", "3.333333333333333", (7, 3, 10 / 3)),
        (0, "0", "2.5", (0, 2, 2.5)),
        (1, "2.5", "2.5", (2, 3, 2.5)),
        (2, "5", "2.5", (5, 3, 2.5)),
    ],
)
def test_fractional_part_sizes_are_cut_where_the_browser_cuts(
    index: int, offset: str, size: str, expected: tuple[int, int, float]
) -> None:
    """`Blob.slice` rounds half to even: 2.5 is 2, 7.5 is 8."""
    numbers = {"qqpartindex": str(index), "qqpartbyteoffset": offset, "qqchunksize": size, "qqtotalfilesize": "10"}
    message = upload({**CHUNK, **numbers, "qqtotalparts": "4" if "." in size and size[0] == "2" else "3"}).message
    assert (message.offset, message.size, message.chunk_size) == expected


# Identifiers.


@pytest.mark.parametrize(
    "text",
    [
        "..",
        ".",
        "../../etc",
        "0f8fad5bd9cb469fa16570867728950e",
        "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e",
        f"{UUID}\n",
        f" {UUID}",
        f"{UUID}/..",
        UUID[:-1],
        f"{UUID}0",
        UUID.replace("0", "\uff10"),
        "g" + UUID[1:],
    ],
)
def test_identifier_that_is_no_uuid(text: str) -> None:
    with pytest.raises(BadUuid):
        read(request(DATA, RAW, {**SIMPLE, "qquuid": text}))
    with pytest.raises(BadUuid):
        requests.delete_message(text)


def test_uuid_is_one_however_it_is_spelled() -> None:
    message = upload({**SIMPLE, "qquuid": UUID.upper()}).message
    assert (message.uuid, message.wire_uuid) == (NUMBER, UUID.upper())
    assert requests.delete_message(UUID) == DeleteMessage(uuid=NUMBER, wire_uuid=UUID)


@pytest.mark.parametrize("fields", [{}, {"qquuid": ""}])
def test_upload_without_an_identifier(fields: dict[str, str]) -> None:
    with pytest.raises(MissingParameter):
        upload({"qqfilename": "a.txt", **fields})


# Digests.


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "md5:" + "a" * 32, "blake2b:" + "1" * 128])
def test_digest_of_the_request(digest: str) -> None:
    assert upload({**SIMPLE, "qqdigest": digest}).message.digest == digest


@pytest.mark.parametrize(
    "digest",
    ["", "sha256", "sha256:", "sha256:xyz", "sha256:" + "A" * 64, "crc32:" + "0" * 16, "shake_128:" + "0" * 32],
)
def test_digest_that_is_none(digest: str) -> None:
    with pytest.raises(BadParameter):
        upload({**SIMPLE, "qqdigest": digest})


# Forms that are not whole, too much or without a file.


def test_form_that_breaks_off_anywhere_is_told() -> None:
    """Guards against a shorter file and a success, for each byte at which a connection can break."""
    whole = multipart(SIMPLE, FILE)
    for cut in range(len(whole) - 1):
        made = request(whole[:cut], MULTIPART, CONTENT_LENGTH=str(len(whole)))
        with pytest.raises(TruncatedBody):
            content(read(made))


def test_form_with_a_wrong_length_is_told() -> None:
    whole = multipart(SIMPLE, FILE)
    for length in range(len(whole) - 2):
        made = request(whole, MULTIPART, CONTENT_LENGTH=str(length))
        with pytest.raises(TruncatedBody):
            content(read(made))


def test_raw_body_that_breaks_off_anywhere_is_told() -> None:
    for cut in range(len(DATA)):
        made = request(DATA[:cut], RAW, CHUNK, CONTENT_LENGTH="10")
        with pytest.raises(TruncatedBody):
            content(read(made))


def test_form_that_breaks_off_in_an_extra_part_is_told() -> None:
    whole = multipart(SIMPLE, FILE, ("extra", "x", RAW, b"y" * 50))
    with pytest.raises(TruncatedBody):
        content(read(request(whole[:-30], MULTIPART, CONTENT_LENGTH=str(len(whole)))))


def test_file_part_before_the_parameters_it_needs_is_refused() -> None:
    late = multipart({}, FILE)[: -len(f"--{BOUNDARY}--\r\n")] + multipart(SIMPLE)
    with pytest.raises(MissingParameter):
        read(request(late, MULTIPART))


@pytest.mark.parametrize("kind", ["", FORM, MULTIPART])
def test_request_without_a_file(kind: str) -> None:
    body = multipart(SIMPLE) if kind == MULTIPART else urlencode(SIMPLE).encode()
    made = request(body, kind)
    with pytest.raises(MissingFile):
        requests.read_upload(made, Body(made), NAMES)


@pytest.mark.parametrize(
    ("setting", "limit", "allowed", "refused"),
    [
        ("DATA_UPLOAD_MAX_NUMBER_FIELDS", 4, {"a": "1"}, {"a": "1", "b": "2"}),
        ("DATA_UPLOAD_MAX_MEMORY_SIZE", 200, {"a": "x" * 60}, {"a": "x" * 200}),
    ],
)
def test_fields_at_the_limit_and_past_it(
    settings: Any, setting: str, limit: int, allowed: dict[str, str], refused: dict[str, str]
) -> None:
    setattr(settings, setting, limit)
    assert content(upload({**allowed, **SIMPLE})) == DATA
    with pytest.raises(BodyTooLarge):
        upload({**refused, **SIMPLE})


def test_files_at_the_limit_and_past_it(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    extra = ("extra", "x", RAW, b"")
    assert content(upload(SIMPLE, extra, FILE)) == DATA
    with pytest.raises(BodyTooLarge):
        upload(SIMPLE, extra, extra, extra, FILE)


def test_large_file_is_not_a_field(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 500
    assert len(content(upload({**SIMPLE, "qqtotalfilesize": "5000"}, ("qqfile", "a", RAW, b"x" * 5000)))) == 5000


@pytest.mark.parametrize("setting", ["DATA_UPLOAD_MAX_NUMBER_FIELDS", "DATA_UPLOAD_MAX_MEMORY_SIZE"])
def test_limit_that_a_site_has_switched_off(settings: Any, setting: str) -> None:
    setattr(settings, setting, None)
    assert content(upload({f"field{number}": "x" * 100 for number in range(50)} | SIMPLE)) == DATA


# Deletes that are sent as a POST.


@pytest.mark.parametrize("kind", [FORM, "", MULTIPART])
def test_delete_as_a_post(kind: str) -> None:
    fields = {"album": "1", "qquuid": UUID, "_method": "DELETE"}
    made = request(multipart(fields) if kind == MULTIPART else urlencode(fields).encode(), kind)
    incoming = requests.read_upload(made, Body(made), NAMES)
    assert incoming == IncomingDelete(message=DeleteMessage(uuid=NUMBER, wire_uuid=UUID), form=incoming.form)
    assert incoming.form.dict() == fields


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"qquuid": UUID}, MissingFile),
        ({"qquuid": UUID, "_method": "PUT"}, MissingFile),
        ({"_method": "DELETE"}, MissingParameter),
        ({"qquuid": "..", "_method": "DELETE"}, BadUuid),
    ],
)
def test_post_that_is_no_delete(fields: dict[str, str], error: type[UploadError]) -> None:
    made = request(urlencode(fields).encode(), FORM)
    with pytest.raises(error):
        requests.read_upload(made, Body(made), NAMES)


# Success requests.

DONE = {"album": "1", "qquuid": UUID, "qqfilename": "a.txt", "qqtotalfilesize": "25", "qqtotalparts": "3"}
DONE_MESSAGE = DoneMessage(
    uuid=NUMBER, wire_uuid=UUID, filename="a.txt", params={"album": "1"}, total_size=25, total_chunks=3
)


def done(made: HttpRequest) -> DoneMessage:
    return requests.read_done(made, Body(made), NAMES)[0]


@pytest.mark.parametrize("kind", [FORM, "text/plain;charset=UTF-8", "", MULTIPART])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_success_request_as_a_form(kind: str, method: str) -> None:
    body = multipart(DONE) if kind == MULTIPART else urlencode(DONE).encode()
    assert done(request(body, kind, method=method)) == DONE_MESSAGE


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/plain;charset=UTF-8"])
def test_success_request_as_json(kind: str) -> None:
    values = {**DONE, "qqtotalfilesize": 25, "qqtotalparts": 3, "album": {"a": [1, None]}}
    message = done(request(json.dumps(values).encode(), kind))
    assert message == DoneMessage(
        uuid=NUMBER, wire_uuid=UUID, filename="a.txt", params={"album": {"a": [1, None]}}, total_size=25, total_chunks=3
    )


def test_success_request_without_a_body_is_its_query() -> None:
    assert done(request(b"", FORM, DONE)) == DONE_MESSAGE


def test_success_request_of_a_page_with_its_own_parameters() -> None:
    message = done(request(urlencode({"only": "this"}).encode(), FORM, {"qquuid": UUID}))
    assert message == DoneMessage(uuid=NUMBER, wire_uuid=UUID, params={"only": "this"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", BadBody),
        (b'"text"', BadBody),
        (b"null", BadBody),
        (b"1", BadBody),
        (b"{", BadBody),
        (b"", BadBody),
        (b"{}", MissingParameter),
        (b'{"qquuid": ""}', MissingParameter),
        (b'{"qquuid": ["a"]}', BadUuid),
        (b'{"qquuid": 1}', BadUuid),
        (b'{"qquuid": true}', BadUuid),
        (f'{{"qquuid": "{UUID}", "qqtotalparts": "3.0"}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "qqtotalparts": -1}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "qqtotalparts": 1e400}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "qqtotalparts": NaN}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "qqtotalfilesize": {{}}}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "qqtotalfilesize": {"9" * 400}}}'.encode(), BadParameter),
        (f'{{"qquuid": "{UUID}", "x": {"9" * 5000}}}'.encode(), BadBody),
        (f'{{"qquuid": "{UUID}", "x": {"[" * 100_000}'.encode(), UploadError),
        (f'{{"qquuid": "{UUID}", "x": {"[" * 100_000}{"]" * 100_000}}}'.encode(), BadParameter),
        (b'{"\xff": 1}', BadBody),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_success_request_that_is_refused(body: bytes, error: type[UploadError]) -> None:
    with pytest.raises(error):
        done(request(body, "application/json"))


def test_success_request_at_the_limit_and_past_it(settings: Any) -> None:
    body = urlencode(DONE).encode()
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(body)
    assert done(request(body, FORM)) == DONE_MESSAGE
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(body) - 1
    with pytest.raises(BodyTooLarge):
        done(request(body, FORM))


def test_success_request_with_too_many_fields(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 4
    with pytest.raises(BodyTooLarge):
        done(request(urlencode(DONE).encode(), FORM))


# Old browsers' frames.


@pytest.mark.parametrize(
    ("kind", "accept", "expected"),
    [
        (MULTIPART, "text/html,application/xhtml+xml", True),
        (MULTIPART, "application/json", False),
        (MULTIPART, "", False),
        (FORM, "text/html", False),
        (RAW, "text/html", False),
    ],
)
def test_form_upload_is_known_by_what_it_accepts(kind: str, accept: str, expected: bool) -> None:
    assert requests.is_from_frame(request(b"", kind, HTTP_ACCEPT=accept)) is expected


def test_identifier_to_repeat_in_a_refusal() -> None:
    assert requests.echoed_uuid(request(b"", MULTIPART), NAMES) == ""
    assert requests.echoed_uuid(request(b"", MULTIPART, {"qquuid": UUID}), NAMES) == UUID
    assert requests.echoed_uuid(request(b"", MULTIPART, {"qquuid": "</script>"}), NAMES) == ""
    read_so_far = request(b"", MULTIPART)
    read_so_far._post = QueryDict(f"qquuid={UUID}")  # type: ignore[attr-defined]
    assert requests.echoed_uuid(read_so_far, NAMES) == UUID
