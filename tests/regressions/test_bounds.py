"""What is checked of every request, however late, often or long it comes."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.base import BaseHandler
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fakeuploader import ClientUpload, DjangoTransport, FakeUploader, WireRequest
from fineuploader_receiver import lifecycle, views
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.lifecycle import admission, listing, receiving, statements
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.receivers import Receiver
from flowtools import (
    CSRF,
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
from unittools import DATA, PART, Page
from unittools import row as row_of

Options = Callable[..., None]

BODY_TOO_LARGE = refused(413, "body_too_large", preventRetry=True)
PARAMS_LIMIT = 2**18
MEBI = 2**20


def chunk(page: FakeUploader, upload: ClientUpload, index: int) -> dict[str, Any]:
    return answered(page.send(page.chunk_request(upload, index)))


def good(upload: ClientUpload, *, complete: bool = False) -> dict[str, Any]:
    return {"status": 200, **accepted(upload.uuid, complete=complete)}


def facts(upload: ClientUpload) -> dict[str, Any]:
    return dict(UploadSession.objects.values().get(uuid=upload.uuid))


# Parameters.


@pytest.mark.parametrize("through", ["chunk", "done"])
def test_params_of_all_requests_together_have_a_limit(client: Client, through: str) -> None:
    """Guards against a row that grows by megabytes with each chunk: what each request adds was small enough alone."""
    page = finisher(client)
    upload = page.add(pattern(25), params={"a": "y" * (PARAMS_LIMIT // 2)})
    assert chunk(page, upload, 0) == good(upload)
    before = (facts(upload), kept_bytes())
    upload.params = {"b": "y" * (PARAMS_LIMIT // 2)}
    request = page.chunk_request(upload, 1) if through == "chunk" else page.done_request(upload)
    assert answered(page.send(request)) == BODY_TOO_LARGE
    assert (facts(upload), kept_bytes()) == before
    upload.params = {"a": "the last word wins"}
    assert [chunk(page, upload, index) for index in (1, 2)] == [good(upload), good(upload, complete=True)]
    assert row(upload.uuid).params == {"a": "the last word wins"}


@pytest.mark.parametrize(("length", "fits"), [(PARAMS_LIMIT - 9, True), (PARAMS_LIMIT - 8, False)])
def test_params_at_the_limit_are_taken_and_one_past_it_are_refused(client: Client, length: int, fits: bool) -> None:
    """The JSON text that the row holds is measured, of which nine characters are not the value's."""
    page = uploader(client)
    upload = page.add(b"abc", params={"a": "y" * length})
    answer = answered(page.send(page.simple_request(upload)))
    assert answer == (good(upload, complete=True) if fits else BODY_TOO_LARGE)
    assert (UploadSession.objects.count(), len(kept_bytes())) == ((1, 1) if fits else (0, 0))


def test_initial_list_loads_the_params_of_a_few_files_at_a_time(client: Client) -> None:
    """Guards against a list of a thousand files that holds all their parameters in memory at once."""
    page = uploader(client)
    uploads = [page.add(b"abc", params={"album": "open"}) for _ in range(3)]
    assert all(page.upload(upload).success for upload in uploads)
    with patch.object(listing, "BATCH", 2), CaptureQueriesContext(connection) as queries:
        listed = [item["uuid"] for item in client.get("/uploads/session").json()]
    assert listed == [upload.uuid for upload in reversed(uploads)]
    mine = [query["sql"] for query in queries if "fineuploader_receiver_uploadsession" in query["sql"]]
    assert ["params" in sql for sql in mine] == [False, True, True]


# Bodies.


