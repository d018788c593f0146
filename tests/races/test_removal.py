"""Deleting, purging, claiming and signing in while everything else goes on: what is live stays, what went is gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flowtools import CSRF, pattern
from livesite.server import fetch
from livesite.visitor import PART, Visitor, whole
from races.purging import purging
from races.tidiness import leftovers
from races.together import send_together, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakeuploader import ClientUpload, FakeUploader, WireRequest, WireResponse

UPLOADS, PEOPLE = 200, 8
ENOUGH = 8

every_backend = pytest.mark.parametrize("alias", ["uploads", "objects"])


def delete_request(page: FakeUploader, upload: ClientUpload, alias: str) -> WireRequest:
    """The delete that the page of this receiver sends."""
    return page.delete_request(upload.uuid, endpoint=f"/{alias}")


def told(answers: list[WireResponse]) -> set[Any]:
    """What the answers say, as far as programs read them."""
    return {(answer.status, answer.json().get("code")) for answer in answers}


@every_backend
def test_deletes_against_chunks_and_completion_leave_a_whole_file_or_nothing(
    visitor: Visitor, alias: str, rounds: int
) -> None:
    page = visitor.open_page(alias, delete_headers=CSRF)
    for _ in range(2 * rounds):
        upload = page.add(pattern(6 * PART))
        requests = [page.chunk_request(upload, index) for index in range(6)]
        deletes = [delete_request(page, upload, alias)] * 3
        answers = send_together(visitor, [*requests, *deletes, page.done_request(upload)])
        assert {answer.status for answer in answers} <= {200, 409, 503}
        assert visitor.kept().get(upload.uuid, ("receiving", None, 0))[:2] in [("receiving", None), whole(upload)[:2]]
        again = page.add(pattern(6 * PART), uuid=upload.uuid)
        assert page.upload(again, attempts=ENOUGH).success
        assert visitor.kept()[upload.uuid][:2] == whole(upload)[:2]
        assert visitor.transport.send(deletes[0]).status == 200
        assert upload.uuid not in visitor.kept()


@every_backend
def test_deletes_of_a_finished_file_leave_nothing_and_its_uuid_can_be_used_again(visitor: Visitor, alias: str) -> None:
    page = visitor.open_page(alias, delete_headers=CSRF)
    upload = page.add(pattern(2 * PART))
    assert page.upload(upload).success
    again = page.add(b"y" * 2 * PART, uuid=upload.uuid)
    answers = send_together(visitor, [delete_request(page, upload, alias)] * 6)
    assert told(answers) == {(200, None)}
    assert visitor.kept() == {}
    assert page.upload(again).success
    assert visitor.kept() == {upload.uuid: (*whole(again)[:2], 2)}


def test_purges_without_a_rest_beside_two_hundred_uploads_take_nothing_that_is_live(
    newcomer: Callable[[], Visitor], visitor: Visitor, rounds: int
) -> None:
    """No request fails for good, and every file arrives once; in the end nothing but files is left."""

    def upload_some(number: int) -> tuple[Visitor, dict[str, Any]]:
        person = newcomer()
        page = person.open_page("objects" if number % 2 else "uploads", concurrent=True)
        uploads = [page.add(pattern(PART * (1 + size % 4) + size)) for size in range(rounds * UPLOADS // PEOPLE)]
        assert [page.upload(upload, attempts=ENOUGH).success for upload in uploads] == [True] * len(uploads)
        return person, {upload.uuid: whole(upload) for upload in uploads}

    with purging(visitor.site), ThreadPoolExecutor(PEOPLE) as pool:
        people = list(pool.map(upload_some, range(PEOPLE)))
    for person, expected in people:
        assert person.kept() == expected


def test_purge_of_one_upload_against_its_own_chunks(visitor: Visitor, rounds: int) -> None:
    """The row says it is old while its chunks arrive: it is purged or it goes on, and the page ends with its file."""
    page = visitor.open_page()
    for _ in range(2 * rounds):
        upload = page.add(pattern(8 * PART))
        assert page.send_chunk(upload, 0).success
        upload.remaining.remove(0)
        with ThreadPoolExecutor(1) as pool:
            purge = pool.submit(visitor.site.purge, upload.uuid)
            assert page.upload(upload, attempts=ENOUGH).success
            purge.result()
        assert visitor.kept()[upload.uuid] == whole(upload)


def test_claim_against_the_purge_of_unclaimed_files_is_won_by_one_of_them(visitor: Visitor, rounds: int) -> None:
    """A claim that was granted keeps its file for ever; after one that was not there is neither row nor file."""
    page = visitor.open_page("fleeting", chunking=False)
    claimed = {}
    with purging(visitor.site):
        for _ in range(30 * rounds):
            upload = page.add(pattern(PART))
            assert page.upload(upload, attempts=ENOUGH).success
            if fetch(f"{visitor.site.url}/control/claim", uuid=upload.uuid)["claimed"]:
                claimed[upload.uuid] = whole(upload)
    assert visitor.kept() == claimed


def test_login_while_chunks_arrive_ends_with_one_file_of_the_user(newcomer: Callable[[], Visitor]) -> None:
    visitor = newcomer()
    del visitor.transport.cookies["sessionid"]
    page = visitor.open_page("anonymous", concurrent=True, session_endpoint="/anonymous/session")
    assert page.send(page.session_request()).json() == []
    upload = page.add(pattern(40 * PART))
    first_stored = threading.Event()

    def upload_it() -> bool:
        success = page.send_chunk(upload, 0).success
        first_stored.set()
        upload.remaining.remove(0)
        page.upload(upload)
        return success

    def sign_in() -> bool:
        assert first_stored.wait(60)
        return visitor.sign_in()

    assert together([upload_it, sign_in]) == [True, True]
    # A chunk with the cookie of the session that was is refused for good, and the person presses "retry".
    assert page.upload(upload, attempts=ENOUGH).success
    assert visitor.kept() == {upload.uuid: whole(upload)}
    visitor.abandon()
    assert leftovers(visitor.site) == {}
