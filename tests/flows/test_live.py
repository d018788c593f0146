"""Over real sockets: chunks truly at once, connections that stall or break, and answers before the body has ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from fakeuploader import FakeUploader, SocketTransport, WireRequest
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import RAW, TOKEN, accepted, answered, content, finisher, kept_bytes, pattern, refused, row, uploader


@pytest.fixture
def socket(live_server: LiveServer, client: Client) -> SocketTransport:
    """Connections to a live server, as the signed-in user."""
    host, _, port = live_server.url.removeprefix("http://").partition(":")
    cookies = {"csrftoken": TOKEN, "sessionid": client.cookies["sessionid"].value}
    return SocketTransport(host, int(port), cookies=cookies)


def page_of(socket: SocketTransport, client: Client, **changes: Any) -> FakeUploader:
    return FakeUploader(socket, finisher(client, **changes).options, parallel=True)


@pytest.mark.parametrize("encoding", [{}, {"params_in_body": False}, RAW], ids=["body", "query", "raw"])
def test_chunks_sent_truly_at_once_make_one_exact_file(
    client: Client, socket: SocketTransport, encoding: dict[str, Any], any_storage: str
) -> None:
    page = page_of(socket, client, concurrent=True, max_connections=6, part_size=1000, **encoding)
    upload = page.add(pattern(19_500))
    assert page.upload(upload, attempts=3).success
    assert content(upload.uuid) == pattern(19_500)
    assert kept_bytes() == {row(upload.uuid).file: pattern(19_500)}


def test_two_tabs_that_resume_one_upload_make_one_exact_file(client: Client, socket: SocketTransport) -> None:
    page = page_of(socket, client, part_size=1000)
    upload = page.add(pattern(9_500))
    page.send(page.chunk_request(upload, 0))
    tabs = [page.resume(upload, remaining=range(1, 10)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda tab: page.upload(tab, attempts=3), tabs))
    assert [outcome.success for outcome in outcomes] == [True, True]
    assert kept_bytes() == {row(upload.uuid).file: pattern(9_500)}
    assert UploadSession.objects.count() == 1


def test_connection_that_breaks_stores_nothing_and_the_retry_completes(client: Client, socket: SocketTransport) -> None:
    page = page_of(socket, client, part_size=200_000)
    upload = page.add(pattern(300_000))
    under_way = socket.open(page.chunk_request(upload, 0))
    under_way.send_all_but(50_000)
    under_way.abort()
    assert page.upload(upload, attempts=5).success
    assert kept_bytes() == {row(upload.uuid).file: pattern(300_000)}


def test_body_that_ends_early_is_refused_over_a_socket(client: Client, socket: SocketTransport) -> None:
    page = page_of(socket, client)
    request = page.simple_request(page.add(pattern(100_000)))
    assert answered(page.send(request.cut(len(request.body) - 70))) == refused(400, "truncated_body")
    assert (UploadSession.objects.count(), UploadChunk.objects.count(), kept_bytes()) == (0, 0, {})


def test_chunk_whose_first_connection_stalls_is_taken_from_the_second(client: Client, socket: SocketTransport) -> None:
    """A client that lost its network sends the chunk again, long before the server notices the dead connection."""
    page = page_of(socket, client, part_size=100_000)
    upload = page.add(pattern(250_000))
    stalled = socket.open(page.chunk_request(upload, 1))
    stalled.send_all_but(30_000)
    assert page.upload(upload, attempts=3).success
    assert content(upload.uuid) == pattern(250_000)
    stalled.send()
    assert stalled.answer().json() == accepted(upload.uuid, complete=True)
    assert content(upload.uuid) == pattern(250_000)


def test_refusal_of_a_large_body_can_be_read(client: Client, socket: SocketTransport, settings: Any) -> None:
    """Regression: a server that answers and closes shows as "response code 0", and the client tries for ever."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 1000}, "videos": {}}
    page = FakeUploader(socket, uploader(client).options)
    outcome = page.upload(page.add(pattern(5_000_000)), attempts=3)
    assert (outcome.response["code"], outcome.prevent_retry, len(page.log)) == ("file_too_large", True, 1)


def test_body_without_a_length_is_refused_over_a_socket(client: Client, socket: SocketTransport) -> None:
    page = page_of(socket, client)
    request = page.simple_request(page.add(b"x")).as_chunked()
    assert answered(page.send(request)) == refused(411, "length_required", preventRetry=True)
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_stranger_s_cookie_is_none(live_server: LiveServer, client: Client, user: User) -> None:
    host, _, port = live_server.url.removeprefix("http://").partition(":")
    page = FakeUploader(SocketTransport(host, int(port), cookies={"csrftoken": TOKEN}), uploader(client).options)
    assert answered(page.send(page.simple_request(page.add(b"x")))) == refused(403, "login_required")
    answer = page.send(WireRequest(method="GET", url="/uploads/"))
    assert (answer.status, answer.json()["code"]) == (405, "method_not_allowed")
