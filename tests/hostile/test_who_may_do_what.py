"""Who may do what, as one table: each cell is sent by every method of its route, and its effects are looked at.

A cell is a status, with the code of a refusal, and what it does: `!` changes the owner's upload, `+` makes something of
the caller's own, and without either nothing at all changes.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from fakeuploader import FakeUploader, WireRequest, WireResponse
from fineuploader_receiver.models import UploadChunk, UploadSession, UploadTombstone
from flowtools import finisher, pattern
from hostile.callers import TRUSTED_ORIGIN, Caller, callers, logged_in, with_anonymous_session
from receivers_for_tests import RecordingReceiver

CSRF = "403 csrf_failed"
LOGIN = "403 login_required"
SESSION = "403 no_session"
DENIED = "403 forbidden"
LOST = "409 upload_lost"
UNKNOWN = "404 not_found"

Row = tuple[str, str, str, str, str, str, str, str]

ACTIONS = ("simple", "chunk", "done", "delete", "post delete", "status", "session", "config")

OWNER: Row = ("200+", "200!", "200", "200!", "200!", "200", "200", "200")
STRANGER: Row = ("200+", "200+", LOST, "200", "200", UNKNOWN, "200", "200")
ONLY_READS: Row = (CSRF, CSRF, CSRF, CSRF, CSRF, "200", "200", "200")
NO_LOGIN: Row = (LOGIN, LOGIN, LOGIN, LOGIN, LOGIN, LOGIN, LOGIN, LOGIN)
NO_COOKIE: Row = (CSRF, CSRF, CSRF, CSRF, CSRF, LOGIN, LOGIN, LOGIN)
NO_SESSION: Row = (SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, "200", "200")
NO_COOKIE_OPEN: Row = (CSRF, CSRF, CSRF, CSRF, CSRF, SESSION, "200", "200")

# Rows that are the same whoever may own uploads.
ALWAYS: Mapping[str, Row] = {
    "owner": OWNER,
    "another user": STRANGER,
    "staff": STRANGER,
    "superuser": STRANGER,
    "owner, no token": ONLY_READS,
    "owner, wrong token": ONLY_READS,
    "owner, token in query": ONLY_READS,
    "owner, foreign origin": ONLY_READS,
    "owner, null origin": ONLY_READS,
    "owner, trusted origin": OWNER,
    "owner, trusted, no token": ONLY_READS,
}
TABLES: Mapping[str, Mapping[str, Row]] = {
    # Logins only; the upload is a user's.
    "closed": {
        **ALWAYS,
        "another anonymous": NO_LOGIN,
        "nobody": NO_LOGIN,
        "expired login": NO_LOGIN,
        "no cookies": NO_COOKIE,
        "no cookies, own origin": NO_LOGIN,
        "no cookies, foreign origin": NO_COOKIE,
        "no cookies, trusted origin": NO_LOGIN,
    },
    # ALLOW_ANONYMOUS; the upload is an anonymous visitor's.
    "open": {
        **ALWAYS,
        "another anonymous": STRANGER,
        "nobody": NO_SESSION,
        "expired login": NO_SESSION,
        "no cookies": NO_COOKIE_OPEN,
        "no cookies, own origin": NO_SESSION,
        "no cookies, foreign origin": NO_COOKIE_OPEN,
        "no cookies, trusted origin": NO_SESSION,
    },
}
# What the owner may still do where `has_permission` says no to one thing.
DENIALS: Mapping[str, Row] = {
    "upload": (DENIED, DENIED, "200", "200!", "200!", "200", "200", "200"),
    "complete": ("200+", "200!", DENIED, "200!", "200!", "200", "200", "200"),
    "delete": ("200+", "200!", "200", DENIED, DENIED, "200", "200", "200"),
    "status": ("200+", "200!", "200", "200!", "200!", DENIED, "200", "200"),
    "list": ("200+", "200!", "200", "200!", "200!", "200", DENIED, "200"),
}


@pytest.fixture(autouse=True)
def receivers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [TRUSTED_ORIGIN]
    settings.ROOT_URLCONF = "hostile.urls"
    settings.FINEUPLOADER_RECEIVERS = {
        "closed": {},
        "open": {"ALLOW_ANONYMOUS": True},
        "denying": {"RECEIVER": "receivers_for_tests.RecordingReceiver"},
    }
    monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset())
    monkeypatch.setattr(RecordingReceiver, "asked", [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Victim:
    """The owner's two uploads: a finished one, and one whose second chunk of three is missing."""

    page: FakeUploader
    prefix: str
    finished: str
    unfinished: str

    @classmethod
    def make(cls, owner: Client, receiver: str) -> Victim:
        page = finisher(owner, f"/{receiver}", custom_headers={}, delete_headers={})
        sender = finisher(owner, f"/{receiver}")
        finished, unfinished = sender.add(pattern(20)), sender.add(pattern(25))
        assert sender.upload(finished).success
        for index in (0, 2):
            assert sender.send(sender.chunk_request(unfinished, index)).status == 200
        return cls(page=page, prefix=f"/{receiver}", finished=finished.uuid, unfinished=unfinished.uuid)

    def unknown(self) -> Victim:
        """The same, of uploads that do not exist."""
        return dataclasses.replace(self, finished=str(uuid.uuid4()), unfinished=str(uuid.uuid4()))

    def requests(self, action: str) -> list[WireRequest]:
        """The action in every method, bare: what a caller carries is put on later."""
        return _REQUESTS[action](self)


