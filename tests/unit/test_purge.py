"""The purge: takes what is due and nothing else, in any state it finds things in, as often as it runs."""

from __future__ import annotations

import datetime
import io
import json
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fineuploader_receiver.backends.base import BackendFailed, Plan
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.lifecycle import purge as purging
from fineuploader_receiver.lifecycle import removal
from fineuploader_receiver.lifecycle.uploads import staging_of
from fineuploader_receiver.models import OwnerUsage, UploadChunk, UploadSession, UploadTombstone
from fineuploader_receiver.signals import upload_expired
from flowtools import kept_bytes
from unittools import DATA, Page, content, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]
State = UploadSession.State

HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
NOTHING = {
    "expired": 0,
    "unclaimed": 0,
    "tidied": 0,
    "orphans": 0,
    "tombstones": 0,
    "bytes": 0,
    "skipped": 0,
    "problems": [],
    "dry_run": False,
}


def purge(*arguments: str, **options: Any) -> dict[str, Any]:
    """Run the command, and return its summary."""
    out = io.StringIO()
    call_command("purge_expired_uploads", *arguments, format="json", stdout=out, **options)
    return dict(json.loads(out.getvalue()))


def purge_with_problems(*arguments: str, **options: Any) -> dict[str, Any]:
    """The same for a run that has to leave something, which is an error for cron."""
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("purge_expired_uploads", *arguments, format="json", stdout=out, **options)
    return dict(json.loads(out.getvalue()))


def change(number: uuid.UUID, **fields: Any) -> None:
    assert UploadSession.objects.filter(uuid=number).update(**fields) == 1


def ago(age: datetime.timedelta) -> datetime.datetime:
    return timezone.now() - age


@pytest.fixture
def partial(page: Page) -> uuid.UUID:
    """An upload with two of three chunks, whose time is up."""
    number = uuid.uuid4()
    page.chunks(number, 0, 1)
    change(number, expires_at=ago(HOUR))
    return number


@pytest.fixture
def live(page: Page) -> uuid.UUID:
    number = uuid.uuid4()
    page.chunks(number, 0, 2)
    return number


@pytest.fixture
def finished(page: Page) -> uuid.UUID:
    number = uuid.uuid4()
    page.simple(number)
    change(number, completed_at=ago(100 * DAY), created_at=ago(100 * DAY), updated_at=ago(100 * DAY))
    return number


# What is due, and what is not.


def test_partial_upload_whose_time_is_up_goes_and_nothing_else(
    page: Page, partial: uuid.UUID, live: uuid.UUID, finished: uuid.UUID, heard: list[tuple[str, str]]
) -> None:
    heard.clear()
    # The chunk row of the finished upload is tidied away on the same occasion.
    assert purge() == {**NOTHING, "expired": 1, "bytes": 20, "tidied": 1}
    assert set(UploadSession.objects.values_list("uuid", flat=True)) == {live, finished}
    assert [name for name, _ in heard] == ["upload_expired"]
    assert content(finished) == DATA
    page.chunk(live, 1)
    assert content(live) == DATA
    assert set(kept_bytes()) == {row(live).file, row(finished).file}


@pytest.mark.parametrize(("late", "expected"), [(datetime.timedelta(seconds=1), 1), (-HOUR, 0)])
def test_upload_goes_when_its_time_is_up_and_not_before(
    partial: uuid.UUID, late: datetime.timedelta, expected: int
) -> None:
    change(partial, expires_at=ago(late))
    assert purge()["expired"] == expected


def test_time_runs_from_the_last_byte(page: Page, partial: uuid.UUID) -> None:
    """Guards against expiry by creation, which kills slow uploads."""
    change(partial, created_at=ago(100 * DAY))
    page.chunk(partial, 1)
    page.chunk(partial, 0)
    change(partial, expires_at=ago(-HOUR))
    assert purge() == NOTHING


