"""Sites that are not the one in the quickstart: other middleware, transactions, prefixes, servers and time zones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core.asgi import get_asgi_application
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_script_prefix
from django.utils import timezone

from fakeuploader import DjangoTransport, FakeUploader, WireRequest, WireResponse
from fineuploader_receiver.models import UploadSession
from flowtools import (
    CSRF,
    ENCODINGS,
    FORM_CSRF,
    RAW,
    TOKEN,
    UNKNOWN_UUID,
    accepted,
    answered,
    content,
    finisher,
    kept_bytes,
    pattern,
    refused,
    row,
    strict_client,
    uploader,
)
from receivers_for_tests import GroupingReceiver

GetResponse = Callable[[HttpRequest], HttpResponse]
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def read_post(get_response: GetResponse) -> GetResponse:
    """A middleware that looks at the form, as many do that know nothing of uploads."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.POST.get("anything")
        return get_response(request)

    return middleware


def read_files(get_response: GetResponse) -> GetResponse:
    """A middleware that counts uploads."""

    def middleware(request: HttpRequest) -> HttpResponse:
        len(request.FILES)
        return get_response(request)

    return middleware


def read_body(get_response: GetResponse) -> GetResponse:
    """A middleware that logs bodies."""

    def middleware(request: HttpRequest) -> HttpResponse:
        len(request.body)
        return get_response(request)

    return middleware


def read_body_and_post(get_response: GetResponse) -> GetResponse:
    """Both."""
    return read_body(read_post(get_response))


READERS = [read_post, read_files, read_body, read_body_and_post]


@pytest.fixture
def middleware(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a middleware before or after authentication."""

    def add(*middlewares: Any, after: bool = False) -> None:
        paths = []
        for one in middlewares:
            if callable(one):
                monkeypatch.setattr(f"flowtools.{one.__name__}", one, raising=False)
            paths.append(f"flowtools.{one.__name__}" if callable(one) else one)
        place = settings.MIDDLEWARE.index(AUTHENTICATION) + (1 if after else 0)
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], *paths, *settings.MIDDLEWARE[place:]]

    return add


# Login required everywhere


def test_login_required_everywhere_answers_json_to_strangers(stranger: Client, middleware: Callable[..., None]) -> None:
    """Regression: a redirect to the login page makes a GET of the POST, and its 200 may count as success."""
    middleware("django.contrib.auth.middleware.LoginRequiredMiddleware", after=True)
    page = finisher(stranger)
    upload = page.add(pattern(25))
    requests = [
        page.simple_request(upload),
        page.chunk_request(upload, 0),
        page.done_request(upload),
        page.delete_request(UNKNOWN_UUID),
        page.session_request(),
        WireRequest(method="GET", url="/uploads/config"),
        WireRequest(method="GET", url=f"/uploads/{UNKNOWN_UUID}"),
    ]
    assert [answered(page.send(request)) for request in requests] == [refused(403, "login_required")] * 7
    assert answered(page.send(WireRequest(method="GET", url="/uploads/a/b")))["status"] in (403, 404)


def test_login_required_everywhere_lets_users_upload(client: Client, middleware: Callable[..., None]) -> None:
    middleware("django.contrib.auth.middleware.LoginRequiredMiddleware", after=True)
    page = finisher(client)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


# Middleware that has read the body


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_body_read_before_the_view_is_no_obstacle(
    client: Client, middleware: Callable[..., None], reader: Any, encoding: dict[str, Any], any_storage: str
) -> None:
    middleware(reader)
    page = finisher(client, **encoding)
    small, large, empty = page.add(pattern(9)), page.add(pattern(65)), page.add(b"")
    for upload in (small, large, empty):
        assert page.upload(upload).success
        assert content(upload.uuid) == upload.file.data
    assert page.delete(small.uuid).success
    assert len(kept_bytes()) == 2


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_body_read_before_the_view_is_no_obstacle_to_other_methods(
    client: Client, middleware: Callable[..., None], reader: Any, method: str
) -> None:
    middleware(reader)
    page = finisher(client, method=method, success_method=method)
    upload = page.add(pattern(65))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("breaks", [False, True], ids=["ends", "breaks"])
def test_truncated_body_read_before_the_view_is_still_refused(
    client: Client, middleware: Callable[..., None], reader: Any, breaks: bool
) -> None:
    """Regression: Django's parser does not tell that a form broke off, and hands out a short file."""
    middleware(reader)
    page = finisher(client)
    client.raise_request_exception = False
    for request in (page.simple_request(page.add(pattern(200_000))), page.chunk_request(page.add(pattern(25)), 0)):
        cut = request.cut(len(request.body) - 70, breaks=breaks)
        answer = page.send(cut)
        assert answer.status >= 400
        assert not breaks or answer.status in (400, 500)
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.parametrize("reader", READERS)
def test_csrf_and_login_are_checked_all_the_same(
    client: Client, stranger: Client, middleware: Callable[..., None], reader: Any
) -> None:
    middleware(reader)
    tokenless = uploader(client, custom_headers={})
    request = tokenless.simple_request(tokenless.add(b"x"))
    assert answered(tokenless.send(request)) == refused(403, "csrf_failed", preventRetry=True)
    nobody = uploader(stranger)
    assert answered(nobody.send(nobody.simple_request(nobody.add(b"x")))) == refused(403, "login_required")
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.parametrize("reader", READERS)
def test_form_token_and_limits_work_all_the_same(
    client: Client, middleware: Callable[..., None], reader: Any, settings: Any
) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 100}, "videos": {}}
    middleware(reader)
    page = uploader(client, params=FORM_CSRF, custom_headers={})
    assert page.upload_form(page.add(pattern(100))).success
    refusal = page.upload_form(page.add(pattern(101)))
    assert (refusal.success, refusal.response["code"]) == (False, "file_too_large")
    assert list(kept_bytes().values()) == [pattern(100)]


