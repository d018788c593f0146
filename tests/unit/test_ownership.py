"""Whose upload it is, and how uploads change hands when an anonymous visitor signs in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError
from django.http import HttpRequest
from django.test import RequestFactory

from fineuploader_receiver import logins
from fineuploader_receiver.exceptions import LoginRequired, NoSession
from fineuploader_receiver.lifecycle.ownership import adopt
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.owners import MAX_KEY, SESSION_KEY, Owner, anonymous_key, identify, owner_of
from fineuploader_receiver.receivers import get_receiver
from unittools import DATA, Page, content, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]
KEY = "0123456789abcdef0123456789abcdef"


def request(user: Any = None, *, session: bool = True) -> HttpRequest:
    made = RequestFactory().post("/uploads/")
    if user is not None:
        made.user = user
    if session:
        made.session = SessionStore()
    return made


# Who it is.


def test_user_is_the_owner(user: User) -> None:
    assert identify(get_receiver("default"), request(user)) == Owner(f"user:{user.pk}", user)


def test_longest_key_of_a_user_fits() -> None:
    def key(length: int) -> str:
        someone: Any = User()
        someone.pk = "x" * (length - len("user:"))
        return owner_of(someone).key

    assert key(MAX_KEY) == "user:" + "x" * (MAX_KEY - len("user:"))
    assert (key(MAX_KEY + 1)[:5], len(key(MAX_KEY + 1))) == ("user#", 69)
    assert key(MAX_KEY + 1) != key(MAX_KEY + 2)


@pytest.mark.parametrize("who", [None, AnonymousUser(), User(username="unsaved")], ids=str)
def test_nobody_is_refused(options: Options, who: Any) -> None:
    options(ALLOW_ANONYMOUS=False)
    with pytest.raises(LoginRequired):
        identify(get_receiver("default"), request(who), create=True)


def test_visitor_without_sessions_is_refused(options: Options) -> None:
    options(ALLOW_ANONYMOUS=True)
    with pytest.raises(NoSession):
        identify(get_receiver("default"), request(session=False), create=True)


def test_visitor_s_key_is_made_only_where_a_page_is_made(options: Options) -> None:
    """Three parallel first chunks would make three owners."""
    options(ALLOW_ANONYMOUS=True)
    receiver, visitor = get_receiver("default"), request(AnonymousUser())
    with pytest.raises(NoSession):
        identify(receiver, visitor)
    made = identify(receiver, visitor, create=True)
    assert made == Owner(anonymous_key(visitor.session[SESSION_KEY]))
    assert identify(receiver, visitor) == made
    assert identify(receiver, request(), create=True) != made


def test_anonymous_key_cannot_be_a_user_s(user: User) -> None:
    assert anonymous_key(f"user:{user.pk}") != owner_of(user).key


# Signing in.


@pytest.fixture
def visitor(page: Page) -> Page:
    return Page(Owner(anonymous_key(KEY)))


def test_signing_in_takes_uploads_along(visitor: Page, page: Page, user: User, options: Options) -> None:
    finished, unfinished, elsewhere = (uuid.uuid4() for _ in range(3))
    visitor.simple(finished)
    visitor.chunk(unfinished, 0)
    Page(visitor.caller.owner, "videos").simple(elsewhere)
    adopt(anonymous_key(KEY), owner_of(user))
    assert set(UploadSession.objects.values_list("owner_key", "owner")) == {(f"user:{user.pk}", user.pk)}
    page.chunks(unfinished, 1, 2)
    assert content(unfinished) == DATA


def test_uploads_of_others_stay_theirs(visitor: Page, user: User, other_page: Page) -> None:
    stranger = Page(Owner(anonymous_key("another key")))
    theirs = [uuid.uuid4(), uuid.uuid4()]
    other_page.simple(theirs[0])
    stranger.simple(theirs[1])
    adopt(anonymous_key(KEY), owner_of(user))
    owners = {other_page.caller.owner.key, stranger.caller.owner.key}
    assert set(UploadSession.objects.values_list("owner_key", flat=True)) == owners


def test_upload_whose_uuid_the_user_has_already_stays_behind(visitor: Page, page: Page, user: User) -> None:
    both, mine = uuid.uuid4(), uuid.uuid4()
    page.simple(both, b"the user's")
    visitor.simple(both, b"the visitor's")
    visitor.simple(mine)
    adopt(anonymous_key(KEY), owner_of(user))
    assert set(UploadSession.objects.filter(uuid=both).values_list("owner_key", flat=True)) == {
        f"user:{user.pk}",
        anonymous_key(KEY),
    }
    assert row(mine).owner == user


def test_login_adopts_and_forgets_the_key(visitor: Page, user: User, number: uuid.UUID) -> None:
    visitor.simple(number)
    signing_in = request()
    signing_in.session[SESSION_KEY] = KEY
    login(signing_in, user)
    assert row(number).owner == user
    assert SESSION_KEY not in signing_in.session


def test_login_without_a_key_or_a_session_changes_nothing(visitor: Page, user: User, number: uuid.UUID) -> None:
    visitor.simple(number)
    login(request(), user)
    logins._adopt(request=None, user=user)
    logins._adopt(request=request(session=False), user=user)
    assert row(number).owner is None


def test_login_does_not_fail_over_uploads(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError("the table is away")

    monkeypatch.setattr(logins, "adopt", fail)
    signing_in = request()
    signing_in.session[SESSION_KEY] = KEY
    login(signing_in, user)
    assert signing_in.session["_auth_user_id"] == str(user.pk)
