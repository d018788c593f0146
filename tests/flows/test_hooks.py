"""What a site's own receiver and its signal receivers may decide, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.dispatch import Signal
from django.http import HttpRequest
from django.test import Client

from fakeuploader import BrowserFile, DjangoTransport, WireRequest
from fineuploader_receiver import signals
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver
from flowtools import (
    accepted,
    age,
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
from receivers_for_tests import GroupingReceiver, RecordingReceiver
from storages_for_tests import FailingStorage

FORBIDDEN = refused(403, "forbidden", preventRetry=True)
HOOK_FAILED = refused(500, "hook_failed")
NAMES = ["upload_started", "chunk_received", "upload_completed", "upload_deleted", "upload_expired"]


@pytest.fixture
def receiver(settings: Any, request: pytest.FixtureRequest) -> None:
    """Let the default receiver be the class of ``receivers_for_tests`` that the test names."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"RECEIVER": f"receivers_for_tests.{request.param}"}, "videos": {}}


def using(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("receiver", [name], indirect=True)


@contextmanager
def connected(signal: Signal, receiver: Any) -> Iterator[None]:
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


# Permissions


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    questions: list[tuple[str, str | None]] = []
    monkeypatch.setattr(RecordingReceiver, "asked", questions)
    return questions


@using("RecordingReceiver")
@pytest.mark.usefixtures("receiver")
def test_permission_is_asked_by_action_and_upload(client: Client, asked: list[tuple[str, str | None]]) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    requests = {
        "upload": page.chunk_request(upload, 0),
        "status": WireRequest(method="GET", url=f"/uploads/{upload.uuid}"),
        "delete": page.delete_request(upload.uuid),
    }
    for action, request in requests.items():
        asked.clear()
        page.send(request)
        assert set(asked) == {(action, upload.uuid)}
    asked.clear()
    page.session()
    assert asked == [("list", None)]


@using("RecordingReceiver")
@pytest.mark.usefixtures("receiver")
def test_completion_is_asked_for(client: Client, asked: list[tuple[str, str | None]]) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert set(asked) == {("upload", upload.uuid), ("complete", upload.uuid)}


@using("RecordingReceiver")
@pytest.mark.usefixtures("receiver")
@pytest.mark.parametrize("action", ["upload", "delete", "status", "list"])
def test_action_without_permission_is_forbidden(
    client: Client, action: str, asked: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = finisher(client)
    upload, part = page.add(pattern(4)), page.add(pattern(25))
    page.upload(upload)
    page.send(page.chunk_request(part, 0))
    before = kept_bytes()
    monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset({action}))
    requests = {
        "upload": page.chunk_request(part, 1),
        "delete": page.delete_request(upload.uuid),
        "status": WireRequest(method="GET", url=f"/uploads/{upload.uuid}"),
        "list": page.session_request(),
    }
    assert answered(page.send(requests[action])) == FORBIDDEN
    assert kept_bytes() == before


@using("RecordingReceiver")
@pytest.mark.usefixtures("receiver", "asked")
def test_forbidden_success_request_changes_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reset either: the chunks are somebody's who may upload."""
    page = finisher(client)
    upload = page.add(pattern(25))
    for index in (0, 1):
        page.send(page.chunk_request(upload, index))
    before = kept_bytes()
    monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset({"complete"}))
    assert answered(page.send(page.done_request(upload))) == FORBIDDEN
    assert (row(upload.uuid).state, kept_bytes()) == ("receiving", before)


@using("RecordingReceiver")
@pytest.mark.usefixtures("receiver", "asked")
def test_forbidden_first_request_stores_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingReceiver, "forbidden", frozenset({"upload"}))
    page = finisher(client, mandatory=True)
    upload, empty = page.add(pattern(25)), page.add(b"")
    requests = [page.simple_request(upload), page.chunk_request(upload, 2), page.done_request(empty)]
    assert [answered(page.send(request)) for request in requests] == [FORBIDDEN] * 3
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


@using("CuriousReceiver")
@pytest.mark.usefixtures("receiver")
def test_permission_may_depend_on_name_and_params_before_a_byte_is_stored(client: Client) -> None:
    page = uploader(client)
    good = page.add(BrowserFile(b"x", "good.txt"), params={"album": "open"})
    bad = page.add(BrowserFile(b"x", "good.txt"), params={"album": "closed"})
    assert answered(page.send(page.simple_request(bad))) == FORBIDDEN
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})
    assert page.upload(good).success


