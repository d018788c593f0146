"""Limits that parallel requests run against: never passed, not even for a moment."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from flowtools import pattern
from livesite.visitor import Visitor, staged
from races.together import together

if TYPE_CHECKING:
    from fakeuploader import ClientUpload, FakeUploader

MANY = 50
MIB = 2**20
DRAIN = 64 * MIB
SOCKETS = 16 * MIB
"""What the kernel may hold of a connection that nobody reads."""


def begin_many(visitor: Visitor, page: FakeUploader, size: int) -> list[ClientUpload]:
    """Send the first chunk of many uploads at once, and return the uploads that were admitted."""
    uploads = [page.add(pattern(size)) for _ in range(MANY)]
    requests = [page.chunk_request(upload, 0) for upload in uploads]
    answers = together([lambda request=request: visitor.transport.send(request) for request in requests])  # type: ignore[misc]
    assert {answer.status for answer in answers} <= {200, 413, 429, 503}
    return [upload for upload, answer in zip(uploads, answers, strict=True) if answer.status == 200]


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
    assert page.upload(admitted[0], attempts=2).success
    assert page.send_chunk(page.add(pattern(size)), 0).success
    for uuid in visitor.kept():
        assert page.delete(uuid).success


def test_body_of_ten_gigabytes_against_a_limit_of_a_thousand_bytes_is_cut(visitor: Visitor) -> None:
    page = visitor.open_page("limited", params_in_body=False, force_multipart=False, chunking=False)
    request = page.simple_request(page.add(b"x", name="a.txt"))
    under_way = visitor.transport.open(dataclasses.replace(request, content_length=10 * 2**30, body=b""))
    sent = 0
    deadline = time.monotonic() + 60
    try:
        under_way.send()
        while time.monotonic() < deadline:
            under_way.connection.sendall(b"x" * MIB)
            sent += MIB
    except OSError:
        pass
    under_way.connection.close()
    assert time.monotonic() < deadline
    assert sent <= DRAIN + SOCKETS
    assert (visitor.kept(), staged(visitor.site)) == ({}, [])


def test_small_promise_and_large_body_stores_nothing(visitor: Visitor) -> None:
    page = visitor.open_page("limited", chunking=False)
    upload = page.add(b"x" * 900, name="a.txt")
    lie = page.simple_request(upload)
    answer = visitor.transport.send(lie.with_body(lie.body.replace(b"x" * 900, b"x" * 5000)))
    assert (answer.status, answer.json()["code"]) == (400, "size_mismatch")
    assert (visitor.kept(), staged(visitor.site)) == ({}, [])
