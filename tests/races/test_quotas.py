"""Limits that parallel requests run against: never passed, not even for a moment."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fineuploader_receiver.protocol.body import DRAIN_BYTES
from flowtools import CSRF, RAW, pattern
from livesite.storages import SmallDisk
from livesite.visitor import Visitor
from races.together import send_together

if TYPE_CHECKING:
    from pathlib import Path

    from fakeuploader import ClientUpload, FakeUploader

MANY = 50
MIB = 2**20
SOCKETS = 16 * MIB
"""What the kernel may hold of a connection that nobody reads."""


@pytest.mark.parametrize(("alias", "size", "most"), [("few", 100, 5), ("narrow", 300, 3), ("narrow", 500, 2)])
def test_fifty_uploads_at_once_never_pass_a_quota(visitor: Visitor, alias: str, size: int, most: int) -> None:
    page = visitor.open_page(alias)
    admitted = begin_many(visitor, page, size)
    assert 1 <= len(admitted) <= most
    assert set(visitor.kept()) == {upload.uuid for upload in admitted}
    # What was refused finds room as soon as there is some, and not before.
    while len(visitor.kept()) < most:
        assert page.send_chunk(page.add(pattern(size)), 0).success
    assert not page.send_chunk(page.add(pattern(size)), 0).success
    assert page.upload(admitted[0], attempts=3).success
    assert page.send_chunk(page.add(pattern(size)), 0).success


def begin_many(visitor: Visitor, page: FakeUploader, size: int) -> list[ClientUpload]:
    """Send the first chunk of many uploads at once, and return the uploads that were admitted."""
    uploads = [page.add(pattern(size)) for _ in range(MANY)]
    answers = send_together(visitor, [page.chunk_request(upload, 0) for upload in uploads])
    assert {answer.status for answer in answers} <= {200, 413, 429, 503}
    return [upload for upload, answer in zip(uploads, answers, strict=True) if answer.status == 200]


def test_fifty_whole_files_at_once_never_leave_less_space_than_the_floor(visitor: Visitor) -> None:
    """Each of them would fit alone; what is acknowledged leaves the floor free."""
    page = visitor.open_page("cramped", chunking=False, delete_headers=CSRF)
    uploads = [page.add(pattern(1000)) for _ in range(MANY)]
    answers = send_together(visitor, [page.simple_request(upload) for upload in uploads])
    assert {answer.status for answer in answers} <= {200, 503, 507}
    room = (SmallDisk.SIZE - 1000) // 1000
    finished = [uuid for uuid, (state, _, _) in visitor.kept().items() if state == "complete"]
    assert len(finished) == sum(answer.status == 200 for answer in answers) <= room
    while len(finished) < room:
        upload = page.add(pattern(1000))
        assert page.upload(upload).success
        finished.append(upload.uuid)
    assert page.upload(page.add(pattern(1000))).response["code"] == "no_space"
    for uuid in finished:
        assert visitor.transport.send(page.delete_request(uuid, endpoint="/cramped")).status == 200


@pytest.mark.parametrize(
    ("size", "part", "status"), [(1000, 100, 200), (1000, 101, 413), (1001, 100, 413)], ids=["at", "chunk", "chunks"]
)
def test_fifty_chunks_at_once_are_held_to_the_limits_on_chunks(
    visitor: Visitor, size: int, part: int, status: int
) -> None:
    page = visitor.open_page("short", part_size=part)
    requests = [page.chunk_request(page.add(pattern(size)), 0) for _ in range(MANY)]
    assert {answer.status for answer in send_together(visitor, requests)} == {status}
    assert len(visitor.kept()) == (MANY if status == 200 else 0)


@pytest.mark.parametrize("excess", [0, 1])
def test_fifty_whole_files_at_once_are_held_to_the_limit_on_bytes(visitor: Visitor, excess: int) -> None:
    """Raw bodies, which declare nothing: only what has arrived can tell."""
    page = visitor.open_page("small", chunking=False, **RAW)
    requests = [page.simple_request(page.add(b"x" * (MIB + excess))) for _ in range(MANY)]
    answers = send_together(visitor, requests)
    assert {answer.status for answer in answers} == {413 if excess else 200}
    assert len(visitor.kept()) == (0 if excess else MANY)


def test_small_promise_and_large_body_stores_nothing(visitor: Visitor) -> None:
    page = visitor.open_page("small", chunking=False)
    upload = page.add(b"x" * 900)
    honest = page.simple_request(upload)
    answer = visitor.transport.send(honest.with_body(honest.body.replace(b"x" * 900, b"x" * 2 * MIB)))
    assert (answer.status, answer.json()["code"]) == (400, "size_mismatch")
    assert visitor.kept() == {}


def test_ten_gigabytes_against_a_limit_of_one_megabyte_are_cut_and_not_stored(visitor: Visitor) -> None:
    """What comes after the limit is read and dropped, within bounds, so that a browser can read the refusal."""
    page = visitor.open_page("small", chunking=False, **RAW)
    request = dataclasses.replace(page.simple_request(page.add(b"")), content_length=10 * 2**30)
    with Watched(visitor.site.media) as disk:
        under_way = visitor.transport.open(request)
        under_way.send()
        sent = 0
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012
            while sent < 10 * 2**30:
                under_way.connection.sendall(b"x" * MIB)
                sent += MIB
        under_way.abort()
    assert MIB < sent <= MIB + DRAIN_BYTES + SOCKETS
    assert disk.most <= MIB
    assert visitor.kept() == {}


class Watched:
    """How many bytes of partial files there were in a folder at most, while the block ran."""

    def __init__(self, media: Path) -> None:
        self.most = 0
        self._media = media
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Watched:
        self._watch = self._pool.submit(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.result()
        self._pool.shutdown()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for path in self._media.glob(".fineuploader/*/*"):
                try:
                    self.most = max(self.most, path.stat().st_size)
                except FileNotFoundError:
                    continue
