"""Whose upload it is: somebody else's does not exist, and nobody's only where that is switched on."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from fakeuploader import DjangoTransport, FakeUploader, WireRequest
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import (
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
    strict_client,
    uploader,
)

LOGIN_REQUIRED = refused(403, "login_required")
NO_SESSION = refused(403, "no_session", preventRetry=True)


@pytest.fixture
def anonymous_allowed(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"ALLOW_ANONYMOUS": True}, "videos": {}}


def anonymous_page(client: Client) -> FakeUploader:
    """A page that was rendered with the generated options, which give an anonymous owner its key."""
    answer = DjangoTransport(client).send(WireRequest(method="GET", url="/uploads/config"))
    assert answer.status == 200
    return FakeUploader.from_page(DjangoTransport(client), answer.json(), chunking=True, part_size=10)


def test_upload_belongs_to_the_user(client: Client, user: Any) -> None:
    page = uploader(client)
    page.upload(b"x")
    upload = UploadSession.objects.get()
    assert upload.owner == user
    assert upload.owner_key


def test_same_uuid_of_two_users_makes_two_uploads(client: Client, other_client: Client, any_storage: str) -> None:
    mine, theirs = uploader(client), uploader(other_client)
    assert mine.upload(mine.add(b"mine", uuid=UNKNOWN_UUID)).success
    assert theirs.upload(theirs.add(b"theirs", uuid=UNKNOWN_UUID)).success
    assert sorted(kept_bytes().values()) == [b"mine", b"theirs"]


def test_same_uuid_at_two_receivers_makes_two_uploads(client: Client) -> None:
    for prefix in ("/uploads", "/videos"):
        page = uploader(client, prefix)
        page.upload(page.add(prefix.encode(), uuid=UNKNOWN_UUID))
    assert sorted(UploadSession.objects.values_list("receiver", flat=True)) == ["default", "videos"]


def test_chunks_of_two_users_under_one_uuid_are_not_joined(client: Client, other_client: Client) -> None:
    mine, theirs = chunker(client), chunker(other_client)
    upload = mine.add(b"a" * 25)
    for index in (0, 1):
        mine.send(mine.chunk_request(upload, index))
    stolen = theirs.add(b"b" * 25, uuid=upload.uuid)
    assert theirs.send(theirs.chunk_request(stolen, 2)).json() == accepted(upload.uuid, complete=False)
    assert sorted(UploadChunk.objects.values_list("session__owner__username", "index")) == [
        ("anna", 0),
        ("anna", 1),
        ("boris", 2),
    ]


def test_success_request_for_a_foreign_upload_is_as_for_an_unknown_one(client: Client, other_client: Client) -> None:
    mine, theirs = finisher(client), finisher(other_client)
    upload = mine.add(pattern(25))
    for index in range(3):
        mine.send(mine.chunk_request(upload, index))
    foreign = answered(theirs.send(theirs.done_request(upload)))
    unknown = answered(theirs.send(theirs.done_request(theirs.add(pattern(25), uuid=UNKNOWN_UUID))))
    assert foreign == unknown == refused(409, "upload_lost", reset=True)
    assert content(upload.uuid) == pattern(25)


@pytest.mark.parametrize("encoding", [{}, RAW], ids=["multipart", "raw"])
def test_stranger_is_refused_and_nothing_is_stored(stranger: Client, encoding: dict[str, Any]) -> None:
    page = finisher(stranger, **encoding)
    small, large = page.add(b"small"), page.add(pattern(25))
    requests = [
        page.simple_request(small),
        page.chunk_request(large, 0),
        page.done_request(large),
        page.delete_request(UNKNOWN_UUID),
        page.session_request(),
    ]
    assert [answered(page.send(request)) for request in requests] == [LOGIN_REQUIRED] * 5
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_inactive_login_is_no_login(client: Client, user: Any) -> None:
    user.is_active = False
    user.save()
    page = uploader(client)
    assert answered(page.send(page.simple_request(page.add(b"x")))) == LOGIN_REQUIRED


@pytest.mark.usefixtures("anonymous_allowed")
def test_anonymous_chunk_without_a_session_is_refused(stranger: Client) -> None:
    """Regression: three first chunks at once, each without a session, would make three owners of one file."""
    page = finisher(stranger)
    upload = page.add(pattern(25))
    requests = [page.chunk_request(upload, 2), page.simple_request(upload), page.done_request(upload)]
    assert [answered(page.send(request)) for request in requests] == [NO_SESSION] * 3
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.usefixtures("anonymous_allowed")
def test_anonymous_page_uploads_lists_and_deletes(any_storage: str) -> None:
    page = anonymous_page(Client(enforce_csrf_checks=True))
    upload = page.add(pattern(65))
    assert page.upload(upload).success
    stored = UploadSession.objects.get()
    assert (stored.owner, content(upload.uuid)) == (None, pattern(65))
    assert [item["uuid"] for item in page.session()] == [upload.uuid]
    assert page.delete(upload.uuid).success
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@pytest.mark.usefixtures("anonymous_allowed")
def test_session_route_gives_an_anonymous_owner_its_key(stranger: Client) -> None:
    page = uploader(stranger)
    assert page.session() == []
    assert page.upload(b"x").success


@pytest.mark.usefixtures("anonymous_allowed")
def test_anonymous_owners_do_not_see_each_other() -> None:
    first, second = (anonymous_page(Client(enforce_csrf_checks=True)) for _ in range(2))
    upload = first.add(b"mine")
    first.upload(upload)
    assert second.session() == []
    assert second.delete(upload.uuid).success
    assert content(upload.uuid) == b"mine"


@pytest.mark.usefixtures("anonymous_allowed")
def test_logging_in_adopts_the_anonymous_uploads(user: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    page = anonymous_page(browser)
    whole, part = page.add(b"whole"), page.add(pattern(25))
    page.upload(whole)
    page.send(page.chunk_request(part, 0))
    assert browser.login(username="anna", password="secret")
    page = anonymous_page(browser)
    assert [item["uuid"] for item in page.session()] == [whole.uuid]
    part.remaining = [1, 2]
    assert page.upload(part).success
    assert content(part.uuid) == pattern(25)
    assert set(UploadSession.objects.values_list("owner__username", flat=True)) == {"anna"}
    assert len(set(UploadSession.objects.values_list("owner_key", flat=True))) == 1


@pytest.mark.usefixtures("anonymous_allowed")
def test_adopting_an_upload_whose_uuid_the_user_has_loses_neither_file(user: Any) -> None:
    """The uuid is unique per owner: what the user had under it must survive the login."""
    known = strict_client()
    known.force_login(user)
    page = uploader(known)
    page.upload(page.add(b"the user's", uuid=UNKNOWN_UUID))
    browser = Client(enforce_csrf_checks=True)
    nobody = anonymous_page(browser)
    nobody.upload(nobody.add(b"nobody's", uuid=UNKNOWN_UUID))
    assert browser.login(username="anna", password="secret")
    mine = UploadSession.objects.get(owner=user, uuid=UNKNOWN_UUID)
    with mine.open() as file:
        assert file.read() == b"the user's"


@pytest.mark.usefixtures("anonymous_allowed")
def test_logged_in_user_is_the_owner_where_anonymous_uploads_are_allowed(client: Client, user: Any) -> None:
    uploader(client).upload(b"x")
    assert UploadSession.objects.get().owner == user


def test_upload_survives_its_user(client: Client, user: Any) -> None:
    uploader(client).upload(b"x")
    user.delete()
    stored = UploadSession.objects.get()
    assert stored.owner is None
    assert stored.owner_key
    assert content(str(stored.uuid)) == b"x"


def test_owner_may_come_from_a_hook(settings: Any, user: Any, stranger: Client) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"RECEIVER": "receivers_for_tests.TokenReceiver"}, "videos": {}}
    page = uploader(stranger)
    request = page.simple_request(page.add(b"x"))
    assert answered(page.send(request)) == LOGIN_REQUIRED
    assert page.send(request.with_header("X-User", "anna")).status == 200
    assert UploadSession.objects.get().owner == get_user_model().objects.get(username="anna")


@pytest.mark.parametrize("allowed", [False, True])
def test_late_chunk_with_the_cookie_from_before_a_login_does_not_end_the_new_session(
    client: Client, settings: Any, allowed: bool
) -> None:
    """Guards against Django's deletion of a cookie that leads nowhere: by its name it hits the new one."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"ALLOW_ANONYMOUS": allowed}}
    late = strict_client()
    late.cookies["sessionid"] = "of-a-session-that-the-login-has-ended"
    page = finisher(late)
    upload = page.add(pattern(25))
    for request in (page.chunk_request(upload, 0), page.done_request(upload)):
        answer = page.send(request)
        assert answered(answer) == (NO_SESSION if allowed else LOGIN_REQUIRED)
    assert late.cookies["sessionid"].value == "of-a-session-that-the-login-has-ended"
