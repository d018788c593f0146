"""The routes as such: slashes, methods, prefixes; never a redirect, never HTML, never a path of the server."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import include, path, reverse

from fakeuploader import BrowserFile, DjangoTransport, WireRequest, WireResponse, cors_form_outcome
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.urls import receiver_urls
from flowtools import CSRF, FORM_CSRF, UNKNOWN_UUID, answered, content, finisher, pattern, refused, row, uploader

NOT_FOUND = refused(404, "not_found", preventRetry=True)
NOT_ALLOWED = refused(405, "method_not_allowed", preventRetry=True)
PREFIXES = ["/uploads", "/videos"]


def request(client: Client, method: str, url: str) -> WireResponse:
    headers = (("Accept", "application/json"), *CSRF.items())
    return DjangoTransport(client).send(WireRequest(method=method, url=url, headers=headers, content_length=0))


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("ending", ["/", "//"])
def test_upload_route_answers_with_one_slash_and_with_two(client: Client, prefix: str, ending: str) -> None:
    page = uploader(client, prefix, endpoint=prefix + ending)
    upload = page.add(pattern(100))
    assert page.upload(upload).success
    assert row(upload.uuid).receiver == {"/uploads": "default", "/videos": "videos"}[prefix]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("route", ["/done", "/done/", "//done", "//done/"])
def test_success_route_answers_in_every_spelling(client: Client, prefix: str, route: str) -> None:
    page = finisher(client, prefix, success_endpoint=prefix + route)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("ending", ["", "/"])
def test_delete_is_glued_to_an_endpoint_with_and_without_a_slash(client: Client, prefix: str, ending: str) -> None:
    page = uploader(client, prefix, delete_endpoint=prefix + ending)
    upload = page.add(b"x")
    page.upload(upload)
    assert page.delete(upload.uuid).success
    assert page.log[-1][0].path == f"{prefix}{ending}/{upload.uuid}"
    assert not UploadSession.objects.exists()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slashes", [("/", ""), ("/", "/"), ("//", ""), ("//", "/")], ids=str)
def test_reading_routes_answer_in_every_spelling(client: Client, prefix: str, slashes: tuple[str, str]) -> None:
    page = uploader(client, prefix)
    upload = page.add(b"x")
    page.upload(upload)
    front, back = slashes
    for route in ("session", "config", upload.uuid):
        answer = request(client, "GET", f"{prefix}{front}{route}{back}")
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "application/json")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_routes_have_their_names(prefix: str) -> None:
    namespace = {"/uploads": "fineuploader_receiver", "/videos": "videos"}[prefix]
    found = {name: reverse(f"{namespace}:{name}") for name in ("upload", "done", "session", "config")}
    assert found == {
        "upload": f"{prefix}/",
        "done": f"{prefix}/done",
        "session": f"{prefix}/session",
        "config": f"{prefix}/config",
    }
    assert reverse(f"{namespace}:file", args=[UNKNOWN_UUID]) == f"{prefix}/{UNKNOWN_UUID}"


WRONG_METHODS = {
    "": ["GET", "HEAD", "DELETE", "TRACE", "PROPFIND"],
    "done": ["GET", "HEAD", "DELETE"],
    "session": ["POST", "PUT", "PATCH", "DELETE"],
    "config": ["POST", "PUT", "PATCH", "DELETE"],
    UNKNOWN_UUID: ["POST", "PUT", "PATCH"],
}


@pytest.mark.parametrize(
    ("route", "method"), [(route, method) for route in WRONG_METHODS for method in WRONG_METHODS[route]]
)
@pytest.mark.parametrize("ending", ["", "/"])
def test_wrong_method_is_not_allowed(client: Client, route: str, method: str, ending: str) -> None:
    """Regression: a redirected POST becomes a GET, and a 200 there is a success for a file that nobody stored."""
    answer = request(client, method, f"/uploads/{route}{ending if route else ''}")
    assert answer.status == 405
    assert "allow" in answer.headers
    if method != "HEAD":
        assert answered(answer) == NOT_ALLOWED


def test_form_upload_by_get_is_not_allowed(client: Client) -> None:
    page = uploader(client, method="GET")
    assert answered(page.send(page.form_request(page.add(b"x")))) == NOT_ALLOWED


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "below", ["a/b", "a/b/", "done/x", "session/x/", "///", "///done", f"{UNKNOWN_UUID}/file", "config//"]
)
def test_everything_else_below_the_prefix_is_a_json_404(client: Client, method: str, below: str) -> None:
    assert answered(request(client, method, f"/uploads/{below}")) == NOT_FOUND


@pytest.mark.parametrize("user_state", ["signed in", "stranger"])
def test_nothing_redirects(client: Client, stranger: Client, user_state: str) -> None:
    browser = client if user_state == "signed in" else stranger
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        for route in ("", "done", "session", "config", UNKNOWN_UUID, "x", "a/b"):
            for front in ("/", "//"):
                for back in ("", "/"):
                    answer = request(browser, method, f"/uploads{front}{route}{back}")
                    assert not 300 <= answer.status < 400, (method, route, front, back)
                    assert answer.status < 500, (method, route, front, back)
                    assert not answer.body or "text/html" not in answer.headers["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_debug_and_slashes_raise_nothing(client: Client, method: str, settings: Any) -> None:
    """Regression: with DEBUG on, APPEND_SLASH raises for a POST without a slash instead of redirecting."""
    settings.DEBUG = True
    settings.APPEND_SLASH = True
    for route in ("done", "x", f"{UNKNOWN_UUID}", "a/b"):
        assert request(client, method, f"/uploads/{route}").status in (200, 400, 404, 405, 409)


@pytest.mark.parametrize("prefix", ["", "deep/er"])
def test_app_works_below_any_prefix(client: Client, settings: Any, prefix: str) -> None:
    settings.ROOT_URLCONF = (
        path(f"{prefix}/" if prefix else "", include("fineuploader_receiver.urls")),
        path("videos/", include(receiver_urls("videos"))),
    )
    page = finisher(client, f"/{prefix}".rstrip("/"))
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)
    assert [item["uuid"] for item in page.session()] == [upload.uuid]
    page = finisher(client, f"/{prefix}".rstrip("/"), delete_endpoint=f"/{prefix}".rstrip("/"))
    assert page.delete(upload.uuid).success
    assert not UploadSession.objects.exists()


def test_receiver_may_have_parameters_in_its_prefix_s_neighbourhood(client: Client, settings: Any) -> None:
    """Two receivers, one below the other's prefix: the one that is named first answers."""
    settings.ROOT_URLCONF = (
        path("up/videos/", include(receiver_urls("videos"))),
        path("up/", include("fineuploader_receiver.urls")),
    )
    for prefix, alias in (("/up/videos", "videos"), ("/up", "default")):
        page = uploader(client, prefix)
        upload = page.add(b"x")
        assert page.upload(upload).success
        assert row(upload.uuid).receiver == alias


