"""What a million sessions ask of PostgreSQL: sizes, the queries of one chunk, and a purge, measured.

    cd tests && TEST_DATABASE=postgresql python -m benchmarks.million [--sessions 1000000] [--expired 100000]

Loads a database of its own, prints a table, and drops it. Times are of this machine; sizes, plans and rows are not.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

OWNERS = 20_000
CHUNKS_OF_EXPIRED = 10
SAMPLES = 200

SESSIONS = """
INSERT INTO fineuploader_receiver_uploadsession (
    uuid, owner_key, receiver, state, filename, content_type, params, total_size, total_chunks, chunk_size,
    received_bytes, received_chunks, reserved_bytes, file, storage, digest, published, leftover, backend, staging_root,
    staged_name, staged_handle, boot_id, first_index, highest_index, out_of_order, lease_token, created_at, updated_at,
    expires_at, completed_at, claimed_at)
SELECT gen_random_uuid(), 'user:' || (n %% {owners}), 'default', %(state)s, 'holiday picture ' || n || '.jpg',
    'image/jpeg',
    '{{"album": "summer"}}', 50000000, 10, 5242880, 50000000, %(chunks)s, 50000000,
    %(file)s, 'default', '', %(done)s, '', 'fineuploader_receiver.backends.filesystem.FileSystemBackend',
    '/srv/site/media/.fineuploader', %(staged)s, '', '', 0, 9, false, '', now(), now(),
    %(expires)s, %(completed)s, %(completed)s
FROM generate_series(1, %(count)s) AS n
"""

CHUNKS = """
INSERT INTO fineuploader_receiver_uploadchunk (session_id, index, "offset", size, stored, token, key, claimed_at)
SELECT s.id, i, i * 5242880::bigint, 5242880, true, md5(random()::text), '', now()
FROM fineuploader_receiver_uploadsession AS s, generate_series(0, {chunks} - 1) AS i WHERE s.state = 'receiving'
"""


def main() -> None:
    """Load, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="finished uploads")
    parser.add_argument("--expired", type=int, default=100_000, help="unfinished ones, all of them due for the purge")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    os.environ.setdefault("TEST_DATABASE", "postgresql")
    with empty_database():
        load(options.sessions, options.expired)
        report("sizes", sizes())
        report("one chunk", measure_chunk())
        report("other queries, median ms", measure_queries())
        report("purge", measure_purge(options.expired))


@contextmanager
def empty_database() -> Iterator[None]:
    """Give the run a database of its own."""
    import django
    from django.db import connection

    django.setup()
    if connection.vendor != "postgresql":
        sys.exit("This measures PostgreSQL: TEST_DATABASE=postgresql")
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(str(connection.settings_dict["NAME"]), verbosity=0)


def load(sessions: int, expired: int) -> None:
    """Fill the tables inside the database: finished and claimed uploads, and unfinished ones that are due."""
    finished = {"state": "complete", "chunks": 10, "done": True, "staged": "", "count": sessions}
    unfinished = {"state": "receiving", "chunks": 9, "done": False, "count": expired}
    name = "'uploads/2026/01/01/' || md5(n::text) || '/holiday_picture.jpg'"
    insert(finished, file=name, expires="NULL", completed="now()")
    insert(unfinished, file="''", staged="md5(n::text)", expires="now() - interval '1 hour'", completed="NULL")
    execute(CHUNKS.format(chunks=CHUNKS_OF_EXPIRED))
    execute("VACUUM ANALYZE")


def insert(values: dict[str, Any], **expressions: str) -> None:
    """Insert rows; ``expressions`` are SQL, ``values`` are not."""
    sql = SESSIONS.format(owners=OWNERS)
    for name, expression in expressions.items():
        sql = sql.replace(f"%({name})s", expression.replace("%", "%%"))
    execute(sql, values)


