"""What a chunk asks of the database, however long the file: in SQLite's own steps, which no machine changes."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from fakeuploader import ClientUpload, FakeUploader
from flowtools import answered, chunker, finisher, pattern

pytestmark = pytest.mark.django_db(transaction=True)


class Steps:
    """How many steps of its virtual machine SQLite takes within the block."""

    def __enter__(self) -> Steps:
        self.count = 0
        connection.ensure_connection()
        connection.connection.set_progress_handler(self._step, 1)
        return self

    def __exit__(self, *_: object) -> None:
        connection.connection.set_progress_handler(None, 1)

    def _step(self) -> int:
        self.count += 1
        return 0


def send(page: FakeUploader, upload: ClientUpload, index: int) -> int:
    """Send a chunk and return the database's steps."""
    with Steps() as steps:
        answer = answered(page.send(page.chunk_request(upload, index)))
    assert answer["success"] is True
    return steps.count


@pytest.mark.parametrize("announces", [False, True])
def test_late_chunk_is_no_more_work_for_the_database_than_an_early_one(client: Client, announces: bool) -> None:
    """Guards against looking through an upload's chunks with every chunk: long files would take ever longer."""
    page = finisher(client, params={"qqdonerequest": "true"}) if announces else chunker(client)
    upload = page.add(pattern(5000))
    steps = [send(page, upload, index) for index in range(450)]
    early, late = sorted(steps[10:20]), sorted(steps[440:])
    assert late[5] <= 1.1 * early[5]
