"""What a chunk costs, in counts that depend on no machine: statements, commits, and bytes written per byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.counting import LIMITS, Cost, cost_of
from fakeuploader import ClientUpload, FakeUploader
from flowtools import accepted, answered, chunker, finisher, pattern, uploader

pytestmark = pytest.mark.django_db(transaction=True)

AT_MOST = 1.02
"""Bytes written per byte uploaded, the database included."""


def send(page: FakeUploader, upload: ClientUpload, index: int) -> None:
    answer = answered(page.send(page.chunk_request(upload, index)))
    assert answer["success"] is True


def cost_of_the_chunk_in_the_middle(page: FakeUploader) -> Cost:
    """Of 50 chunks, the 25th."""
    upload = page.add(pattern(500))
    for index in range(24):
        send(page, upload, index)
    with CaptureQueriesContext(connection) as queries:
        send(page, upload, 24)
    return cost_of(query["sql"] for query in queries.captured_queries)


def test_chunk_of_a_page_that_announces_its_success_request_takes_4_statements_and_2_commits(client: Client) -> None:
    page = finisher(client, params={"qqdonerequest": "true"})
    assert cost_of_the_chunk_in_the_middle(page) == LIMITS["with the success request"]


def test_chunk_of_a_page_that_announces_nothing_takes_5_statements_and_2_commits(client: Client) -> None:
    assert cost_of_the_chunk_in_the_middle(chunker(client)) == LIMITS["without"]


def written() -> int:
    """The bytes that this process has handed to the system, in files and to database servers."""
    counters = Path("/proc/self/io").read_text()
    found = re.search(r"^wchar: (\d+)$", counters, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("size", [2_000_000, 8 * 2**20])
def test_chunks_are_written_once_with_all_that_the_database_writes(client: Client, size: int) -> None:
    page = finisher(client, part_size=size, params={"qqdonerequest": "true"})
    upload = page.add(pattern(6 * size))
    send(page, upload, 0)
    before = written()
    for index in range(1, 5):
        send(page, upload, index)
    assert written() - before <= AT_MOST * 4 * size


def test_file_in_one_piece_is_written_once(client: Client) -> None:
    page = uploader(client)
    upload = page.add(pattern(20_000_000))
    before = written()
    assert answered(page.send(page.simple_request(upload))) == {"status": 200, **accepted(upload.uuid, complete=True)}
    assert written() - before <= AT_MOST * 20_000_000