def _simple(victim: Victim) -> list[WireRequest]:
    return _by_method(lambda: victim.page.simple_request(victim.page.add(pattern(20))))


def _chunk(victim: Victim) -> list[WireRequest]:
    upload = victim.page.add(pattern(25), uuid=victim.unfinished)
    return _by_method(lambda: victim.page.chunk_request(upload, 1))


def _done(victim: Victim) -> list[WireRequest]:
    upload = victim.page.add(pattern(20), uuid=victim.finished)
    as_json = FakeUploader(victim.page.transport, victim.page.options.but(success_json=True))
    return [*_by_method(lambda: victim.page.done_request(upload)), as_json.done_request(upload)]


def _delete(victim: Victim) -> list[WireRequest]:
    return [victim.page.delete_request(victim.finished)]


def _post_delete(victim: Victim) -> list[WireRequest]:
    by_post = FakeUploader(victim.page.transport, victim.page.options.but(delete_method="POST"))
    return [by_post.delete_request(victim.finished)]


def _by_method(make: Callable[[], WireRequest]) -> list[WireRequest]:
    return [make().with_method(method) for method in ("POST", "PUT", "PATCH")]


def _reading(path: Callable[[Victim], str]) -> Callable[[Victim], list[WireRequest]]:
    return lambda victim: [
        WireRequest(method=method, url=f"{victim.prefix}/{path(victim)}") for method in ("GET", "HEAD")
    ]


_REQUESTS: Mapping[str, Callable[[Victim], list[WireRequest]]] = {
    "simple": _simple,
    "chunk": _chunk,
    "done": _done,
    "delete": _delete,
    "post delete": _post_delete,
    "status": _reading(lambda victim: victim.finished),
    "session": _reading(lambda victim: "session"),
    "config": _reading(lambda victim: "config"),
}

COUNTS: Mapping[str, int] = dict(zip(ACTIONS, (3, 3, 4, 1, 1, 2, 2, 2), strict=True))
"""How many methods or encodings each action is tried in."""


def stored(media: Path) -> dict[Any, Any]:
    """Every row of the app and every file."""
    rows: dict[Any, Any] = {}
    for model in (UploadSession, UploadChunk, UploadTombstone):
        rows |= {(model.__name__, row["id"]): row for row in model._default_manager.values()}
    files = {str(path): path.read_bytes() for path in media.rglob("*") if path.is_file()}
    return rows | files


