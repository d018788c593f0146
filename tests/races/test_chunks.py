"""Two attempts at one chunk: one of them counts, whole, and the other can do no harm however late it is."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakeuploader import BrowserFile
from livesite.visitor import PART, Visitor, staged, whole
from races.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakeuploader import ClientUpload, FakeUploader, OpenRequest, WireRequest

BIG = 300_000
"""More than a socket and a server take in one piece."""

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


def sibling(page: FakeUploader, upload: ClientUpload, data: bytes) -> ClientUpload:
    """The same upload with other bytes in it, as a page that read another file would send it."""
    return page.add(BrowserFile(data, "file.bin"), uuid=upload.uuid)


@every_backend
def test_of_two_bodies_for_one_chunk_one_counts_and_never_a_mixture(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias, part_size=BIG)
    for _ in range(8):
        first = page.add(b"1" * (BIG + 1))
        second = sibling(page, first, b"2" * (BIG + 1))
        requests = [page.chunk_request(upload, 0) for upload in (first, second, first, second)]
        answers = together([lambda request=request: visitor.transport.send(request) for request in requests])  # type: ignore[misc]
        assert {answer.status for answer in answers} <= {200, 503}
        assert page.send_chunk(first, 1).success
        mixed = {data: visitor.kept()[first.uuid] for data in ("1", "2")}
        endings = [BrowserFile(number * BIG + b"1", "file.bin") for number in (b"1", b"2")]
        assert mixed["1"] in [whole(page.add(ending, uuid=first.uuid)) for ending in endings]


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
    assert staged(visitor.site) == []


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
    assert staged(visitor.site) == []


@every_backend
def test_silent_socket_keeps_nobody_waiting(visitor: Visitor, alias: str) -> None:
    """No transaction and no lock is held while a body does not come: its chunk and its upload go on without it."""
    page = visitor.open_page(alias, part_size=BIG)
    upload = page.add(b"x" * (BIG + 1))
    silent = [stall(visitor, page.chunk_request(upload, index)) for index in (0, 0, 1)]
    assert page.upload(upload, attempts=2).success
    assert page.delete(upload.uuid).success
    for request in silent:
        request.abort()
    assert visitor.kept() == {}
    assert staged(visitor.site) == []


def stall(visitor: Visitor, request: WireRequest) -> OpenRequest:
    """Send a request up to its last bytes and wait until the server is at it."""
    under_way = visitor.transport.open(request)
    under_way.send_all_but(PART)
    return under_way


def writers(media: Path) -> set[int]:
    """Wait until something was written to a staged file, with no transaction open, and return who holds one."""
    while not any(path.stat().st_size for path in media.glob(".fineuploader/*/data")):
        continue
    while True:
        found = set()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if str(link.readlink()).startswith(f"{media}/.fineuploader/"):
                    found.add(int(link.parts[2]))
        if found:
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
