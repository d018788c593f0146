"""Our own CSRF check, as far as no whole flow shows it: requests without cookies, and what it does to the request."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, QueryDict
from django.test import RequestFactory

from fineuploader_receiver.csrf import check_csrf
from fineuploader_receiver.exceptions import CsrfFailed

TOKEN = "t0k3n" * 6 + "ab"


def request(method: str = "POST", *, cookie: bool = True, **meta: Any) -> HttpRequest:
    made = RequestFactory(enforce_csrf_checks=True).generic(method, "/uploads/", b"x", **meta)
    if cookie:
        made.COOKIES["csrftoken"] = TOKEN
    return made


def passes(made: HttpRequest, form: QueryDict | None = None) -> bool:
    try:
        check_csrf(made, form)
    except CsrfFailed:
        return False
    return True


@pytest.mark.parametrize(
    ("method", "meta", "form", "expected"),
    [
        ("POST", {}, "", False),
        ("POST", {"HTTP_X_CSRFTOKEN": TOKEN}, "", True),
        ("POST", {"HTTP_X_CSRFTOKEN": TOKEN[:-1] + "X"}, "", False),
        ("POST", {"HTTP_X_CSRFTOKEN": ""}, "", False),
        ("POST", {}, f"csrfmiddlewaretoken={TOKEN}", True),
        ("POST", {}, "csrfmiddlewaretoken=wrong", False),
        ("POST", {"QUERY_STRING": f"csrfmiddlewaretoken={TOKEN}"}, "", False),
        ("PUT", {"HTTP_X_CSRFTOKEN": TOKEN}, "", True),
        ("PUT", {}, f"csrfmiddlewaretoken={TOKEN}", False),
        ("DELETE", {"HTTP_X_CSRFTOKEN": TOKEN}, None, True),
        ("DELETE", {}, None, False),
    ],
)
def test_token_in_the_header_or_for_a_post_in_the_form(
    method: str, meta: dict[str, Any], form: str | None, expected: bool
) -> None:
    assert passes(request(method, **meta), None if form is None else QueryDict(form)) is expected


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, False),
        ({"HTTP_ORIGIN": "http://testserver"}, True),
        ({"HTTP_ORIGIN": "https://app.example.com"}, True),
        ({"HTTP_ORIGIN": "https://evil.example.com"}, False),
        ({"HTTP_ORIGIN": "null"}, False),
        ({"HTTP_ORIGIN": "http://testserver", "REMOTE_USER": "anna"}, False),
        ({"HTTP_REFERER": "http://testserver/"}, False),
    ],
)
def test_request_that_carries_nothing_to_abuse_needs_an_origin_only(
    settings: Any, meta: dict[str, Any], expected: bool
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example.com"]
    assert passes(request(cookie=False, **meta), QueryDict()) is expected


@pytest.mark.parametrize("name", ["sessionid", "anything"])
def test_any_cookie_asks_for_a_token(name: str) -> None:
    """Guards against a cookie of the site's own that identifies people."""
    made = request(cookie=False, HTTP_ORIGIN="http://testserver")
    made.COOKIES[name] = "x"
    assert not passes(made, QueryDict())


def test_fields_so_far_become_the_request_s_form_and_the_body_stays_unread() -> None:
    form = QueryDict(f"csrfmiddlewaretoken={TOKEN}&a=1")
    made = request()
    check_csrf(made, form)
    assert made.POST is form
    assert dict(made.FILES) == {}
    assert made.read() == b"x"


def test_form_that_somebody_else_has_read_is_left_alone() -> None:
    made = RequestFactory(enforce_csrf_checks=True).post("/uploads/", {"csrfmiddlewaretoken": TOKEN})
    made.COOKIES["csrftoken"] = TOKEN
    before = made.POST
    check_csrf(made, QueryDict("a=1"))
    assert made.POST is before