class Endless:
    """A request's body that goes on with the same byte up to its announced length, and counts what was read of it."""

    def __init__(self, head: bytes, length: int) -> None:
        self.head = head
        self.left = length
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, size if size >= 0 else 2**16)
        data, self.head = self.head[:size], self.head[size:]
        data += b"z" * (size - len(data))
        self.left -= size
        self.taken += size
        return data

    def readline(self, size: int = -1) -> bytes:
        raise AssertionError("nobody reads lines of a body")


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="other"; filename="f"\r\n\r\n', BODY_TOO_LARGE),
        (b'--x\r\nContent-Disposition: form-data; name="qquuid"\r\n\r\n', BODY_TOO_LARGE),
        (b"--x--\r\n", BODY_TOO_LARGE),
        (b"", refused(400, "bad_body", preventRetry=True)),
    ],
    ids=["part that nobody wants", "field", "epilogue", "preamble"],
)
def test_body_without_end_of_a_stranger_is_not_read_to_its_end(
    stranger: Client, head: bytes, refusal: dict[str, Any]
) -> None:
    """Guards against a gigabyte that is read, and thrown away, before anybody has asked who sends it."""
    length = 700 * MEBI
    body = Endless(head, length)
    headers = (*CSRF.items(), ("Content-Type", "multipart/form-data; boundary=x"))
    request = WireRequest(method="POST", url="/uploads/", headers=headers, content_length=length)
    answer = DjangoTransport(stranger, environ={"wsgi.input": body}).send(request)
    assert answered(answer) == refusal
    assert body.taken <= 129 * MEBI
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_form_with_too_many_query_parameters_is_answered_in_json(client: Client) -> None:
    """Guards against Django's own HTML page, where the frame's answer itself could not read the query."""
    query = "&".join(f"a{number}=1" for number in range(1001))
    headers = (*CSRF.items(), ("Content-Type", "multipart/form-data; boundary=x"), ("Accept", "text/html"))
    request = WireRequest(method="POST", url=f"/uploads/?{query}", headers=headers).with_body(b"--x--\r\n")
    client.raise_request_exception = False
    answer = DjangoTransport(client).send(request)
    assert answered(answer) == refused(400, "bad_body", preventRetry=True)
    assert answer.headers["content-type"].startswith("text/plain")


# Repeats.


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("finished", [False, True], ids=["unfinished", "finished"])
def test_repeat_of_a_stored_chunk_is_checked_like_the_first(client: Client, any_storage: str, finished: bool) -> None:
    """Guards against a success for bytes that are not the ones that were announced, and never looked at."""
    data = pattern(25)
    page = finisher(client)
    upload = page.add(data)
    assert [chunk(page, upload, index) for index in (0, 1)] == [good(upload)] * 2
    if finished:
        assert chunk(page, upload, 2) == good(upload, complete=True)
    before = (facts(upload), kept_bytes())
    request = page.chunk_request(upload, 1)
    shorter = request.with_body(request.body.replace(data[10:20], data[10:17]))
    assert answered(page.send(shorter)) == refused(400, "size_mismatch")
    upload.params = {"qqdigest": digest(b"something else")}
    assert chunk(page, upload, 1) == refused(400, "digest_mismatch")
    assert (facts(upload), kept_bytes()) == before
    upload.params = {"qqdigest": digest(data[10:20])}
    assert chunk(page, upload, 1) == good(upload, complete=finished)
    upload.params = {}
    assert chunk(page, upload, 2) == good(upload, complete=True)
    assert content(upload.uuid) == data