def test_upload_is_described_before_its_first_byte_is_stored(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def look(receiver: Receiver, request: HttpRequest, action: str, upload: UploadSession) -> bool:
        fields = ("filename", "params", "total_size", "receiver")
        seen.append({"pk": upload.pk, "owner": str(upload.owner), **{name: getattr(upload, name) for name in fields}})
        return True

    monkeypatch.setattr(Receiver, "has_permission", look)
    page = chunker(client, params={"album": "one"})
    page.send(page.chunk_request(page.add(BrowserFile(pattern(25), "a.txt")), 0))
    described = {"filename": "a.txt", "params": {"album": "one"}, "total_size": 25, "receiver": "default"}
    assert seen == [{"pk": None, "owner": "anna", **described}]


# Names


@using("PlacingReceiver")
@pytest.mark.usefixtures("receiver")
def test_file_goes_where_the_receiver_says_under_a_name_of_its_own(client: Client, any_storage: str) -> None:
    page = finisher(client)
    uploads = [page.add(BrowserFile(pattern(25), "image.jpg"), params={"album": "holiday"}) for _ in range(2)]
    assert all(page.upload(upload).success for upload in uploads)
    names = [row(upload.uuid).file for upload in uploads]
    for name in names:
        album, owner, folder, file = name.split("/")
        assert (album, owner, file) == ("holiday", "anna", "image.jpg")
        assert len(folder) >= 22
    assert len(set(names)) == 2


@using("EscapingReceiver")
@pytest.mark.usefixtures("receiver")
@pytest.mark.parametrize("album", ["../../../etc", "/etc", "a\\..\\b", ".", "x" * 600])
def test_careless_receiver_cannot_put_a_file_outside(client: Client, album: str, tmp_path: Any) -> None:
    """Regression: it was answered as a bad body, which made the site's mistake the client's, for good."""
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "../../passwd"), params={"album": album})
    assert answered(page.send(page.simple_request(upload))) == HOOK_FAILED
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and "media" not in path.parts]
    assert outside == []
    assert ".." not in "".join(kept_bytes())


def test_upload_to_expands_dates_and_not_names(client: Client, settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"UPLOAD_TO": "in/%Y/"}, "videos": {}}
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "100%Y.txt"))
    assert page.upload(upload).success
    name = row(upload.uuid).file
    assert name.startswith(f"in/{row(upload.uuid).created_at:%Y}/")
    assert "%Y" in name or "20" not in name.rsplit("/", 1)[1]


def test_upload_to_may_be_a_callable(client: Client, settings: Any) -> None:
    def place(upload: UploadSession, filename: str) -> str:
        return f"by-{upload.params['who']}/{filename}"

    settings.FINEUPLOADER_RECEIVERS = {"default": {"UPLOAD_TO": place}, "videos": {}}
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "a.txt"), params={"who": "me"})
    assert page.upload(upload).success
    first, _, last = row(upload.uuid).file.split("/")
    assert (first, last) == ("by-me", "a.txt")


# Validation


@using("PickyReceiver")
@pytest.mark.usefixtures("receiver")
def test_validation_of_the_assembled_file_refuses_it(client: Client, any_storage: str) -> None:
    page = finisher(client)
    bad, good = page.add(pattern(25)), page.add(b"%PDF-" + pattern(20))
    outcome = page.upload(bad)
    assert (outcome.error, outcome.prevent_retry) == ("Only PDF, please.", True)
    assert outcome.response["code"] == "invalid_file"
    assert (UploadSession.objects.filter(state="complete").count(), kept_bytes()) == (0, {})
    assert page.upload(good).success
    assert content(good.uuid) == b"%PDF-" + pattern(20)


# Completion


@using("GroupingReceiver")
@pytest.mark.usefixtures("receiver")
def test_completion_hook_runs_once_and_commits_with_the_state(client: Client, any_storage: str) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    for index in (2, 0, 1, 1, 2):
        page.send(page.chunk_request(upload, index))
    for _ in range(3):
        assert page.done(upload).success
    assert list(Group.objects.values_list("name", flat=True)) == [upload.uuid]


