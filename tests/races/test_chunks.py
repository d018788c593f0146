"""Two attempts at one chunk: one of them counts, whole, and the other can do no harm however late it is."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakeuploader import BrowserFile
from flowtools import CSRF, accepted
from livesite.visitor import Visitor, whole
from races.tidiness import open_transactions
from races.together import send_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fakeuploader import ClientUpload, FakeUploader, OpenRequest, WireRequest

BIG = 1_500_000
"""Half of it is more than a socket and a server take in one piece."""

PATIENCE_SECONDS = 60

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


def sibling(page: FakeUploader, upload: ClientUpload, data: bytes) -> ClientUpload:
    """The same upload with other bytes in it, as a page that read another file would send it."""
    return page.add(BrowserFile(data, "file.bin"), uuid=upload.uuid)


@every_backend
def test_of_two_bodies_for_one_chunk_one_counts_and_never_a_mixture(visitor: Visitor, alias: str, rounds: int) -> None:
    page = visitor.open_page(alias, part_size=BIG)
    for _ in range(3 * rounds):
        first = page.add(b"1" * BIG + b"!")
        second = sibling(page, first, b"2" * BIG + b"!")
        requests = [page.chunk_request(upload, 0) for upload in (first, second, first, second)]
        answers = send_together(visitor, requests)
        assert {answer.status for answer in answers} <= {200, 503}
        assert 200 in {answer.status for answer in answers}
        answer = page.send(page.chunk_request(first, 1))
        assert answer.json() == accepted(first.uuid, complete=True)
        assert visitor.kept()[first.uuid] in (whole(first), whole(second))


@every_backend
def test_stalled_writer_that_goes_on_after_the_upload_is_complete_changes_nothing(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias, part_size=BIG)
    upload = page.add(b"right" * (BIG // 5) + b"!")
    late = stall(visitor, page.chunk_request(sibling(page, upload, b"wrong" * (BIG // 5) + b"!"), 0))
    assert page.upload(upload, attempts=3).success
    assert visitor.kept() == {upload.uuid: whole(upload)}
    late.send()
    assert late.answer().status in (200, 503)
    assert visitor.kept() == {upload.uuid: whole(upload)}


def test_writer_in_a_process_that_stood_still_changes_nothing(visitor: Visitor) -> None:
    """Guards against pages that a stopped process writes after the file was published."""
    page = visitor.open_page(part_size=BIG)
    upload = page.add(b"right" * (BIG // 5) + b"!")
    late = stall(visitor, page.chunk_request(sibling(page, upload, b"wrong" * (BIG // 5) + b"!"), 0))
    with stopped(writers(visitor.site.media)):
        late.send()
        assert page.upload(upload, attempts=5).success
        assert visitor.kept() == {upload.uuid: whole(upload)}
    with contextlib.suppress(OSError):
        assert late.answer().status in (200, 503)
    assert visitor.kept() == {upload.uuid: whole(upload)}


@every_backend
def test_silent_socket_keeps_nobody_waiting(visitor: Visitor, alias: str) -> None:
    """No transaction and no lock is held while a body does not come: its chunk and its upload go on without it."""
    page = visitor.open_page(alias, part_size=BIG, delete_headers=CSRF)
    upload = page.add(b"x" * (BIG + 1))
    silent = [stall(visitor, page.chunk_request(upload, index)) for index in (0, 0, 1)]
    wait_until(lambda: visitor.kept() == {upload.uuid: ("receiving", None, 0)})
    wait_until(lambda: open_transactions(visitor.site) == 0)
    answers = [page.send(page.chunk_request(upload, index)) for index in (0, 1)]
    assert [answer.json() for answer in answers] == [
        accepted(upload.uuid, complete=False),
        accepted(upload.uuid, complete=True),
    ]
    assert visitor.kept() == {upload.uuid: whole(upload)}
    assert visitor.transport.send(page.delete_request(upload.uuid, endpoint=f"/{alias}")).status == 200
    assert visitor.kept() == {}
    for request in silent:
        request.abort()


def stall(visitor: Visitor, request: WireRequest) -> OpenRequest:
    """Send a part of a request, and leave it there."""
    under_way = visitor.transport.open(request)
    under_way.send_all_but(BIG // 2)
    return under_way


def wait_until(true: Callable[[], bool]) -> None:
    """Return once it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def writers(media: Path) -> set[int]:
    """Wait until a process has written to a staged file, outside of any transaction, and return those that hold one."""
    wait_until(lambda: any(path.stat().st_size for path in media.glob(".fineuploader/*/data")))
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(f"{media}/.fineuploader/"):
                found.add(int(link.parts[2]))
    assert found
    return found


@contextlib.contextmanager
def stopped(processes: set[int]) -> Iterator[None]:
    """Let processes stand still for as long as the block runs."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
