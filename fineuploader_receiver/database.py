"""What the three databases need said explicitly: one clock for all hosts, and retries where they refuse to wait."""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.utils import timezone

T = TypeVar("T")

RETRY_SECONDS = 20.0

# PostgreSQL: serialization failure, deadlock, lock timeout. MariaDB and MySQL: record changed, lock wait, deadlock.
_SQLSTATES = {"40001", "40P01", "55P03"}
_ERRNOS = {1020, 1205, 1213}


# In seconds since 1970: `Now()` is local time on MariaDB and UTC on SQLite, whatever USE_TZ says.
_CLOCKS = {
    "postgresql": "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP())::double precision",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "mysql": "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1E6)",
}


def clock(using: str) -> tuple[str, tuple[float, ...]]:
    """An SQL expression of the database's time, in seconds since 1970, with its parameters."""
    expression = _CLOCKS.get(connections[using].vendor)
    # A database we do not know takes part with the host's own clock.
    return (expression, ()) if expression else ("%s", (time.time(),))


def moment(seconds: float) -> datetime.datetime:
    """The point in time that `clock` means, in the form the model fields take under this USE_TZ."""
    aware = datetime.datetime.fromtimestamp(float(seconds), tz=datetime.timezone.utc)
    return aware if settings.USE_TZ else timezone.make_naive(aware, timezone.get_default_timezone())


def database_now(using: str) -> datetime.datetime:
    """Ask the database what time it is: one query, for the paths that read no row that could bring it along."""
    sql, params = clock(using)
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        (seconds,) = cursor.fetchone()
    return moment(seconds)


def in_transaction(using: str, work: Callable[[], T]) -> T:
    """Run `work` in one transaction, again from its start where the database reports a lock, a deadlock or a lost race.

    `work` must begin with a write: on SQLite a transaction that reads first fails at once when another one has
    written meanwhile. Inside a transaction that someone else began there is nothing to repeat, so the error goes up.
    """

    def run() -> T:
        with transaction.atomic(using=using):
            return work()

    return _repeated(using, run)


def in_statement(using: str, work: Callable[[], T]) -> T:
    """Like `in_transaction` where `work` is one statement: it is its own transaction, without BEGIN and COMMIT."""
    connection = connections[using]
    if connection.in_atomic_block or not connection.get_autocommit():
        return in_transaction(using, work)
    return _repeated(using, work)


def _repeated(using: str, work: Callable[[], T]) -> T:
    deadline = time.monotonic() + RETRY_SECONDS
    pause = 0.005
    while True:
        nested = connections[using].in_atomic_block
        try:
            return work()
        except OperationalError as error:
            if nested or not is_contention(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))
        pause = min(pause * 2, 0.5)


def is_contention(error: OperationalError) -> bool:
    """Whether the statement failed only because another transaction was in its way."""
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _SQLSTATES or getattr(cause, "pgcode", None) in _SQLSTATES:
        return True
    return (error.args[:1] and error.args[0] in _ERRNOS) or "is locked" in str(error)
