"""CSRF: by header or by the form's token, never by the query, and before a byte is stored."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fakeuploader import WireRequest
from fakeuploader.javascript import encode_multipart
from fineuploader_receiver.models import UploadSession
from flowtools import FORM_CSRF, RAW, TOKEN, answered, content, finisher, kept_bytes, pattern, refused, uploader

REFUSED = refused(403, "csrf_failed", preventRetry=True)
BARE: dict[str, Any] = {"custom_headers": {}, "delete_headers": {}}


def assert_nothing_stored() -> None:
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.parametrize("encoding", [{}, {"params_in_body": False}, RAW], ids=["body", "query", "raw"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_upload_without_a_token_is_refused(client: Client, method: str, encoding: dict[str, Any]) -> None:
    page = finisher(client, method=method, **BARE, **encoding)
    small, large = page.add(b"small"), page.add(pattern(25))
    for request in (page.simple_request(small), page.chunk_request(large, 0)):
        assert answered(page.send(request)) == REFUSED
    assert_nothing_stored()


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "JSON"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_success_request_without_a_token_is_refused(client: Client, method: str, as_json: bool) -> None:
    page = finisher(client, mandatory=True, success_method=method, success_json=as_json, **BARE)
    assert answered(page.send(page.done_request(page.add(b"")))) == REFUSED
    assert_nothing_stored()


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_delete_without_a_token_is_refused(client: Client, method: str) -> None:
    """Regression: a POST delete is a CORS "simple" request, which any site can send."""
    page = uploader(client, delete_method=method, delete_headers={})
    upload = page.add(b"stays")
    page.upload(upload)
    assert answered(page.send(page.delete_request(upload.uuid))) == REFUSED
    assert content(upload.uuid) == b"stays"


@pytest.mark.parametrize("token", ["", "short", "x" * 32, "x" * 64, TOKEN[:-1] + "!"])
def test_wrong_token_is_refused(client: Client, token: str) -> None:
    page = uploader(client, custom_headers={"X-CSRFToken": token})
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert_nothing_stored()


def test_token_without_its_cookie_is_refused(client: Client) -> None:
    del client.cookies["csrftoken"]
    page = uploader(client)
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert_nothing_stored()


@pytest.mark.parametrize("encoding", [{"params_in_body": False}, RAW], ids=["query", "raw"])
def test_token_in_the_query_does_not_count(client: Client, encoding: dict[str, Any]) -> None:
    """Addresses are logged, and a token that counted there would make every log a key."""
    page = finisher(client, params=FORM_CSRF, **BARE, **encoding)
    upload = page.add(pattern(25))
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert answered(page.send(page.chunk_request(upload, 0))) == REFUSED
    assert_nothing_stored()


def test_token_in_the_query_of_a_delete_does_not_count(client: Client) -> None:
    page = uploader(client, delete_params=FORM_CSRF, delete_headers={})
    upload = page.add(b"stays")
    page.upload(upload)
    assert answered(page.send(page.delete_request(upload.uuid))) == REFUSED
    assert content(upload.uuid) == b"stays"


def test_form_token_counts_for_posts(client: Client) -> None:
    page = finisher(client, params=FORM_CSRF, delete_method="POST", delete_params=FORM_CSRF, **BARE)
    small, large = page.add(b"small"), page.add(pattern(25))
    assert page.upload(small).success
    assert page.upload(large).success
    assert page.delete(small.uuid).success
    assert content(large.uuid) == pattern(25)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_form_token_does_not_count_for_other_methods(client: Client, method: str) -> None:
    page = uploader(client, method=method, params=FORM_CSRF, **BARE)
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert_nothing_stored()


def test_token_after_the_file_comes_too_late(client: Client) -> None:
    page = uploader(client, **BARE)
    request = page.simple_request(page.add(b"x"))
    boundary = str(request.header("Content-Type")).partition("boundary=")[2]
    late = encode_multipart([("csrfmiddlewaretoken", TOKEN)], boundary)
    body = request.body.removesuffix(f"--{boundary}--\r\n".encode()) + late
    assert answered(page.send(request.with_body(body))) == REFUSED
    assert_nothing_stored()


def test_header_counts_whatever_the_form_says(client: Client) -> None:
    page = uploader(client)
    assert page.upload(page.add(b"x", params={"note": "no token here"})).success


def test_foreign_origin_is_refused_even_with_a_token(client: Client) -> None:
    page = uploader(client, origin="https://evil.example")
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert_nothing_stored()


def test_trusted_origin_is_let_in(client: Client, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example"]
    page = uploader(client, origin="https://app.example")
    assert page.upload(b"x").success


def test_own_origin_is_let_in(client: Client) -> None:
    assert uploader(client, origin="http://testserver").upload(b"x").success


def test_secure_request_without_origin_or_referer_is_refused(client: Client) -> None:
    page = uploader(client)
    page.transport.extra["wsgi.url_scheme"] = "https"  # type: ignore[attr-defined]
    assert answered(page.send(page.simple_request(page.add(b"x")))) == REFUSED
    assert_nothing_stored()


def test_token_is_found_under_the_site_s_own_names(client: Client, settings: Any) -> None:
    settings.CSRF_HEADER_NAME = "HTTP_X_OWN"
    settings.CSRF_COOKIE_NAME = "own"
    client.cookies["own"] = TOKEN
    assert uploader(client, custom_headers={"X-Own": TOKEN}).upload(b"x").success


def test_token_of_a_session_is_accepted(client: Client, settings: Any) -> None:
    settings.CSRF_USE_SESSIONS = True
    session = client.session
    session["_csrftoken"] = TOKEN
    session.save()
    assert uploader(client).upload(b"x").success
    refused_page = uploader(client, **BARE)
    assert answered(refused_page.send(refused_page.simple_request(refused_page.add(b"y")))) == REFUSED


def test_reading_needs_no_token(client: Client) -> None:
    page = uploader(client)
    page.upload(b"x")
    assert len(uploader(client, session_headers={}).session()) == 1


def test_site_s_own_middleware_does_not_parse_the_body_first(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: Django's middleware reads the whole body, file included, before it looks at a token."""
    page = uploader(client, **BARE)
    request = page.simple_request(page.add(pattern(500_000)))
    seen: list[str] = []
    monkeypatch.setattr("django.http.multipartparser.MultiPartParser.parse", lambda self: seen.append("parsed"))
    assert answered(page.send(request)) == REFUSED
    assert seen == []


def test_answer_to_a_refused_page_is_json_and_not_html(client: Client) -> None:
    page = uploader(client, **BARE)
    answer = page.send(page.simple_request(page.add(b"x")))
    assert answer.headers["content-type"].partition(";")[0] == "text/plain"
    assert "<" not in answer.text


def test_options_request_needs_no_token(client: Client) -> None:
    request = WireRequest(method="OPTIONS", url="/uploads/", headers=(("Origin", "https://app.example"),))
    assert uploader(client).send(request).status < 500
