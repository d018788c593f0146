"""A disk that fails at each call in turn: no file is told that is not there, and it arrives when the fault is over."""

from __future__ import annotations

import datetime
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as site
from django.core.management import call_command
from django.test import Client

from fakeuploader import ClientUpload, FakeUploader
from faultydisk import FaultyDisk
from fineuploader_receiver.backends import filesystem
from fineuploader_receiver.lifecycle import purge
from fineuploader_receiver.models import UploadSession
from flowtools import content, finisher, pattern

if TYPE_CHECKING:
    from pytest_django import Settings

DATA = pattern(25)
CODES = {(503, "storage_error"), (507, "no_space"), (503, "busy"), (409, "upload_lost")}
PLACES = ("on one disk", "on two disks", "each chunk to the disk")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    faulty = FaultyDisk()
    monkeypatch.setattr(filesystem, "os", faulty)
    return faulty


@pytest.fixture
def page(client: Client) -> FakeUploader:
    return finisher(client)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, settings: Settings, disk: FaultyDisk) -> str:
    """Where the bytes go on their way."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"DURABILITY": "chunk" if "each" in request.param else "publish"}}
    disk.elsewhere = errno.EXDEV if "two" in request.param else None
    return str(request.param)


def upload_stubbornly(page: FakeUploader, upload: ClientUpload, attempts: int = 6) -> bool:
    """Send until it is done, as a person does: the page repeats what failed, and begins again where it is told to."""
    return any(page.upload(upload, attempts=2).success for _ in range(attempts))


def assert_clear(page: FakeUploader) -> None:
    for _, answer in page.log:
        body = answer.json()
        assert b"secret" not in answer.body
        assert (answer.status, body["success"]) == (200, True) or (answer.status, body["code"]) in CODES


def assert_nothing_left(page: FakeUploader, upload: ClientUpload) -> None:
    assert page.delete(upload.uuid).success
    call_command("purge_expired_uploads", "--orphans", verbosity=0)
    left = list(Path(site.MEDIA_ROOT, ".fineuploader").iterdir())
    files = [path for path in Path(site.MEDIA_ROOT).rglob("*") if path.is_file()]
    assert (UploadSession.objects.count(), left, files) == (0, [], [])


def calls(page: FakeUploader, disk: FaultyDisk) -> Iterator[int]:
    """The number of each call that an upload makes."""
    disk.break_at(-1, 0, lasts=False)
    upload = page.add(DATA)
    assert page.upload(upload).success
    made = len(disk.made)
    assert page.delete(upload.uuid).success
    yield from range(made)


@pytest.mark.parametrize(
    ("place", "number"),
    [
        *[(place, number) for place in PLACES for number in (errno.EIO, errno.ENOSPC)],
        (PLACES[0], errno.EDQUOT),
        (PLACES[0], errno.ESTALE),
    ],
    ids=str,
    indirect=["place"],
)
def test_fault_at_any_call_costs_repeats_and_no_more(
    page: FakeUploader, disk: FaultyDisk, place: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "ORPHAN_AGE", datetime.timedelta(seconds=-5))
    for call in calls(page, disk):
        disk.break_at(call, number, lasts=False)
        upload = page.add(DATA)
        assert upload_stubbornly(page, upload), disk.made[call]
        disk.heal()
        assert content(upload.uuid) == DATA
        assert_clear(page)
        assert_nothing_left(page, upload)


def test_fault_that_lasts_is_never_told_as_a_file(
    page: FakeUploader, disk: FaultyDisk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "ORPHAN_AGE", datetime.timedelta(seconds=-5))
    for call in calls(page, disk):
        disk.break_at(call, errno.EIO, lasts=True)
        upload = page.add(DATA)
        if page.upload(upload, attempts=2).success:
            assert content(upload.uuid) == DATA
        disk.heal()
        assert upload_stubbornly(page, upload), disk.made[call]
        assert content(upload.uuid) == DATA
        assert_clear(page)
        assert_nothing_left(page, upload)