def test_large_file_that_a_middleware_parsed_is_stored(client: Client, middleware: Callable[..., None]) -> None:
    """Above FILE_UPLOAD_MAX_MEMORY_SIZE Django has it in a temporary file."""
    middleware(read_post)
    page = uploader(client)
    upload = page.add(pattern(3_000_000))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(3_000_000)


# Transactions around every request


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)


@pytest.mark.usefixtures("atomic_requests")
def test_atomic_requests_change_nothing(client: Client, any_storage: str) -> None:
    page = finisher(client)
    upload = page.add(pattern(65))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)
    assert page.delete(upload.uuid).success
    assert kept_bytes() == {}


@pytest.mark.usefixtures("atomic_requests")
def test_atomic_requests_do_not_undo_what_a_failing_hook_leaves(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is given back and the chunks stay, although the request ends in a 500."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"RECEIVER": "receivers_for_tests.GroupingReceiver"}, "videos": {}}
    monkeypatch.setattr(GroupingReceiver, "failing", True)
    page = finisher(client)
    upload = page.add(pattern(25))
    assert page.upload(upload).response["code"] == "hook_failed"
    monkeypatch.setattr(GroupingReceiver, "failing", False)
    assert page.done(upload).success
    assert list(Group.objects.values_list("name", flat=True)) == [upload.uuid]


@pytest.mark.usefixtures("atomic_requests")
def test_atomic_requests_do_not_undo_a_reset(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    assert page.done(upload).reset
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


# Prefixes and time zones


def test_script_name_is_part_of_every_generated_address(client: Client, settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    transport = DjangoTransport(client)
    # The test client leaves to us what a WSGI or ASGI handler does first with this setting.
    with override_script_prefix("/app/"):
        options = transport.send(WireRequest(method="GET", url="/uploads/config")).json()
    page = FakeUploader.from_page(transport, options)
    addresses = [
        page.options.endpoint,
        page.options.success_endpoint,
        page.options.delete_endpoint,
        page.options.session_endpoint,
    ]
    assert [str(address).startswith("/app/uploads") for address in addresses] == [True] * 4


def test_upload_works_behind_a_script_name(client: Client, settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    page = finisher(client)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


def test_naive_times_work(client: Client, settings: Any) -> None:
    settings.USE_TZ = False
    page = finisher(client)
    upload, part = page.add(pattern(25)), page.add(pattern(25))
    assert page.upload(upload).success
    page.send(page.chunk_request(part, 0))
    stored = row(part.uuid)
    assert stored.expires_at is not None
    assert timezone.is_naive(stored.expires_at)
    status = page.send(WireRequest(method="GET", url=f"/uploads/{part.uuid}"))
    assert (status.status, status.json()["state"]) == (200, "receiving")
    assert len(page.session()) == 1
    assert page.delete(upload.uuid).success


def test_expiry_is_the_same_moment_in_every_time_zone(client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    page = finisher(client)
    part = page.add(pattern(25))
    page.send(page.chunk_request(part, 0))
    left = row(part.uuid).expires_at - timezone.now()  # type: ignore[operator]
    assert 7.9 < left.total_seconds() / 86400 < 8.1


# Storages


def test_receiver_may_have_a_storage_of_its_own(client: Client, settings: Any, tmp_path: Path) -> None:
    place = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "v")}}
    settings.STORAGES = settings.STORAGES | {"videos": place}
    settings.FINEUPLOADER_RECEIVERS = {"videos": {"STORAGE": "videos"}}
    page = finisher(client, "/videos")
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    stored = row(upload.uuid)
    assert stored.storage == "videos"
    assert (tmp_path / "v" / stored.file).read_bytes() == pattern(25)
    assert kept_bytes() == {}


def test_staging_may_be_elsewhere(client: Client, settings: Any, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    settings.FINEUPLOADER_RECEIVERS = {"default": {"STAGING_DIR": staging}, "videos": {}}
    page = finisher(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    assert kept_bytes() == {}
    assert [path.read_bytes()[:10] for path in staging.rglob("*") if path.is_file()] == [pattern(25)[:10]]
    upload.remaining = [1, 2]
    assert page.upload(upload).success
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}
    assert not [path for path in staging.rglob("*") if path.is_file()]


def test_staging_folder_is_private(client: Client, media_root: Path) -> None:
    page = finisher(client)
    page.send(page.chunk_request(page.add(pattern(25)), 0))
    assert (media_root / ".fineuploader").stat().st_mode & 0o777 == 0o700


def test_storage_alias_that_is_gone_counts_as_a_lost_upload(client: Client, settings: Any, tmp_path: Path) -> None:
    place = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "v")}}
    known = settings.STORAGES
    settings.STORAGES = known | {"old": place}
    settings.FINEUPLOADER_RECEIVERS = {"default": {"STORAGE": "old"}, "videos": {}}
    page = finisher(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    settings.STORAGES = known
    settings.FINEUPLOADER_RECEIVERS = {"default": {}, "videos": {}}
    assert answered(page.send(page.done_request(upload))) == refused(409, "upload_lost", reset=True)
    upload.restart()
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


# ASGI


class AsgiTransport:
    """Speaks ASGI to the site, the body in pieces."""

    def __init__(self, session_id: str, *, piece: int = 50_000) -> None:
        self.application = get_asgi_application()
        self.cookies = f"csrftoken={TOKEN}; sessionid={session_id}"
        self.piece = piece

    def send(self, request: WireRequest) -> WireResponse:
        return async_to_sync(self._send)(request)

    async def _send(self, request: WireRequest) -> WireResponse:
        pieces = [request.body[at : at + self.piece] for at in range(0, len(request.body), self.piece)] or [b""]
        waiting = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        sent: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()  # the client stays to the end
            return waiting.pop(0)

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        await asyncio.wait_for(self.application(self._scope(request), receive, send), 30)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return WireResponse(status=sent[0]["status"], headers=headers, body=body)

    def _scope(self, request: WireRequest) -> dict[str, Any]:
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers]
        if request.content_length is not None:
            headers.append((b"content-length", str(request.content_length).encode()))
        return {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query.encode(),
            "headers": [*headers, (b"host", b"testserver"), (b"cookie", self.cookies.encode())],
            "server": ("testserver", 80),
            "scheme": "http",
        }


