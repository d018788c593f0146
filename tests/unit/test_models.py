"""The rows: what the database refuses to hold, and what the model offers a site."""

from __future__ import annotations

import contextlib
import datetime
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import InvalidStorageError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from fineuploader_receiver.exceptions import Claimed
from fineuploader_receiver.models import OwnerUsage, UploadChunk, UploadSession, UploadTombstone, database
from unittools import DATA, Page, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]
State = UploadSession.State
MOMENT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def make(**fields: Any) -> UploadSession:
    said = {"uuid": uuid.uuid4(), "owner_key": "user:1", "receiver": "default", "storage": "default"}
    return UploadSession.objects.create(**{**said, **fields})


def refused(work: Callable[[], Any]) -> bool:
    try:
        with transaction.atomic():
            work()
    except IntegrityError:
        return True
    return False


def test_states_are_in_lower_case() -> None:
    assert State.values == ["receiving", "assembling", "complete", "removing"]


@pytest.mark.parametrize(
    "fields",
    [
        {"total_size": -1},
        {"received_bytes": -1},
        {"reserved_bytes": -1},
        {"state": "paused"},
        {"state": State.COMPLETE},
        {"state": State.COMPLETE, "completed_at": MOMENT, "file": "a"},
        {"state": State.COMPLETE, "completed_at": MOMENT, "total_size": 1},
        {"state": State.COMPLETE, "file": "a", "total_size": 1},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_row_that_makes_no_sense(fields: dict[str, Any]) -> None:
    assert refused(lambda: make(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"total_size": 0},
        {"total_size": 2**53, "received_bytes": 2**53, "reserved_bytes": 2**53},
        {"total_chunks": 2**31 - 1},
        {"state": State.COMPLETE, "completed_at": MOMENT, "file": "a", "total_size": 0},
        {"filename": "ä" * 1024, "file": "f" * 512, "owner_key": "k" * 128, "receiver": "r" * 64},
        {"params": {"a": [1, None, {"b": "\U0001f600"}]}},
        {"chunk_size": 10 / 3},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_row_that_makes_sense_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    made = make(**fields)
    found = UploadSession.objects.get(pk=made.pk)
    assert {name: getattr(found, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"owner_key": "user:2"}, False),
        ({"receiver": "videos"}, False),
        ({"owner_key": "anonymous:1"}, False),
    ],
    ids=str,
)
def test_uuid_is_unique_per_owner_and_receiver(changes: dict[str, str], expected: bool) -> None:
    number = uuid.uuid4()
    make(uuid=number)
    assert refused(lambda: make(uuid=number, **changes)) is expected


def test_uuid_is_unique_per_owner_key_also_where_users_are_gone() -> None:
    """Guards against a unique constraint over a nullable column, which lets any number of NULLs in."""
    number = uuid.uuid4()
    make(uuid=number, owner=None)
    assert refused(lambda: make(uuid=number, owner=None))


@pytest.mark.parametrize("fields", [{"offset": -1}, {"size": -1}])
def test_chunk_that_makes_no_sense(fields: dict[str, int]) -> None:
    upload = make()
    place = {"offset": 0, "size": 1, **fields}
    assert refused(lambda: UploadChunk.objects.create(session=upload, index=0, claimed_at=timezone.now(), **place))


def test_index_is_unique_within_an_upload() -> None:
    first, second = make(), make()
    place = {"index": 0, "offset": 0, "size": 1, "claimed_at": timezone.now()}
    UploadChunk.objects.create(session=first, **place)
    UploadChunk.objects.create(session=second, **place)
    assert refused(lambda: UploadChunk.objects.create(session=first, **place))


def test_other_rows_are_unique_per_owner_and_receiver() -> None:
    names = {"receiver": "default", "owner_key": "user:1"}
    grave = {**names, "uuid": uuid.uuid4(), "expires_at": timezone.now()}
    OwnerUsage.objects.create(**names)
    UploadTombstone.objects.create(**grave)
    assert refused(lambda: OwnerUsage.objects.create(**names))
    assert refused(lambda: UploadTombstone.objects.create(**grave))


def test_upload_outlives_its_user(user: Any) -> None:
    upload = make(owner=user)
    user.delete()
    assert UploadSession.objects.get(pk=upload.pk).owner is None


def test_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", "fineuploader_receiver", check=True, dry_run=True, verbosity=0)


def test_rows_have_readable_names() -> None:
    upload = make(uuid="0f8fad5b-d9cb-469f-a165-70867728950e")
    chunk = UploadChunk(session=upload, index=3)
    assert str(UploadSession.objects.get()) == "0f8fad5b-d9cb-469f-a165-70867728950e (receiving)"
    assert str(chunk) == f"chunk 3 of upload {upload.pk}"
    assert str(UploadTombstone(uuid=upload.uuid)) == str(upload.uuid)
    assert str(OwnerUsage(owner_key="user:1")) == "user:1"


# What a site does with a finished upload.


@pytest.fixture
def finished(page: Page, number: uuid.UUID) -> UploadSession:
    page.simple(number)
    return row(number)


def test_finished_file_is_opened_through_its_row(finished: UploadSession) -> None:
    with finished.open() as file:
        assert file.read() == DATA
    assert finished.url == f"/media/{finished.file}"
    assert finished.is_complete


@pytest.mark.parametrize("state", [State.RECEIVING, State.ASSEMBLING, State.REMOVING])
def test_unfinished_file_cannot_be_opened(finished: UploadSession, state: str) -> None:
    finished.state = state
    with pytest.raises(ValueError, match=f"it is {state}"):
        finished.open()
    with pytest.raises(ValueError, match=f"it is {state}"):
        _ = finished.url


def test_file_whose_storage_is_gone(finished: UploadSession) -> None:
    finished.storage = "nowhere"
    with pytest.raises(InvalidStorageError):
        finished.open()


def test_claim_marks_the_file_as_taken(finished: UploadSession) -> None:
    assert finished.claim() is True
    first = UploadSession.objects.get(pk=finished.pk).claimed_at
    assert first == finished.claimed_at
    assert first is not None
    assert finished.claim() is True
    assert UploadSession.objects.get(pk=finished.pk).claimed_at == first == finished.claimed_at


@pytest.mark.parametrize("state", [State.RECEIVING, State.ASSEMBLING, State.REMOVING])
def test_unfinished_file_cannot_be_claimed(finished: UploadSession, state: str) -> None:
    UploadSession.objects.update(state=state)
    assert finished.claim() is False
    assert finished.claimed_at is None
    assert UploadSession.objects.get(pk=finished.pk).claimed_at is None


def test_file_that_is_gone_cannot_be_claimed(finished: UploadSession) -> None:
    UploadSession.objects.all().delete()
    assert finished.claim() is False


@pytest.mark.django_db(transaction=True)
def test_claim_and_delete_at_the_same_moment_have_one_winner(page: Page) -> None:
    """Whatever the order: a claimed file is there, and a file that is gone was not claimed."""
    for _ in range(5):
        number = uuid.uuid4()
        page.simple(number)
        upload = row(number)
        start = threading.Barrier(2)
        outcome: dict[str, bool] = {}

        def claim(upload: UploadSession = upload, start: threading.Barrier = start, outcome: Any = outcome) -> None:
            start.wait()
            outcome["claimed"] = upload.claim()
            connection.close()

        thread = threading.Thread(target=claim)
        thread.start()
        start.wait()
        with contextlib.suppress(Claimed):
            page.delete(number)
        thread.join()
        assert outcome["claimed"] is UploadSession.objects.filter(uuid=number).exists()
        assert upload.get_storage().exists(upload.file) is outcome["claimed"]


def test_database_is_the_one_that_the_router_writes_to(settings: Any) -> None:
    assert database() == "default"
    settings.DATABASE_ROUTERS = [type("Router", (), {"db_for_write": lambda self, model, **hints: "uploads"})()]
    assert database() == "uploads"