def execute(sql: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def sizes() -> dict[str, str]:
    """Return bytes per row and index, of the tables that grow."""
    found = {}
    for table in ("uploadsession", "uploadchunk"):
        name = f"fineuploader_receiver_{table}"
        ((rows,),) = execute(f"SELECT count(*) FROM {name}")
        ((heap, indexes),) = execute(f"SELECT pg_table_size('{name}'), pg_indexes_size('{name}')")
        found[table] = f"{rows} rows, {heap / rows:.0f} bytes a row, {indexes / rows:.0f} in indexes"
        listed = execute(
            f"SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = '{name}'"
            " ORDER BY 2 DESC"
        )
        found |= {f"  {index}": f"{size / 2**20:.0f} MiB" for index, size in listed}
    return found


def measure_chunk() -> dict[str, str]:
    """Send chunks of one new upload through the rules, and count what each cost the database."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    page, number, data = make_page()
    page.chunk(number, 0, data)
    ((before,),) = execute("SELECT pg_current_wal_insert_lsn()")
    started = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        page.chunks(number, *range(1, SAMPLES), data=data)
    elapsed = (time.perf_counter() - started) / (SAMPLES - 1)
    ((wal,),) = execute(f"SELECT pg_current_wal_insert_lsn() - '{before}'::pg_lsn")
    statements = [query["sql"] for query in queries if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    return {
        "statements": f"{len(statements) / (SAMPLES - 1):.2f}",
        "bytes of write-ahead log": f"{float(wal) / (SAMPLES - 1):.0f}",
        "milliseconds, all of it": f"{elapsed * 1000:.2f}",
    }


def make_page() -> tuple[Any, uuid.UUID, bytes]:
    """Return the page of a new user, on a storage in memory, and an upload of many small chunks."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    from fineuploader_receiver.owners import owner_of
    from unittools import PART, Page

    settings.STORAGES["default"] = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    user = get_user_model().objects.create_user("anna")
    return Page(owner_of(user)), uuid.uuid4(), b"x" * (PART * SAMPLES * 2)


def measure_queries() -> dict[str, str]:
    """Time the queries that look at many rows or are asked often."""
    from fineuploader_receiver.lifecycle import list_uploads, status
    from fineuploader_receiver.models import UploadSession
    from fineuploader_receiver.owners import Caller, Owner
    from fineuploader_receiver.receivers import get_receiver

    receiver, caller = get_receiver("default"), Caller(Owner("user:7"), None)  # type: ignore[arg-type]
    UploadSession.objects.filter(owner_key="user:7").update(claimed_at=None)
    known = UploadSession.objects.filter(owner_key="user:7").values_list("uuid", flat=True)[0]
    return {
        "status of one upload": median(lambda: status(receiver, caller, known)),
        "initial list of one owner": median(lambda: list_uploads(receiver, caller)),
    }


def median(call: Callable[[], Any]) -> str:
    """Return the median time of a call."""
    times = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return f"{statistics.median(times) * 1000:.2f}"


def measure_purge(expired: int) -> dict[str, str]:
    """Run the purge over all that is due, in its own process's memory."""
    import resource

    from fineuploader_receiver.lifecycle.purge import Purge

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks: list[float] = [time.perf_counter()]
    purge = Purge(progress=lambda count: marks.append(time.perf_counter()))
    purge.expired()
    elapsed = marks[-1] - marks[0]
    batches = [later - sooner for sooner, later in itertools.pairwise(marks)]
    tenth = max(1, len(batches) // 10)
    return {
        "removed": f"{purge.summary.expired} of {expired}",
        "sessions a second": f"{purge.summary.expired / elapsed:.0f}",
        "last tenth against first": f"{sum(batches[-tenth:]) / sum(batches[:tenth]):.2f}",
        "growth of memory, KiB": str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before),
    }


def report(title: str, lines: dict[str, str]) -> None:
    """Print one part of the table."""
    sys.stdout.write(f"\n{title}\n" + "".join(f"  {name:40} {value}\n" for name, value in lines.items()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
