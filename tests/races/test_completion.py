"""Who completes an upload: one of those who ask, and all of them get the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowtools import accepted, pattern
from livesite.visitor import PART, Visitor, whole
from races.together import together

if TYPE_CHECKING:
    from fakeuploader import WireRequest

MANY = 20

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


@pytest.mark.parametrize("alias", ["faltering", "faltering_objects"])
def test_twenty_success_requests_at_once_and_some_after_them_make_one_file(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias)
    upload = page.add(pattern(5 * PART))
    statuses = [page.send(page.chunk_request(upload, index)).status for index in range(5)]
    assert statuses == [200] * 4 + [500]
    request = page.done_request(upload)
    at_once = together([lambda: visitor.transport.send(request)] * MANY)
    later = [visitor.transport.send(request) for _ in range(5)]
    answers = {(answer.status, answer.body) for answer in (*at_once, *later)}
    assert {status for status, _ in answers} == {200}
    assert len(answers) == 1
    assert later[0].json() == accepted(upload.uuid, complete=True)
    assert visitor.kept() == {upload.uuid: whole(upload)}


@every_backend
def test_last_chunk_twenty_times_at_once_makes_one_file(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias)
    upload = page.add(pattern(3 * PART))
    for index in (0, 2):
        assert page.send_chunk(upload, index).success
    request = page.chunk_request(upload, 1)
    answers = together([lambda: visitor.transport.send(request)] * MANY)
    assert {answer.status for answer in answers} <= {200, 503}
    assert page.send(request).json() == accepted(upload.uuid, complete=True)
    assert visitor.kept() == {upload.uuid: whole(upload)}


@every_backend
def test_all_chunks_at_once_make_one_file(visitor: Visitor, alias: str) -> None:
    """Every request may be the one that sees the last chunk arrive."""
    page = visitor.open_page(alias)
    for _ in range(5):
        upload = page.add(pattern(12 * PART))
        requests: list[WireRequest] = [page.chunk_request(upload, index) for index in range(12)]
        answers = together([lambda request=request: visitor.transport.send(request) for request in requests])  # type: ignore[misc]
        assert {answer.status for answer in answers} == {200}
        assert any(answer.json()["complete"] for answer in answers)
        assert visitor.kept()[upload.uuid] == whole(upload)


@every_backend
def test_simple_upload_ten_times_at_once_makes_one_file(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias, chunking=False)
    upload = page.add(pattern(3 * PART))
    request = page.simple_request(upload)
    answers = together([lambda: visitor.transport.send(request)] * 10)
    assert {answer.status for answer in answers} <= {200, 503}
    assert page.send(request).json() == accepted(upload.uuid, complete=True)
    assert visitor.kept() == {upload.uuid: whole(upload)}