def test_success_request_cannot_rename_an_upload_that_is_completed_meanwhile(
    client: Client, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a finished page.html where only pictures are allowed: the name was checked before it changed."""
    options(ALLOWED_EXTENSIONS=["jpg"])
    page = finisher(client)
    upload = page.add(pattern(15), name="a.jpg")
    assert chunk(page, upload, 0) == good(upload)
    renaming = page.add(pattern(15), name="page.html", uuid=upload.uuid)
    meanwhile: list[dict[str, Any]] = []

    def permit(self: Receiver, request: HttpRequest, action: str, upload_: UploadSession | None) -> bool:
        if action == "complete" and not meanwhile:
            meanwhile.append(chunk(page, upload, 1))
        return True

    monkeypatch.setattr(Receiver, "has_permission", permit)
    expected = refused(415, "extension_not_allowed", preventRetry=True)
    assert answered(page.send(page.done_request(renaming))) == expected
    assert meanwhile == [good(upload, complete=True)]
    assert (row(upload.uuid).is_complete, row(upload.uuid).filename) == (True, "a.jpg")
    assert answered(page.send(page.done_request(upload))) == good(upload, complete=True)
    assert content(upload.uuid) == pattern(15)


# Places.


def test_chunks_that_spell_their_size_a_little_differently_cannot_overlap(client: Client) -> None:
    """Guards against a hole of zeros beside an overlap: each chunk was in its place by its own account."""
    size, total = 2_000_000, 6_500_000
    data = pattern(total)
    page = finisher(client, part_size=size, **RAW)
    upload = page.add(data)
    assert chunk(page, upload, 0) == good(upload)
    for index, nominal in ((1, size + 2), (2, size - 2)):
        start = nominal * index
        request = page.chunk_request(upload, index)
        url = request.url.replace(f"qqpartbyteoffset={size * index}", f"qqpartbyteoffset={start}")
        lie = request.with_url(url.replace(f"qqchunksize={size}", f"qqchunksize={nominal}"))
        answer = answered(page.send(lie.with_body(data[start : start + nominal])))
        assert answer == refused(409, "totals_changed")
    assert [chunk(page, upload, index) for index in (1, 2, 3)] == [
        good(upload),
        good(upload),
        good(upload, complete=True),
    ]
    assert content(upload.uuid) == data


def test_free_space_is_looked_at_before_every_chunk(
    client: Client, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a large upload that fills the disk, because there was room when it began."""
    options(MIN_FREE_SPACE=1000)
    page = finisher(client)
    upload = page.add(pattern(35))
    free = {"bytes": 1035}
    monkeypatch.setattr(FileSystemBackend, "free_space", lambda self: free["bytes"])
    assert chunk(page, upload, 0) == good(upload)
    before = (facts(upload), kept_bytes())
    free["bytes"] = 1024
    assert chunk(page, upload, 1) == refused(507, "no_space")
    assert (facts(upload), kept_bytes()) == before
    free["bytes"] = 1025
    assert chunk(page, upload, 1) == good(upload)


# Time.


def test_long_chunk_does_not_move_the_expiry_back(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an upload that expires early, because its slowest chunk counts from when that one began."""
    start = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    clock = {"now": start}
    monkeypatch.setattr(statements, "moment", lambda seconds: clock["now"])
    monkeypatch.setattr(admission, "database_now", lambda using: clock["now"])
    monkeypatch.setattr(receiving, "database_now", lambda using: clock["now"])
    monkeypatch.setattr(receiving, "HEARTBEAT_SECONDS", 0.0)

    def long() -> Iterator[bytes]:
        yield DATA[:4]
        clock["now"] = start + datetime.timedelta(hours=1)
        page.chunk(number, 1)
        yield DATA[4:PART]

    message = page.chunk_message(number, 0)
    assert lifecycle.receive(page.receiver, page.caller, message, long()) == Receipt(complete=False)
    upload = row_of(number)
    assert upload.received_chunks == 2
    assert (upload.updated_at, upload.expires_at) == (clock["now"], clock["now"] + page.receiver.options.expire_after)


# Sites.


def test_owner_who_is_nobody_is_asked_to_log_in(stranger: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against one owner called None whom all strangers share, of a receiver that returns request.user."""

    def get_owner(self: Receiver, request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
        return request.user

    monkeypatch.setattr(Receiver, "get_owner", get_owner)
    page = chunker(stranger)
    upload = page.add(pattern(25))
    login_required = refused(403, "login_required")
    requests = (
        page.chunk_request(upload, 0),
        page.simple_request(upload),
        page.delete_request(upload.uuid),
        page.session_request(),
    )
    assert [answered(page.send(request)) for request in requests] == [login_required] * 4
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_no_database_of_the_site_wraps_a_request_in_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against ATOMIC_REQUESTS of another database than the default one, where a router may keep our rows."""
    databases = {"default": {"ATOMIC_REQUESTS": True}, "files": {"ATOMIC_REQUESTS": True}}
    monkeypatch.setattr("fineuploader_receiver.views.settings.DATABASES", databases)
    monkeypatch.setattr(connections, "settings", databases)

    @views.route("GET")
    def handler(request: HttpRequest, receiver: Receiver) -> HttpResponse:
        return HttpResponse()

    assert BaseHandler().make_view_atomic(handler) is handler


@pytest.mark.parametrize("name", ["upload", "done", "file", "session", "config", "nothing"])
def test_every_view_is_outside_of_transactions(name: str) -> None:
    assert getattr(views, name)._non_atomic_requests == set(connections)
