"""What is answered to the chunks of an upload that the server has lost, branch by branch.

A reset is right for a sequential page, hangs a concurrent one, and without it a page that sends no success request
would lose its file in silence. So the answer depends on the page: on what it says of itself, on what the site says of
its pages, and else on what was seen of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client

from fakeuploader import ClientUpload, DjangoTransport, FakeUploader, WireRequest
from fineuploader_receiver.models import UploadSession
from flowtools import accepted, answered, chunker, content, finisher, kept_bytes, pattern, purge, refused, row

RESET = refused(409, "upload_lost", reset=True)
MARKER = "qqdonerequest"

# Ways in which a site says, or does not say, whether its pages send the success request.
PAGES: dict[str, tuple[bool | None, dict[str, str]]] = {
    "option True": (True, {}),
    "option False": (False, {}),
    "option None": (None, {}),
    "marker true": (None, {MARKER: "true"}),
    "marker false": (None, {MARKER: "false"}),
    "marker true against the option": (False, {MARKER: "true"}),
    "marker false against the option": (True, {MARKER: "false"}),
}
WITH_DONE = ["option True", "marker true", "marker true against the option"]
WITHOUT_DONE = ["option False", "marker false", "marker false against the option"]

Pages = Callable[..., FakeUploader]
Loss = Callable[[FakeUploader, ClientUpload], None]


@pytest.fixture
def page_of(client: Client, settings: Any) -> Pages:
    """Make a page of one of the kinds above."""

    def make(kind: str, **changes: Any) -> FakeUploader:
        option, params = PAGES[kind]
        settings.FINEUPLOADER_RECEIVERS = {"default": {"DONE_REQUEST": option}, "videos": {}}
        build = finisher if kind in WITH_DONE else chunker
        return build(client, **{"params": params, **changes})

    return make


def start(page: FakeUploader, *indexes: int, size: int = 65) -> ClientUpload:
    upload = page.add(pattern(size))
    for index in indexes:
        assert page.send(page.chunk_request(upload, index)).status == 200
    return upload


def by_purge(page: FakeUploader, upload: ClientUpload) -> None:
    purge(upload.uuid)


def by_delete(page: FakeUploader, upload: ClientUpload) -> None:
    assert page.delete(upload.uuid).success


def by_restoring_the_database(page: FakeUploader, upload: ClientUpload) -> None:
    """A backup from before the upload: neither a row nor a tombstone."""
    UploadSession.objects.all().delete()


def assert_dropped(lose: Loss) -> None:
    """No row is left, and no byte but those that a restored database no longer names."""
    assert not UploadSession.objects.exists()
    assert len(kept_bytes()) == (1 if lose is by_restoring_the_database else 0)


REMEMBERED = [by_purge, by_delete]


def chunk(page: FakeUploader, upload: ClientUpload, index: int, *, resuming: bool = False) -> dict[str, Any]:
    return answered(page.send(page.chunk_request(upload, index, resuming=resuming)))


def good(upload: ClientUpload, *, complete: bool = False) -> dict[str, Any]:
    return {"status": 200, **accepted(upload.uuid, complete=complete)}


# Pages with a success request: accept, and let that request reset


@pytest.mark.parametrize("kind", WITH_DONE)
@pytest.mark.parametrize("lose", [*REMEMBERED, by_restoring_the_database])
@pytest.mark.parametrize("resuming", [False, True], ids=["going on", "resuming"])
def test_page_with_done_is_reset_by_done_and_not_by_chunks(
    page_of: Pages, kind: str, lose: Loss, resuming: bool
) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    assert [chunk(page, upload, 3, resuming=resuming)] == [good(upload)]
    assert [chunk(page, upload, index) for index in (4, 5, 6)] == [good(upload)] * 3
    assert answered(page.send(page.done_request(upload))) == RESET
    assert_dropped(lose)


@pytest.mark.parametrize("kind", WITH_DONE)
@pytest.mark.parametrize("lose", [*REMEMBERED, by_restoring_the_database])
@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_page_with_done_recovers_in_every_mode(page_of: Pages, kind: str, lose: Loss, concurrent: bool) -> None:
    page = page_of(kind, concurrent=concurrent)
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    upload = page.resume(upload, remaining=[3, 4, 5, 6])
    first = page.upload(upload)
    assert (first.success, first.reset, first.hangs) == (False, True, False)
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)


# Pages without one: reset at once


@pytest.mark.parametrize("kind", WITHOUT_DONE)
@pytest.mark.parametrize("lose", REMEMBERED)
@pytest.mark.parametrize("resuming", [False, True], ids=["going on", "resuming"])
def test_page_without_done_is_reset_at_once(page_of: Pages, kind: str, lose: Loss, resuming: bool) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    assert chunk(page, upload, 3, resuming=resuming) == RESET
    assert kept_bytes() == {}


@pytest.mark.parametrize("kind", WITHOUT_DONE)
def test_page_without_done_that_resumes_what_no_one_knows_is_reset_at_once(page_of: Pages, kind: str) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    by_restoring_the_database(page, upload)
    assert chunk(page, upload, 3, resuming=True) == RESET


@pytest.mark.parametrize("kind", [*WITHOUT_DONE, "option None"])
@pytest.mark.parametrize("lose", REMEMBERED)
def test_sequential_page_without_done_recovers(page_of: Pages, kind: str, lose: Loss) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    upload = page.resume(upload, remaining=[3, 4, 5, 6])
    first = page.upload(upload)
    assert (first.success, first.reset) == (False, True)
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)


# Nobody says: go by what was seen


@pytest.mark.parametrize("lose", REMEMBERED)
@pytest.mark.parametrize("resuming", [False, True], ids=["going on", "resuming"])
def test_vanished_upload_that_came_in_order_is_reset(page_of: Pages, lose: Loss, resuming: bool) -> None:
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    assert chunk(page, upload, 3, resuming=resuming) == RESET


@pytest.mark.parametrize("lose", REMEMBERED)
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0), (0, 2), (0, 1, 3, 2)], ids=str)
def test_vanished_upload_that_came_out_of_order_is_accepted(page_of: Pages, lose: Loss, order: Sequence[int]) -> None:
    """Regression: a reset throws inside a concurrent page, and where the chunk was alone in flight it hangs."""
    page = page_of("option None")
    upload = start(page, *order)
    lose(page, upload)
    assert chunk(page, upload, 4) == good(upload)


def test_two_different_indexes_with_qqresume_mark_a_concurrent_page(page_of: Pages) -> None:
    """A concurrent page marks its whole first batch, a sequential one a single request."""
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    by_restoring_the_database(page, upload)
    assert [chunk(page, upload, index, resuming=True) for index in (5, 4, 3)] == [good(upload)] * 3
    assert chunk(page, upload, 6) == good(upload)


def test_one_index_with_qqresume_is_reset_with_the_last_index(page_of: Pages) -> None:
    """Without a tombstone nothing is known, until the end comes and index 0 was never seen."""
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    by_restoring_the_database(page, upload)
    assert chunk(page, upload, 3, resuming=True) == good(upload)
    assert [chunk(page, upload, index) for index in (4, 5)] == [good(upload)] * 2
    assert chunk(page, upload, 6) == RESET
    assert_dropped(by_restoring_the_database)


def test_sequential_page_recovers_from_a_restored_database(page_of: Pages) -> None:
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    by_restoring_the_database(page, upload)
    upload = page.resume(upload, remaining=[3, 4, 5, 6])
    assert page.upload(upload).reset
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)


def test_resumed_retry_of_one_index_is_still_one_index(page_of: Pages) -> None:
    """A sequential page repeats qqresume on the retries of its first request."""
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    by_restoring_the_database(page, upload)
    assert [chunk(page, upload, 3, resuming=True) for _ in range(3)] == [good(upload)] * 3
    assert [chunk(page, upload, index) for index in (4, 5)] == [good(upload)] * 2
    assert chunk(page, upload, 6) == RESET


# Fresh pages are never reset


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("order", [(2, 1, 0), (0, 2, 1), (1, 2, 0), (1, 0, 2)], ids=str)
def test_fresh_concurrent_page_is_never_reset(page_of: Pages, kind: str, order: Sequence[int]) -> None:
    page = page_of(kind)
    upload = page.add(pattern(25))
    answers = [chunk(page, upload, index) for index in order]
    assert answers == [good(upload), good(upload), good(upload, complete=True)]
    assert content(upload.uuid) == pattern(25)


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_page_that_loses_nothing_is_never_reset(page_of: Pages, kind: str, concurrent: bool) -> None:
    page = page_of(kind, concurrent=concurrent)
    upload = start(page, 0, 1, 2)
    again = page.resume(upload, remaining=[3, 4, 5, 6])
    assert page.upload(again).success
    assert content(upload.uuid) == pattern(65)


# Tombstones


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("lose", REMEMBERED)
def test_index_0_clears_a_tombstone(page_of: Pages, kind: str, lose: Loss) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    lose(page, upload)
    answers = [chunk(page, upload, index) for index in range(7)]
    assert answers == [good(upload, complete=index == 6) for index in range(7)]
    assert content(upload.uuid) == pattern(65)


def test_tombstone_is_one_owner_s(page_of: Pages, other_client: Client) -> None:
    page = page_of("option None")
    upload = start(page, 0, 1, 2)
    purge(upload.uuid)
    other = chunker(other_client)
    mine = other.add(pattern(65), uuid=upload.uuid)
    assert chunk(other, mine, 3) == good(mine)


def test_purged_finished_upload_that_was_deleted_resets_a_late_chunk(page_of: Pages) -> None:
    page = page_of("option None")
    upload = start(page, *range(7))
    by_delete(page, upload)
    assert chunk(page, upload, 3) == RESET


def test_upload_dropped_by_done_starts_again(page_of: Pages) -> None:
    """After the reset stale chunks of the first run may still land; the second run counts its own."""
    page = page_of("option True")
    upload = start(page, 0, 1)
    assert answered(page.send(page.done_request(upload))) == RESET
    chunk(page, upload, 5)
    upload.restart()
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(65)


# Lost bytes


@pytest.mark.parametrize("kind", ["option True", "option False", "option None"])
def test_staged_bytes_that_are_gone_count_as_a_lost_upload(page_of: Pages, kind: str, media_root: Any) -> None:
    page = page_of(kind)
    upload = start(page, 0, 1, 2)
    for path in media_root.rglob("*"):
        if path.is_file():
            path.unlink()
    outcome = None
    upload.remaining = [3, 4, 5, 6]
    for _ in range(4):
        outcome = page.upload(upload)
        if outcome.success:
            break
        assert not outcome.hangs
        assert not outcome.prevent_retry
    assert outcome is not None
    assert outcome.success
    assert content(upload.uuid) == pattern(65)


# Generated options say which page it is


def generated(client: Client, **changes: Any) -> FakeUploader:
    answer = DjangoTransport(client).send(WireRequest(method="GET", url="/uploads/config"))
    return FakeUploader.from_page(DjangoTransport(client), answer.json(), chunking=True, part_size=10, **changes)


@pytest.mark.parametrize("option", [True, False, None])
@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
@pytest.mark.parametrize("lose", [*REMEMBERED, by_restoring_the_database])
@pytest.mark.parametrize("remaining", [[6], [3, 4, 5, 6]], ids=["alone", "many"])
def test_page_on_generated_options_never_hangs(
    client: Client, settings: Any, lose: Loss, concurrent: bool, option: bool | None, remaining: list[int]
) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"DONE_REQUEST": option}, "videos": {}}
    page = generated(client, concurrent=concurrent)
    upload = start(page, *(index for index in range(7) if index not in remaining))
    lose(page, upload)
    upload = page.resume(upload, remaining=remaining)
    outcomes = [page.upload(upload), page.upload(upload)]
    assert [(outcome.success, outcome.hangs) for outcome in outcomes] == [(False, False), (True, False)]
    assert content(upload.uuid) == pattern(65)
    assert row(upload.uuid).params == {}
