"""One clock for all hosts, and transactions that are repeated where a database refuses to wait."""

from __future__ import annotations

import datetime
import itertools
import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fineuploader_receiver import database
from fineuploader_receiver.database import (
    clock,
    database_now,
    in_statement,
    in_transaction,
    is_contention,
    moment,
)
from fineuploader_receiver.lifecycle.statements import reload_upload
from fineuploader_receiver.models import UploadSession

UTC = datetime.timezone.utc


def locked(**attributes: Any) -> OperationalError:
    """An error as a driver's, with what the driver says of its cause."""
    error = OperationalError("the server was busy")
    error.__cause__ = type("DriverError", (Exception,), attributes)()
    return error


# The clock.


@pytest.mark.django_db
@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_clock_agrees_with_this_host_s_whatever_its_zone(settings: Any, use_tz: bool, zone: str) -> None:
    """Guards against clocks that are local here and UTC there: leases would last hours, or no time at all."""
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = zone
    now = database_now("default")
    assert timezone.is_aware(now) is use_tz
    assert abs((now - timezone.now() if use_tz else now - datetime.datetime.now()).total_seconds()) < 5


@pytest.mark.django_db
@pytest.mark.parametrize("use_tz", [True, False])
def test_clock_comes_along_with_a_row_and_goes_into_one(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = "Asia/Kathmandu"
    now = database_now("default")
    fields = {"owner_key": "user:1", "receiver": "default", "storage": "default"}
    upload = UploadSession.objects.create(uuid=uuid.uuid4(), expires_at=now, **fields)
    reloaded = reload_upload("default", upload.pk)
    assert reloaded is not None
    _, later = reloaded
    assert UploadSession.objects.get(pk=upload.pk).expires_at == now
    assert abs((later - now).total_seconds()) < 5
    rows = UploadSession.objects.filter(pk=upload.pk)
    assert rows.filter(expires_at__lte=later).exists()
    assert not rows.filter(expires_at__gt=later + datetime.timedelta(seconds=1)).exists()


@pytest.mark.django_db
def test_clock_goes_on_within_a_transaction() -> None:
    """Guards against a clock that stands still while a transaction waits, so that a lease is taken in the past."""
    first = database_now("default")
    deadline = time.monotonic() + 10
    while database_now("default") == first:
        assert time.monotonic() < deadline


@pytest.mark.django_db
def test_unknown_database_takes_part_with_the_host_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "of another kind")
    sql, (seconds,) = clock("default")
    assert sql == "%s"
    assert abs(seconds - time.time()) < 5


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_moment_under_either_use_tz(settings: Any, zone: str) -> None:
    settings.TIME_ZONE = zone
    settings.USE_TZ = True
    assert moment(86_400.25) == datetime.datetime(1970, 1, 2, 0, 0, 0, 250_000, UTC)
    settings.USE_TZ = False
    here = timezone.get_default_timezone()
    expected = datetime.datetime(1970, 1, 2, 0, 0, 0, 250_000, UTC).astimezone(here).replace(tzinfo=None)
    assert moment(86_400.25) == expected


# What is contention.


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (locked(sqlstate="40001"), True),
        (locked(sqlstate="40P01"), True),
        (locked(pgcode="55P03"), True),
        (locked(sqlstate="57014"), False),
        (locked(), False),
        (OperationalError(1213, "Deadlock found"), True),
        (OperationalError(1205, "Lock wait timeout exceeded"), True),
        (OperationalError(1020, "Record has changed since last read"), True),
        (OperationalError(2006, "Server has gone away"), False),
        (OperationalError("database is locked"), True),
        (OperationalError("database table is locked: x"), True),
        (OperationalError("no such table"), False),
        (OperationalError(), False),
    ],
    ids=repr,
)
def test_what_is_contention(error: OperationalError, expected: bool) -> None:
    assert bool(is_contention(error)) is expected


# Repeating.


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], str]]:
    """Work that writes, fails for so many times, and then succeeds."""
    calls: list[int] = []

    def work() -> str:
        calls.append(len(calls))
        Group.objects.create(name=f"attempt {len(calls)}")
        if len(calls) <= times:
            raise error
        return "done"

    return calls, work


@pytest.mark.django_db(transaction=True)
def test_work_is_repeated_from_its_start_until_it_succeeds() -> None:
    calls, work = failing(3, OperationalError("database is locked"))
    assert in_transaction("default", work) == "done"
    assert len(calls) == 4
    assert list(Group.objects.values_list("name", flat=True)) == ["attempt 4"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("no such table"), IntegrityError("twice"), ValueError()], ids=repr)
def test_work_that_fails_for_another_reason_is_not_repeated(error: Exception) -> None:
    calls, work = failing(1, error)
    with pytest.raises(type(error)):
        in_transaction("default", work)
    assert len(calls) == 1
    assert not Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_work_within_somebody_else_s_transaction_is_not_repeated() -> None:
    """What the other one did before would be lost, or done on top of an aborted transaction."""
    calls, work = failing(1, OperationalError("database is locked"))
    with pytest.raises(OperationalError), transaction.atomic():
        in_transaction("default", work)
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
def test_repeating_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that says a second more whenever it is asked, and is asked once per attempt."""
    seconds = itertools.count()
    pauses: list[float] = []
    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=pauses.append))
    calls, work = failing(10_000, OperationalError("database is locked"))
    with pytest.raises(OperationalError):
        in_transaction("default", work)
    assert len(calls) == database.RETRY_SECONDS + 1
    assert len(pauses) == len(calls) - 1
    assert all(0 <= pause <= 0.5 for pause in pauses)


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_moment_all_get_through() -> None:
    """Each adds one to a counter: a repeated, lost or failed transaction would show."""
    fields = {"owner_key": "user:1", "receiver": "default", "storage": "default"}
    pk = UploadSession.objects.create(uuid=uuid.uuid4(), **fields).pk
    threads, rounds = 4, 10
    start = threading.Barrier(threads)
    errors: list[Exception] = []

    def add() -> bool:
        row = UploadSession.objects.filter(pk=pk)
        row.update(updated_at=timezone.now())
        upload = row.get()
        return bool(row.update(received_bytes=upload.received_bytes + 1))

    def run() -> None:
        start.wait()
        try:
            for _ in range(rounds):
                assert in_transaction("default", add)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert UploadSession.objects.get(pk=pk).received_bytes == threads * rounds


@pytest.mark.django_db(transaction=True)
def test_statement_of_its_own_needs_no_begin_and_is_repeated_as_well() -> None:
    _, work = failing(0, OperationalError())
    with CaptureQueriesContext(connection) as queries:
        assert in_statement("default", work) == "done"
    assert [query["sql"].split()[0] for query in queries.captured_queries] == ["INSERT"]
    attempts = iter([OperationalError("database is locked"), None])

    def falter() -> None:
        if error := next(attempts):
            raise error

    in_statement("default", falter)
    assert next(attempts, "all were made") == "all were made"


@pytest.mark.django_db(transaction=True)
def test_statement_that_fails_within_somebody_else_s_transaction_leaves_that_usable() -> None:
    def twice() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('one'), ('one')")

    with transaction.atomic():
        with pytest.raises(IntegrityError):
            in_statement("default", twice)
        Group.objects.create(name="another")
    assert Group.objects.get().name == "another"
