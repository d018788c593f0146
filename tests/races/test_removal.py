"""Deleting and purging while everything else goes on: what is live stays, and nothing of what went is left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from flowtools import pattern
from livesite.visitor import PART, Visitor, staged, whole
from races.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UPLOADS = 200

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


@every_backend
def test_deletes_against_chunks_leave_a_whole_file_or_nothing(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias)
    for _ in range(5):
        upload = page.add(pattern(6 * PART))
        requests = [page.chunk_request(upload, index) for index in range(6)]
        deletes = [page.delete_request(upload.uuid)] * 3
        answers = together(
            [lambda request=request: visitor.transport.send(request) for request in (*requests, *deletes)]  # type: ignore[misc]
        )
        assert {answer.status for answer in answers} <= {200, 409, 503}
        assert visitor.kept().get(upload.uuid, ("receiving", None, 0)) in [("receiving", None, 0), whole(upload)]
        again = page.add(pattern(6 * PART), uuid=upload.uuid)
        assert page.upload(again, attempts=5).success
        assert visitor.kept()[upload.uuid] in [whole(upload), (*whole(upload)[:2], 2)]
        for _ in range(3):
            visitor.transport.send(deletes[0])
        assert upload.uuid not in visitor.kept()
    assert staged(visitor.site) == []


@pytest.fixture
def purging(visitor: Visitor) -> Iterator[None]:
    """Two purges that never rest."""
    over = threading.Event()

    def purge() -> None:
        while not over.is_set():
            visitor.site.purge(str(uuid4()))

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(purge) for _ in range(2)]
        yield
        over.set()
        for run in runs:
            run.result()


@pytest.mark.usefixtures("purging")
def test_purges_without_a_rest_beside_two_hundred_uploads(newcomer: Callable[[], Visitor]) -> None:
    """Every file arrives, and a purge neither fails nor takes what is live."""

    def upload_some(number: int) -> None:
        visitor = newcomer()
        page = visitor.open_page("objects" if number % 2 else "uploads", concurrent=True)
        for size in range(UPLOADS // 8):
            upload = page.add(pattern(PART * (1 + size % 4) + size))
            assert page.upload(upload, attempts=5).success
            assert visitor.kept()[upload.uuid] == whole(upload)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(upload_some, range(8)))


def test_purge_of_one_upload_against_its_own_chunks(visitor: Visitor) -> None:
    """The row says it is old while its chunks arrive: it is purged or it goes on, and the page ends with its file."""
    page = visitor.open_page()
    for _ in range(5):
        upload = page.add(pattern(8 * PART))
        assert page.send_chunk(upload, 0).success
        upload.remaining.remove(0)
        with ThreadPoolExecutor(1) as pool:
            purge = pool.submit(visitor.site.purge, upload.uuid)
            assert page.upload(upload, attempts=6).success
            purge.result()
        assert visitor.kept()[upload.uuid] == whole(upload)
    assert staged(visitor.site) == []