@pytest.fixture
def asgi(client: Client) -> AsgiTransport:
    return AsgiTransport(client.cookies["sessionid"].value)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_asgi_serves_the_whole_flow(
    client: Client, asgi: AsgiTransport, encoding: dict[str, Any], any_storage: str
) -> None:
    page = FakeUploader(asgi, finisher(client, **encoding).options)
    small, large = page.add(pattern(9)), page.add(pattern(65))
    assert page.upload(small).success
    assert page.upload(large).success
    assert {item["uuid"] for item in page.session()} == {small.uuid, large.uuid}
    assert page.delete(small.uuid).success
    assert kept_bytes() == {row(large.uuid).file: pattern(65)}


def test_asgi_streams_bodies_above_the_memory_limit(client: Client, asgi: AsgiTransport) -> None:
    page = FakeUploader(asgi, uploader(client, **RAW).options)
    upload = page.add(pattern(3_000_000))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(3_000_000)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_asgi_refuses_a_body_cut_short(client: Client, asgi: AsgiTransport, encoding: dict[str, Any]) -> None:
    page = FakeUploader(asgi, finisher(client, **encoding).options)
    request = page.simple_request(page.add(pattern(200_000)))
    assert answered(page.send(request.cut(len(request.body) - 70))) == refused(400, "truncated_body")
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_asgi_refuses_what_wsgi_refuses(client: Client, asgi: AsgiTransport) -> None:
    tokenless = FakeUploader(asgi, uploader(client, custom_headers={}).options)
    answer = tokenless.send(tokenless.simple_request(tokenless.add(b"x")))
    assert answered(answer) == refused(403, "csrf_failed", preventRetry=True)
    lengthless = FakeUploader(asgi, uploader(client).options)
    answer = lengthless.send(lengthless.simple_request(lengthless.add(b"x")).without_length())
    assert answered(answer) == refused(411, "length_required", preventRetry=True)
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_asgi_answers_several_chunks_at_once(client: Client, asgi: AsgiTransport) -> None:
    page = FakeUploader(asgi, finisher(client).options)
    upload = page.add(pattern(65))

    async def all_at_once() -> list[WireResponse]:
        return await asyncio.gather(*(asgi._send(page.chunk_request(upload, index)) for index in range(7)))

    answers = [answer.json() for answer in async_to_sync(all_at_once)()]
    assert [answer["success"] for answer in answers] == [True] * 7
    assert accepted(upload.uuid, complete=True) in answers
    assert content(upload.uuid) == pattern(65)


def test_second_browser_of_one_user_continues_an_upload(client: Client, user: Any) -> None:
    """Two tabs, or two devices with a synchronised profile, share the resume record."""
    first = finisher(client)
    upload = first.add(pattern(25))
    first.send(first.chunk_request(upload, 0))
    browser = strict_client()
    browser.force_login(user)
    second = finisher(browser, custom_headers=CSRF)
    assert second.upload(second.resume(upload, remaining=[1, 2])).success
    assert content(upload.uuid) == pattern(25)