def outcome(answer: WireResponse, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> str:
    """What happened, as a cell of the table."""
    code = answer.json().get("code", "") if answer.status >= 400 and answer.body else ""
    victim = "!" if any(after.get(key) != value for key, value in before.items()) else ""
    own = "+" if not victim and after.keys() - before.keys() else ""
    return f"{answer.status}{victim}{own} {code}".strip()


def expected(cell: str, method: str) -> str:
    """HEAD answers as GET does, without the body that holds the code."""
    return cell.partition(" ")[0] if method == "HEAD" else cell


def assert_row(caller: Caller, owner: Client, receiver: str, row: Row, media: Path) -> None:
    found, wanted = {}, {}
    victim = Victim.make(owner, receiver)
    for action, cell in zip(ACTIONS, row, strict=True):
        for number in range(COUNTS[action]):
            request = victim.requests(action)[number]
            before = stored(media)
            answer = caller.send(request)
            name = f"{action} by {request.method} {number}"
            found[name] = outcome(answer, before, after := stored(media))
            wanted[name] = expected(cell, request.method)
            if before != after:
                victim = Victim.make(owner, receiver)
    assert found == wanted


CELLS = [(receiver, name) for receiver, table in TABLES.items() for name in table]


def owner_of_table(receiver: str) -> Client:
    return with_anonymous_session() if receiver == "open" else logged_in("anna")


@pytest.mark.parametrize(("receiver", "name"), CELLS, ids=str)
def test_caller_may_do_what_the_table_says_and_no_more(receiver: str, name: str, media_root: Path) -> None:
    owner = owner_of_table(receiver)
    assert_row(callers(owner)[name], owner, receiver, TABLES[receiver][name], media_root)


@pytest.mark.parametrize("denied", DENIALS)
def test_permission_that_a_receiver_denies_is_denied(
    denied: str, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = logged_in("anna")
    make = Victim.make

    def make_allowed(owner: Client, receiver: str) -> Victim:
        monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset())
        victim = make(owner, receiver)
        monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset({denied}))
        return victim

    monkeypatch.setattr(Victim, "make", make_allowed)
    assert_row(callers(owner)["owner"], owner, "denying", DENIALS[denied], media_root)


ABOUT_ONE = ("chunk", "done", "delete", "post delete", "status")


@pytest.mark.parametrize(
    ("receiver", "name"), [cell for cell in CELLS if "owner" not in cell[1].partition(",")[0]], ids=str
)
def test_someone_else_s_upload_looks_exactly_like_none(receiver: str, name: str) -> None:
    owner = owner_of_table(receiver)
    caller = callers(owner)[name]
    victim = Victim.make(owner, receiver)
    for action in ABOUT_ONE:
        for number in range(COUNTS[action]):
            pair = [seen(caller, one, action, number) for one in (victim, victim.unknown())]
            assert pair[0] == pair[1], action


def seen(caller: Caller, victim: Victim, action: str, number: int) -> tuple[int, dict[str, str], bytes]:
    """Everything that a caller gets to see, but for the uuid that it sent itself, which has the same length."""
    answer = caller.send(victim.requests(action)[number])
    body = answer.body.replace(victim.finished.encode(), b"UUID").replace(victim.unfinished.encode(), b"UUID")
    return answer.status, {**answer.headers, "expires": ""}, body


WRONG_METHODS: Mapping[str, tuple[str, ...]] = {
    "": ("GET", "HEAD", "DELETE", "TRACE", "PROPFIND"),
    "done": ("GET", "HEAD", "DELETE", "TRACE"),
    "session": ("POST", "PUT", "PATCH", "DELETE", "TRACE"),
    "config": ("POST", "PUT", "PATCH", "DELETE", "TRACE"),
    "0f8fad5b-d9cb-469f-a165-70867728950e": ("POST", "PUT", "PATCH", "TRACE"),
}


@pytest.mark.parametrize("receiver", TABLES)
def test_method_that_a_route_lacks_is_refused_to_everybody_alike(receiver: str, media_root: Path) -> None:
    owner = owner_of_table(receiver)
    everybody = callers(owner)
    for path, methods in WRONG_METHODS.items():
        for method in methods:
            request = WireRequest(method=method, url=f"/{receiver}/{path}").with_body(b"")
            answers = [caller.send(request) for caller in everybody.values()]
            assert {(answer.status, answer.body) for answer in answers} == {(405, answers[0].body)}
    assert stored(media_root) == {}