def test_upload_that_goes_on_at_the_last_moment_is_not_purged(
    page: Page, partial: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row must still be due at the moment it is claimed, and not only when it was looked for."""

    def late(*arguments: Any, **options: Any) -> bool:
        change(partial, expires_at=ago(-DAY))
        return removal.remove(*arguments, **options)

    monkeypatch.setattr(purging, "remove", late)
    assert purge() == NOTHING
    page.chunk(partial, 2)
    assert content(partial) == DATA


@pytest.mark.parametrize(("lease", "expected"), [(None, 1), (-HOUR, 0), (HOUR, 1)], ids=["no lease", "held", "lapsed"])
@pytest.mark.parametrize("state", [State.ASSEMBLING, State.REMOVING])
def test_upload_that_somebody_is_at_is_left_to_them(
    partial: uuid.UUID, state: str, lease: datetime.timedelta | None, expected: int
) -> None:
    until = None if lease is None else ago(lease)
    change(partial, state=state, lease_token="somebody", lease_until=until)
    assert purge()["expired"] == expected
    assert UploadSession.objects.count() == 1 - expected


def test_removal_that_died_half_way_is_finished(
    page: Page, partial: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FileSystemBackend, "discard", dying)
        with pytest.raises(KeyboardInterrupt):
            purge()
    assert row(partial).state == State.REMOVING
    assert purge() == NOTHING
    change(partial, lease_until=ago(HOUR))
    assert purge() == {**NOTHING, "expired": 1, "bytes": 20}
    assert (kept_bytes(), UploadChunk.objects.count()) == ({}, 0)


def test_finished_upload_is_tidied(page: Page, finished: uuid.UUID) -> None:
    assert UploadChunk.objects.count() == 1
    assert purge() == {**NOTHING, "tidied": 1}
    assert (UploadChunk.objects.count(), row(finished).staged_name) == (0, "")
    assert purge() == NOTHING
    assert content(finished) == DATA


def test_finished_upload_whose_late_writer_lives_is_tidied_later(
    page: Page, partial: uuid.UUID, backend: FileSystemBackend
) -> None:
    upload = row(partial)
    late = backend.open_chunk(staging_of(upload), index=0, offset=0, size=None, token="f" * 32)
    page.chunk(partial, 2)
    assert purge() == NOTHING
    late.write(b"wrong!")
    late.abort()
    assert purge() == {**NOTHING, "tidied": 1}
    assert kept_bytes() == {row(partial).file: DATA}


# Files that nothing claimed.


def test_unclaimed_files_go_where_the_site_says_so(page: Page, finished: uuid.UUID, options: Options) -> None:
    options(UNCLAIMED_AFTER=30 * DAY)
    young, claimed = uuid.uuid4(), uuid.uuid4()
    page.simple(young)
    page.simple(claimed)
    change(claimed, completed_at=ago(100 * DAY), claimed_at=ago(99 * DAY))
    assert purge() == {**NOTHING, "tidied": 3}
    assert purge("--unclaimed") == {**NOTHING, "unclaimed": 1, "bytes": 25}
    assert set(UploadSession.objects.values_list("uuid", flat=True)) == {young, claimed}
    assert set(kept_bytes()) == {row(young).file, row(claimed).file}


def test_file_that_is_claimed_at_the_last_moment_stays(
    finished: uuid.UUID, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    options(UNCLAIMED_AFTER=30 * DAY)

    def late(receiver: Any, upload: UploadSession, **options: Any) -> bool:
        assert row(finished).claim()
        return removal.remove(receiver, upload, **options)

    monkeypatch.setattr(purging, "remove", late)
    assert purge("--unclaimed")["unclaimed"] == 0
    assert content(finished) == DATA


@pytest.mark.parametrize("arguments", [["--unclaimed"], ["--unclaimed", "--receiver", "default"]])
def test_unclaimed_without_the_option_is_an_error(
    finished: uuid.UUID, partial: uuid.UUID, options: Options, arguments: list[str]
) -> None:
    if len(arguments) > 1:
        options("videos", UNCLAIMED_AFTER=DAY)
    with pytest.raises(CommandError, match="UNCLAIMED_AFTER"):
        call_command("purge_expired_uploads", *arguments)
    assert UploadSession.objects.count() == 2


def test_unclaimed_files_of_receivers_without_the_option_stay(finished: uuid.UUID, options: Options) -> None:
    options("videos", UNCLAIMED_AFTER=DAY)
    assert purge("--unclaimed") == {**NOTHING, "tidied": 1}
    assert content(finished) == DATA


# Tombstones and owners.


def test_tombstones_are_forgotten_in_time(page: Page) -> None:
    names = {"receiver": "default", "owner_key": "user:1"}
    for age in (-HOUR, HOUR, DAY):
        UploadTombstone.objects.create(uuid=uuid.uuid4(), expires_at=ago(age), **names)
    assert purge(batch_size=1) == {**NOTHING, "tombstones": 2}
    assert UploadTombstone.objects.get().expires_at > timezone.now()


def test_expired_upload_leaves_a_tombstone_of_its_own(page: Page, partial: uuid.UUID) -> None:
    change(partial, out_of_order=True, done_request=False)
    purge()
    tombstone = UploadTombstone.objects.get()
    facts = (tombstone.uuid, tombstone.out_of_order, tombstone.done_request, tombstone.refusal)
    assert facts == (partial, True, False, "")
    assert timezone.now() + 7 * DAY < tombstone.expires_at < timezone.now() + 9 * DAY


def test_owners_without_uploads_are_forgotten(page: Page, other_page: Page, options: Options, live: uuid.UUID) -> None:
    options(MAX_ACTIVE_UPLOADS=5)
    number = uuid.uuid4()
    page.chunk(uuid.uuid4(), 0)
    other_page.chunk(number, 0)
    other_page.delete(number)
    assert OwnerUsage.objects.count() == 2
    purge("--dry-run")
    assert OwnerUsage.objects.count() == 2
    purge()
    assert OwnerUsage.objects.get().owner_key == page.caller.owner.key


# Orphans.


def orphan(backend: FileSystemBackend, *, age: datetime.timedelta) -> Path:
    """Staged bytes without a row."""
    staging = backend.begin(Plan())
    folder = Path(staging.root, staging.name)
    past = time.time() - age.total_seconds()
    for path in (folder / "data", folder):
        os.utime(path, (past, past))
    return folder


def test_orphans_over_a_day_old_go_and_nothing_else(
    page: Page, backend: FileSystemBackend, live: uuid.UUID, media_root: Path
) -> None:
    old, young = orphan(backend, age=25 * HOUR), orphan(backend, age=23 * HOUR)
    named = Path(row(live).staging_root, row(live).staged_name)
    os.utime(named, (0, 0))
    os.utime(named / "data", (0, 0))
    foreign = [media_root / ".fineuploader" / name for name in ("notes", secrets.token_hex(8))]
    for folder in foreign:
        folder.mkdir()
        os.utime(folder, (0, 0))
    assert purge() == NOTHING
    assert purge("--orphans") == {**NOTHING, "orphans": 1}
    assert [path.exists() for path in (old, young, named, *foreign)] == [False, True, True, True, True]


def test_orphans_are_counted_once_though_receivers_share_a_place(backend: FileSystemBackend, options: Options) -> None:
    orphan(backend, age=2 * DAY)
    options("videos")
    assert purge("--orphans", "--dry-run") == {**NOTHING, "orphans": 1, "dry_run": True}
    assert purge("--orphans") == {**NOTHING, "orphans": 1}


def test_orphan_that_cannot_be_deleted_is_reported_and_not_counted(
    backend: FileSystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan(backend, age=2 * DAY)
    monkeypatch.setattr(FileSystemBackend, "discard", failing("read-only"))
    assert purge_with_problems("--orphans", "--receiver", "default") == {
        **NOTHING,
        "skipped": 1,
        "problems": ["read-only"],
    }


def test_orphans_that_cannot_be_looked_for_are_reported(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileSystemBackend, "orphans", failing("unreadable"))
    found = purge_with_problems("--orphans", "--receiver", "default")
    assert found == {**NOTHING, "skipped": 1, "problems": ["unreadable"]}


def dying(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def failing(words: str) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise BackendFailed(words)

    return fail


# Options of the command.


def test_dry_run_says_what_would_go_and_changes_nothing(
    page: Page, partial: uuid.UUID, finished: uuid.UUID, backend: FileSystemBackend, heard: list[tuple[str, str]]
) -> None:
    orphan(backend, age=2 * DAY)
    UploadTombstone.objects.create(receiver="default", owner_key="user:1", uuid=uuid.uuid4(), expires_at=ago(HOUR))
    heard.clear()
    before = (kept_bytes(), list(UploadSession.objects.values()), UploadChunk.objects.count())
    expected = {"expired": 1, "tidied": 1, "orphans": 1, "tombstones": 1, "bytes": 20}
    assert purge("--dry-run", "--orphans") == {**NOTHING, **expected, "dry_run": True}
    assert (kept_bytes(), list(UploadSession.objects.values()), UploadChunk.objects.count()) == before
    assert (UploadTombstone.objects.count(), heard) == (1, [])
    assert purge("--orphans") == {**NOTHING, **expected}


def test_one_receiver_only(page: Page, partial: uuid.UUID) -> None:
    video = uuid.uuid4()
    Page(page.caller.owner, "videos").chunk(video, 0)
    change(video, expires_at=ago(HOUR))
    assert purge("--receiver", "videos") == {**NOTHING, "expired": 1, "bytes": 10}
    assert row(partial).state == State.RECEIVING


@pytest.mark.parametrize("size", ["1", "2", "500"])
def test_batches_of_any_size_reach_everything(page: Page, size: str) -> None:
    numbers = [uuid.uuid4() for _ in range(5)]
    for number in numbers:
        page.chunk(number, 0)
        change(number, expires_at=ago(HOUR))
    assert purge("--batch-size", size) == {**NOTHING, "expired": 5, "bytes": 50}


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5"])
def test_batch_size_that_is_none(size: str) -> None:
    with pytest.raises(CommandError, match="whole number above zero"):
        call_command("purge_expired_uploads", "--batch-size", size)


def test_receiver_that_there_is_not() -> None:
    with pytest.raises(CommandError, match="nowhere"):
        call_command("purge_expired_uploads", "--receiver", "nowhere")


def test_setting_that_cannot_be_used_is_a_readable_error(options: Options) -> None:
    options("videos", MAX_CHUNKS=0)
    with pytest.raises(CommandError, match="MAX_CHUNKS"):
        call_command("purge_expired_uploads", "--unclaimed")


def test_summary_as_text(partial: uuid.UUID, finished: uuid.UUID) -> None:
    out = io.StringIO()
    call_command("purge_expired_uploads", "--dry-run", stdout=out)
    call_command("purge_expired_uploads", stdout=out)
    rest = "0 orphans and 0 tombstones; tidied 1 complete uploads."
    assert out.getvalue().splitlines() == [
        f"Would remove 1 expired and 0 unclaimed uploads (20 bytes), {rest}",
        f"Removed 1 expired and 0 unclaimed uploads (20 bytes), {rest}",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "expected"), [(Terminal(), ["1 looked at", "2 looked at"]), (io.StringIO(), [])])
def test_progress_is_for_terminals(page: Page, stream: io.StringIO, expected: list[str]) -> None:
    for _ in range(2):
        number = uuid.uuid4()
        page.chunk(number, 0)
        change(number, expires_at=ago(HOUR))
    call_command("purge_expired_uploads", "--batch-size", "1", stdout=io.StringIO(), stderr=stream)
    assert [text for text in stream.getvalue().split("\r") if text] == expected


# What is gone, and what fails.


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"storage": "nowhere"}, "The storage or backend of upload {} is gone."),
        ({"backend": "nowhere.Backend"}, "The storage or backend of upload {} is gone."),
        ({"receiver": "nowhere"}, 'FINEUPLOADER_RECEIVERS has no receiver "nowhere".'),
    ],
    ids=["storage", "backend", "receiver"],
)
def test_upload_whose_storage_backend_or_receiver_is_gone_is_left_and_reported(
    page: Page, partial: uuid.UUID, fields: dict[str, str], problem: str
) -> None:
    other = uuid.uuid4()
    page.chunk(other, 0)
    change(other, expires_at=ago(HOUR))
    change(partial, **fields)
    problems = [problem.format(partial)]
    assert purge_with_problems() == {**NOTHING, "expired": 1, "bytes": 10, "skipped": 1, "problems": problems}
    assert UploadSession.objects.get().uuid == partial


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"storage": "nowhere"}, "The storage or backend of upload {} is gone."),
        ({"receiver": "nowhere"}, 'FINEUPLOADER_RECEIVERS has no receiver "nowhere".'),
    ],
    ids=["storage", "receiver"],
)
def test_finished_upload_whose_storage_or_receiver_is_gone_is_left_and_reported(
    finished: uuid.UUID, fields: dict[str, str], problem: str
) -> None:
    change(finished, **fields)
    assert purge_with_problems() == {**NOTHING, "skipped": 1, "problems": [problem.format(finished)]}
    assert UploadChunk.objects.count() == 1


def test_receiver_whose_own_storage_is_gone_is_reported(
    page: Page, partial: uuid.UUID, options: Options, settings: Any
) -> None:
    """Guards against a traceback in cron's mail, and other receivers' uploads that are never purged."""
    options(STORAGE="nowhere")
    change(partial, storage="nowhere")
    video = uuid.uuid4()
    Page(page.caller.owner, "videos").chunk(video, 0)
    change(video, expires_at=ago(HOUR))
    found = purge_with_problems("--orphans")
    assert (found["expired"], found["skipped"]) == (1, 2)


def test_same_problem_is_told_once(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        number = uuid.uuid4()
        page.chunk(number, 0)
        change(number, expires_at=ago(HOUR), receiver="nowhere")
    found = purge_with_problems()
    assert (found["skipped"], len(found["problems"])) == (3, 1)


def test_signal_s_receiver_that_raises_does_not_stop_the_purge(page: Page, partial: uuid.UUID) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the mail server is away")

    upload_expired.connect(fail)
    try:
        assert purge() == {**NOTHING, "expired": 1, "bytes": 20}
    finally:
        upload_expired.disconnect(fail)


# Two at once.


@pytest.mark.django_db(transaction=True)
def test_two_purges_at_once_share_the_work(page: Page, heard: list[tuple[str, str]]) -> None:
    for _ in range(8):
        number = uuid.uuid4()
        page.chunk(number, 0)
        change(number, expires_at=ago(HOUR))
    heard.clear()
    start = threading.Barrier(2)
    summaries: list[dict[str, Any]] = []

    def run() -> None:
        start.wait()
        try:
            summaries.append(purge(batch_size=2))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [summary["skipped"] for summary in summaries] == [0, 0]
    assert sum(summary["expired"] for summary in summaries) == 8
    assert [name for name, _ in heard] == ["upload_expired"] * 8
    assert (kept_bytes(), UploadSession.objects.count(), UploadTombstone.objects.count()) == ({}, 0, 8)