@pytest.mark.parametrize("method", ["OPTIONS"])
@pytest.mark.parametrize("route", ["", "done", "session", "config", UNKNOWN_UUID])
def test_options_needs_neither_login_nor_token(stranger: Client, method: str, route: str) -> None:
    headers = (("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"))
    answer = DjangoTransport(stranger).send(WireRequest(method=method, url=f"/uploads/{route}", headers=headers))
    assert 200 <= answer.status < 300
    assert answer.body == b""


@pytest.mark.parametrize("origin", ["https://other.example", "null"])
def test_form_answer_to_another_origin_posts_itself_to_the_page(client: Client, settings: Any, origin: str) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [origin] if origin != "null" else ["https://any.example"]
    page = uploader(client, params=FORM_CSRF, origin=origin)
    upload = page.add(BrowserFile(b"x", 'a & "<b>".txt'))
    answer = page.send(page.form_request(upload))
    outcome = cors_form_outcome(answer, upload.uuid)
    assert outcome.success is (origin != "null")
    assert answer.headers["content-type"].partition(";")[0] == "text/html"
    assert "\n" not in answer.text.partition("<script")[0]
    assert "x-frame-options" not in answer.headers


def test_refused_form_upload_is_readable_in_the_frame(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "a.txt"))
    outcome = page.upload_form(upload)
    assert (outcome.success, outcome.prevent_retry) == (False, True)
    assert outcome.response["code"] == "csrf_failed"
    assert outcome.error