@using("GroupingReceiver")
@pytest.mark.usefixtures("receiver")
@pytest.mark.parametrize("through", ["done", "last chunk"])
def test_failing_completion_hook_keeps_the_file_and_the_next_attempt_completes(
    client: Client, monkeypatch: pytest.MonkeyPatch, through: str, any_storage: str
) -> None:
    """Regression: a hook that raises deletes the uploaded file, or leaves a row that says complete."""
    monkeypatch.setattr(GroupingReceiver, "failing", True)
    page = finisher(client)
    upload = page.add(pattern(25))
    answers = [page.send(page.chunk_request(upload, index)) for index in range(3)]
    assert answered(answers[-1]) == HOOK_FAILED
    assert answered(page.send(page.done_request(upload))) == HOOK_FAILED
    assert "secret" not in answers[-1].text
    assert Group.objects.count() == 0
    assert row(upload.uuid).state != "complete"
    assert pattern(25) in kept_bytes().values()
    monkeypatch.setattr(GroupingReceiver, "failing", False)
    retry = page.done_request(upload) if through == "done" else page.chunk_request(upload, 2)
    assert answered(page.send(retry)) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert list(Group.objects.values_list("name", flat=True)) == [upload.uuid]
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


@using("GroupingReceiver")
@pytest.mark.usefixtures("receiver")
def test_failing_completion_hook_of_a_simple_upload_is_retried(
    client: Client, monkeypatch: pytest.MonkeyPatch, any_storage: str
) -> None:
    monkeypatch.setattr(GroupingReceiver, "failing", True)
    page = uploader(client)
    upload = page.add(pattern(25))
    outcome = page.upload(upload)
    assert (outcome.success, outcome.prevent_retry, outcome.status) == (False, False, 500)
    monkeypatch.setattr(GroupingReceiver, "failing", False)
    assert page.upload(upload).success
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}
    assert Group.objects.count() == 1


@using("GroupingReceiver")
@pytest.mark.usefixtures("receiver")
def test_what_the_hook_wrote_is_undone_when_a_signal_receiver_raises(client: Client) -> None:
    def raising(**kwargs: Any) -> None:
        raise RuntimeError("the secret /place of the signal")

    page = finisher(client)
    upload = page.add(pattern(25))
    with connected(signals.upload_completed, raising):
        answers = [page.send(page.chunk_request(upload, index)) for index in range(3)]
    assert answered(answers[-1]) == HOOK_FAILED
    assert (Group.objects.count(), row(upload.uuid).state == "complete") == (0, False)
    assert page.done(upload).success
    assert list(Group.objects.values_list("name", flat=True)) == [upload.uuid]


def test_completed_upload_can_be_opened_and_claimed_in_the_hook(client: Client) -> None:
    seen: list[Any] = []

    def claiming(upload: UploadSession, **kwargs: Any) -> None:
        with upload.open() as file:
            seen.append((file.read(), upload.state, upload.claim()))

    page = finisher(client)
    upload = page.add(pattern(25))
    with connected(signals.upload_completed, claiming):
        assert page.upload(upload).success
    assert seen == [(pattern(25), "complete", True)]
    assert row(upload.uuid).claimed_at is not None
    assert page.upload(upload).success


# What the client is told


@using("DescribingReceiver")
@pytest.mark.usefixtures("receiver")
def test_session_item_and_client_options_are_the_receiver_s(client: Client) -> None:
    page = uploader(client)
    upload = page.add(BrowserFile(b"x", "a.png"))
    page.upload(upload)
    assert page.session() == [
        {"uuid": upload.uuid, "name": "a.png", "size": 1, "thumbnailUrl": f"/thumbs/{upload.uuid}.png"}
    ]
    options = DjangoTransport(client).send(WireRequest(method="GET", url="/uploads/config")).json()
    assert options["maxConnections"] == 5
    assert options["request"]["params"]["page"] == "mine"
    assert options["request"]["endpoint"].startswith("/uploads")


# Signals


