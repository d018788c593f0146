"""Who completes an upload: one of those who ask, and all of them get the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowtools import accepted, pattern
from livesite.visitor import PART, Visitor, whole
from races.together import send_together, together

if TYPE_CHECKING:
    from fakeuploader import WireRequest

MANY = 20

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


@pytest.mark.parametrize("alias", ["faltering", "faltering_objects"])
def test_twenty_success_requests_at_once_and_some_after_them_make_one_file(visitor: Visitor, alias: str) -> None:
    """The hook of the last chunk's own completion fails, so that it is the success requests that complete."""
    page = visitor.open_page(alias)
    upload = page.add(pattern(5 * PART))
    statuses = [page.send(page.chunk_request(upload, index)).status for index in range(5)]
    assert statuses == [200] * 4 + [500]
    request = page.done_request(upload)
    at_once = send_together(visitor, [request] * MANY)
    later = [visitor.transport.send(request) for _ in range(5)]
    answers = {(answer.status, answer.body) for answer in (*at_once, *later)}
    assert answers == {(200, later[0].body)}
    assert later[0].json() == accepted(upload.uuid, complete=True)
    assert visitor.kept() == {upload.uuid: whole(upload)}


@every_backend
def test_twenty_success_requests_that_meet_the_last_chunk_make_one_file(visitor: Visitor, alias: str) -> None:
    """One that comes too early may reset the upload, and then the page sends it again."""
    page = visitor.open_page(alias)
    upload = page.add(pattern(3 * PART))
    for index in (0, 1):
        assert page.send_chunk(upload, index).success
    requests = [page.chunk_request(upload, 2), *[page.done_request(upload)] * MANY]
    answers = send_together(visitor, requests)
    assert {answer.status for answer in answers} <= {200, 409, 503}
    assert all(answer.json().get("reset") for answer in answers if answer.status == 409)
    upload.restart()
    assert page.upload(upload, attempts=5).success
    assert visitor.kept() == {upload.uuid: whole(upload)}


@every_backend
def test_last_chunk_twenty_times_at_once_makes_one_file(visitor: Visitor, alias: str, rounds: int) -> None:
    page = visitor.open_page(alias)
    for _ in range(rounds):
        upload = page.add(pattern(3 * PART))
        for index in (0, 2):
            assert page.send_chunk(upload, index).success
        request = page.chunk_request(upload, 1)
        answers = send_together(visitor, [request] * MANY)
        assert {answer.status for answer in answers} <= {200, 503}
        assert page.send(request).json() == accepted(upload.uuid, complete=True)
        assert visitor.kept()[upload.uuid] == whole(upload)


@every_backend
def test_all_chunks_at_once_make_one_file(visitor: Visitor, alias: str, rounds: int) -> None:
    """Every request may be the one that sees the last chunk arrive."""
    page = visitor.open_page(alias)
    for _ in range(3 * rounds):
        upload = page.add(pattern(12 * PART))
        requests: list[WireRequest] = [page.chunk_request(upload, index) for index in range(12)]
        answers = send_together(visitor, requests)
        assert {answer.status for answer in answers} <= {200, 503}
        assert page.upload(upload, attempts=3).success
        assert visitor.kept()[upload.uuid] == whole(upload)


@every_backend
def test_simple_upload_ten_times_at_once_makes_one_file(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias, chunking=False)
    upload = page.add(pattern(3 * PART))
    request = page.simple_request(upload)
    answers = send_together(visitor, [request] * 10)
    assert {answer.status for answer in answers} <= {200, 503}
    assert page.send(request).json() == accepted(upload.uuid, complete=True)
    assert visitor.kept() == {upload.uuid: whole(upload)}


def test_two_tabs_that_resume_one_file_make_one_file(visitor: Visitor) -> None:
    page = visitor.open_page(concurrent=True)
    upload = page.add(pattern(20 * PART))
    assert page.send_chunk(upload, 0).success
    tabs = [page.resume(upload, remaining=range(1, 20)) for _ in range(2)]
    outcomes = together([lambda tab=tab: page.upload(tab, attempts=5) for tab in tabs])  # type: ignore[misc]
    assert [outcome.success for outcome in outcomes] == [True, True]
    assert visitor.kept() == {upload.uuid: whole(upload)}
