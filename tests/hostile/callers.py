"""Everybody who may knock: how each sends a request, for the table of who may do what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

from fakeuploader import DjangoTransport, WireRequest, WireResponse
from flowtools import CSRF, FORM_CSRF, strict_client

OWN_ORIGIN = "http://testserver"
TRUSTED_ORIGIN = "https://app.example"
EVIL_ORIGIN = "https://evil.example"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """A browser, and what it does to each request before it sends it."""

    browser: Client
    adorn: Callable[[WireRequest], WireRequest]

    def send(self, request: WireRequest) -> WireResponse:
        return DjangoTransport(self.browser).send(self.adorn(request))


def with_token(request: WireRequest) -> WireRequest:
    return request.with_header("X-CSRFToken", CSRF["X-CSRFToken"])


def without_token(request: WireRequest) -> WireRequest:
    return request


def with_wrong_token(request: WireRequest) -> WireRequest:
    return request.with_header("X-CSRFToken", "x" * 32)


def with_token_in_query(request: WireRequest) -> WireRequest:
    ((name, token),) = FORM_CSRF.items()
    return request.with_url(f"{request.url}{'&' if request.query else '?'}{name}={token}")


def from_origin(origin: str, adorn: Callable[[WireRequest], WireRequest]) -> Callable[[WireRequest], WireRequest]:
    return lambda request: adorn(request).with_header("Origin", origin)


def logged_in(name: str, *, staff: bool = False, superuser: bool = False) -> Client:
    user, _ = get_user_model().objects.get_or_create(username=name, is_staff=staff, is_superuser=superuser)
    browser = strict_client()
    browser.force_login(user)
    return browser


def with_anonymous_session() -> Client:
    """Somebody who has visited a page of the receiver that takes anonymous uploads."""
    browser = strict_client()
    assert browser.get("/open/config").status_code == 200
    return browser


def expired(browser: Client) -> Client:
    """The same browser, long after: its cookie names a session that is gone."""
    Session.objects.filter(session_key=browser.cookies["sessionid"].value).delete()
    return browser


def callers(owner: Client) -> dict[str, Caller]:
    """Everybody, by the names of the table's rows; `owner` is the browser whose upload it is about."""
    people = {
        "owner": owner,
        "another user": logged_in("boris"),
        "staff": logged_in("carla", staff=True),
        "superuser": logged_in("diana", staff=True, superuser=True),
        "another anonymous": with_anonymous_session(),
        "nobody": strict_client(),
        "expired login": expired(logged_in("anna")),
    }
    found = {name: Caller(browser=browser, adorn=with_token) for name, browser in people.items()}
    return found | {
        "owner, no token": Caller(browser=owner, adorn=without_token),
        "owner, wrong token": Caller(browser=owner, adorn=with_wrong_token),
        "owner, token in query": Caller(browser=owner, adorn=with_token_in_query),
        "owner, foreign origin": Caller(browser=owner, adorn=from_origin(EVIL_ORIGIN, with_token)),
        "owner, null origin": Caller(browser=owner, adorn=from_origin("null", with_token)),
        "owner, trusted origin": Caller(browser=owner, adorn=from_origin(TRUSTED_ORIGIN, with_token)),
        "owner, trusted, no token": Caller(browser=owner, adorn=from_origin(TRUSTED_ORIGIN, without_token)),
        "no cookies": Caller(browser=Client(enforce_csrf_checks=True), adorn=with_token),
        "no cookies, own origin": Caller(
            browser=Client(enforce_csrf_checks=True), adorn=from_origin(OWN_ORIGIN, without_token)
        ),
        "no cookies, foreign origin": Caller(
            browser=Client(enforce_csrf_checks=True), adorn=from_origin(EVIL_ORIGIN, without_token)
        ),
        "no cookies, trusted origin": Caller(
            browser=Client(enforce_csrf_checks=True), adorn=from_origin(TRUSTED_ORIGIN, without_token)
        ),
    }