@pytest.fixture
def sent() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every signal that was sent, with its keyword arguments."""
    seen: list[tuple[str, dict[str, Any]]] = []
    receivers = {}
    for name in NAMES:

        def note(sender: Any, signal: Signal, name: str = name, **kwargs: Any) -> None:
            seen.append((name, {"sender": sender, **kwargs}))

        receivers[name] = note
        getattr(signals, name).connect(note)
    yield seen
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def names(sent: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in sent]


def test_signals_of_a_chunked_upload(client: Client, sent: list[tuple[str, dict[str, Any]]]) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert page.upload(upload).success
    assert page.delete(upload.uuid).success
    assert page.delete(upload.uuid).success
    assert sorted(names(sent)) == sorted(
        ["upload_started", "chunk_received", "chunk_received", "chunk_received", "upload_completed", "upload_deleted"]
    )
    assert names(sent)[0] == "upload_started"
    assert names(sent)[-1] == "upload_deleted"
    for _, kwargs in sent:
        assert set(kwargs) == {"sender", "upload", "request"}
        assert kwargs["sender"] is UploadSession
        assert str(kwargs["upload"].uuid) == upload.uuid
        assert isinstance(kwargs["request"], HttpRequest)
        assert kwargs["request"].user.username == "anna"


def test_signals_of_a_simple_upload(client: Client, sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert uploader(client).upload(b"x").success
    assert names(sent)[0] == "upload_started"
    assert names(sent).count("upload_completed") == 1
    assert set(names(sent)) <= {"upload_started", "chunk_received", "upload_completed"}


def test_signal_of_an_expired_upload(client: Client, sent: list[tuple[str, dict[str, Any]]]) -> None:
    page = chunker(client)
    upload = page.add(pattern(25))
    page.send(page.chunk_request(upload, 0))
    sent.clear()
    age(upload.uuid)
    call_command("purge_expired_uploads", verbosity=0)
    [(name, kwargs)] = sent
    assert (name, set(kwargs), str(kwargs["upload"].uuid)) == ("upload_expired", {"sender", "upload"}, upload.uuid)


def test_refused_upload_sends_no_signal(client: Client, sent: list[tuple[str, dict[str, Any]]], settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 3}, "videos": {}}
    uploader(client).upload(b"xxxx")
    uploader(client, custom_headers={}).upload(b"x")
    assert sent == []


@pytest.mark.parametrize("name", ["upload_started", "chunk_received", "upload_deleted"])
def test_receiver_of_an_informing_signal_that_raises_breaks_nothing(client: Client, name: str) -> None:
    def raising(**kwargs: Any) -> None:
        raise RuntimeError("not the uploader's business")

    page = finisher(client)
    upload = page.add(pattern(25))
    with connected(getattr(signals, name), raising):
        assert page.upload(upload).success
        assert page.delete(upload.uuid).success
    assert not UploadSession.objects.exists()


def test_completion_signal_runs_inside_the_transaction(client: Client) -> None:
    """Its writes commit with the state, so another connection must not see one without the other."""
    seen: list[bool] = []

    def look(**kwargs: Any) -> None:
        seen.append(connection.in_atomic_block)

    with connected(signals.upload_completed, look):
        assert uploader(client).upload(b"x").success
    assert seen == [True]


# Failures of the server


@using("BrokenReceiver")
@pytest.mark.usefixtures("receiver")
def test_broken_receiver_is_a_server_error_in_json(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    requests = [page.simple_request(upload), page.done_request(upload), page.session_request()]
    for request in requests:
        answer = page.send(request)
        assert answered(answer) == refused(500, "server_error")
        assert "secret" not in answer.text
    assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_failing_storage_is_retried_without_the_chunks(client: Client, settings: Any, monkeypatch: Any) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "storages_for_tests.FailingStorage"}}
    page = finisher(client)
    monkeypatch.setattr(FailingStorage, "failing", False)
    upload = page.add(pattern(25))
    for index in (0, 1):
        assert page.send(page.chunk_request(upload, index)).status == 200
    monkeypatch.setattr(FailingStorage, "failing", True)
    answer = page.send(page.chunk_request(upload, 2))
    assert answered(answer) == refused(503, "storage_error")
    assert "secret" not in answer.text
    monkeypatch.setattr(FailingStorage, "failing", False)
    upload.remaining = [2]
    assert page.upload(upload).success
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}
