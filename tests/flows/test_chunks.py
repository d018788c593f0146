"""Chunked uploads: any order, any repetition, with and without the success request."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from fakeuploader import BrowserFile, ChunkOverrides, ClientUpload, FakeUploader, ParamNames, WireResponse
from fineuploader_receiver.models import UploadChunk, UploadSession
from flowtools import (
    ENCODINGS,
    FORM_CSRF,
    RAW,
    accepted,
    answered,
    chunker,
    content,
    finisher,
    kept_bytes,
    pattern,
    refused,
    row,
)

RESET = refused(409, "upload_lost", reset=True)


def send_chunks(page: FakeUploader, upload: ClientUpload, *indexes: int) -> list[WireResponse]:
    return [page.send(page.chunk_request(upload, index)) for index in indexes]


def done(page: FakeUploader, upload: ClientUpload) -> WireResponse:
    return page.send(page.done_request(upload))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_chunks_complete_in_every_order(client: Client, count: int, any_storage: str) -> None:
    """The answer says complete exactly when the last missing chunk has come, whichever that is."""
    page = chunker(client, mandatory=True)
    data = pattern(count * 10 - 3)
    for order in itertools.permutations(range(count)):
        upload = page.add(data)
        answers = [answer.json() for answer in send_chunks(page, upload, *order)]
        assert answers == [accepted(upload.uuid, complete=position == count - 1) for position in range(count)]
        assert content(upload.uuid) == data


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_page_uploads_in_chunks(
    client: Client, concurrent: bool, encoding: Mapping[str, Any], any_storage: str
) -> None:
    page = finisher(client, concurrent=concurrent, **encoding)
    upload = page.add(BrowserFile(pattern(65), "video.mp4", "video/mp4"))
    outcome = page.upload(upload)
    assert outcome.success
    assert {key: outcome.response[key] for key in ("uuid", "complete")} == {"uuid": upload.uuid, "complete": True}
    assert kept_bytes() == {row(upload.uuid).file: pattern(65)}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_page_uploads_in_chunks_by_other_methods(client: Client, method: str, encoding: Mapping[str, Any]) -> None:
    page = finisher(client, method=method, success_method=method, **encoding)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "JSON"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_success_request_is_understood_in_every_form(client: Client, method: str, as_json: bool) -> None:
    page = finisher(client, success_method=method, success_json=as_json)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert page.log[-1][1].json() == accepted(upload.uuid, complete=True)


def test_state_and_bytes_are_told_while_chunks_arrive(client: Client) -> None:
    page = chunker(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 2)
    stored = row(upload.uuid)
    assert (stored.state, stored.received_bytes, stored.total_chunks, stored.total_size) == ("receiving", 15, 3, 25)
    chunks = UploadChunk.objects.filter(session=stored).order_by("index")
    assert list(chunks.values_list("index", "offset", "size")) == [(0, 0, 10), (2, 20, 5)]


def test_nothing_is_visible_under_a_final_name_before_the_last_chunk(client: Client, any_storage: str) -> None:
    """Regression: servers that open the final file first leave a short one when the join breaks off."""
    page = chunker(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1)
    assert not [name for name in kept_bytes() if name.startswith("uploads/")]


def test_staged_bytes_are_gone_after_completion(client: Client, any_storage: str) -> None:
    page = chunker(client)
    upload = page.add(pattern(45))
    send_chunks(page, upload, 4, 3, 2, 1, 0)
    assert kept_bytes() == {row(upload.uuid).file: pattern(45)}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_repeated_chunks_are_stored_once(client: Client, encoding: Mapping[str, Any], any_storage: str) -> None:
    page = chunker(client, **encoding)
    upload = page.add(pattern(25))
    answers = [answer.json() for answer in send_chunks(page, upload, 0, 0, 2, 0, 2, 1)]
    assert answers == [accepted(upload.uuid, complete=last) for last in (False,) * 5 + (True,)]
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


def test_repeated_chunk_with_other_bytes_cannot_mix_files(client: Client, any_storage: str) -> None:
    """Two tabs with different files of one name and size share a uuid: each chunk is one file's or the other's."""
    page = chunker(client)
    upload = page.add(b"a" * 25)
    other = page.add(b"b" * 25, uuid=upload.uuid)
    send_chunks(page, upload, 0)
    send_chunks(page, other, 0)
    send_chunks(page, upload, 1, 2)
    assert content(upload.uuid) in (b"a" * 25, b"b" * 10 + b"a" * 15)


def test_late_chunk_after_completion_changes_nothing(client: Client, any_storage: str) -> None:
    """Regression: a duplicate that arrives after the join resurrects the upload, or writes into the finished file."""
    page = chunker(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1, 2)
    late = [answer.json() for answer in send_chunks(page, page.add(b"z" * 25, uuid=upload.uuid), 1, 0, 2)]
    assert late == [accepted(upload.uuid, complete=True)] * 3
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}
    assert UploadSession.objects.count() == 1


def test_repeated_success_requests_are_answered_alike(client: Client, any_storage: str) -> None:
    """Regression: a second success request appends to the file, or empties it, in servers that join there."""
    page = finisher(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1, 2)
    answers = [answered(done(page, upload)) for _ in range(3)]
    assert answers == [{"status": 200, **accepted(upload.uuid, complete=True)}] * 3
    assert kept_bytes() == {row(upload.uuid).file: pattern(25)}


def test_chunk_after_the_success_request_is_acknowledged(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    page.upload(upload)
    assert answered(send_chunks(page, upload, 1)[0]) == {"status": 200, **accepted(upload.uuid, complete=True)}


@pytest.mark.parametrize("present", [(), (0,), (1, 2), (0, 2)], ids=str)
def test_success_request_with_missing_chunks_drops_everything_and_resets(
    client: Client, present: tuple[int, ...], any_storage: str
) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, *present)
    assert answered(done(page, upload)) == RESET
    assert kept_bytes() == {}
    assert not UploadSession.objects.filter(uuid=upload.uuid).exclude(state="removing").exists()
    assert not UploadChunk.objects.exists()


@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_page_recovers_from_missing_chunks(client: Client, concurrent: bool, any_storage: str) -> None:
    """The client keeps the uuid after a reset and starts again at 0."""
    page = finisher(client, concurrent=concurrent)
    upload = page.add(pattern(65))
    send_chunks(page, upload, 0, 1)
    upload.remaining = []
    first = page.upload(upload)
    assert (first.success, first.reset, first.hangs) == (False, True, False)
    assert page.upload(upload).success
    assert kept_bytes() == {row(upload.uuid).file: pattern(65)}


@pytest.mark.parametrize("lie", [{"total_parts": 2}, {"size": 24}], ids=str)
def test_success_request_with_other_totals_is_not_a_success(client: Client, lie: Mapping[str, int]) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1)
    parts, size = lie.get("total_parts", 3), lie.get("size", 25)
    body = f"qquuid={upload.uuid}&qqfilename=a&qqtotalfilesize={size}&qqtotalparts={parts}"
    answer = page.send(page.done_request(upload).with_body(body.encode()))
    assert answer.status == 409
    assert answer.json()["success"] is False
    assert not [name for name in kept_bytes() if name.startswith("uploads/")]


def test_success_request_without_a_chunk_makes_an_empty_file(client: Client, any_storage: str) -> None:
    """With mandatory chunking the client sends an empty file as a success request alone."""
    page = finisher(client, mandatory=True)
    upload = page.add(BrowserFile(b"", "empty.txt"))
    assert page.upload(upload).success
    assert [request.path for request, _ in page.log] == ["/uploads/done"]
    assert page.log[0][1].json() == accepted(upload.uuid, complete=True)
    stored = row(upload.uuid)
    assert (stored.state, stored.filename, stored.total_size) == ("complete", "empty.txt", 0)
    assert kept_bytes() == {stored.file: b""}


def test_success_request_of_an_empty_file_is_repeatable(client: Client) -> None:
    page = finisher(client, mandatory=True)
    upload = page.add(b"")
    assert [page.upload(upload).success for _ in range(3)] == [True] * 3
    assert list(kept_bytes().values()) == [b""]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_one_part_sent_as_a_chunk_completes_alone(client: Client, encoding: Mapping[str, Any]) -> None:
    """Clients up to 4.x chunk every file and know no success request."""
    page = chunker(client, mandatory=True, **encoding)
    upload = page.add(pattern(4))
    assert page.upload(upload).success
    assert page.log[0][1].json() == accepted(upload.uuid, complete=True)
    assert content(upload.uuid) == pattern(4)


def test_one_part_sent_as_a_chunk_and_then_the_success_request(client: Client) -> None:
    page = finisher(client, mandatory=True)
    upload = page.add(pattern(10))
    assert page.upload(upload).success
    assert [answer.json() for _, answer in page.log] == [accepted(upload.uuid, complete=True)] * 2


def test_file_of_one_part_is_a_simple_upload(client: Client) -> None:
    """Regression: the success request is not sent for such a file, so the upload route must complete it."""
    page = finisher(client)
    upload = page.add(pattern(10))
    assert page.upload(upload).success
    assert len(page.log) == 1
    assert content(upload.uuid) == pattern(10)


@pytest.mark.parametrize("part_size", [10 / 3, 2.5, 3.5, 1.1, 7 / 3])
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_fractional_part_sizes_are_right_or_refused(
    client: Client, part_size: float, encoding: Mapping[str, Any], any_storage: str
) -> None:
    """Regression: seeking to the fractional offset that the client sends mixes up the bytes."""
    page = finisher(client, part_size=part_size, **encoding)
    for data in (pattern(10), pattern(11)):
        upload = page.add(data)
        outcome = page.upload(upload)
        assert not outcome.hangs
        assert not outcome.success or content(upload.uuid) == data
        assert outcome.success or not [name for name in kept_bytes() if name.startswith("uploads/")]


def test_fractional_part_size_of_a_third_is_right(client: Client) -> None:
    page = finisher(client, part_size=10 / 3, concurrent=True)
    upload = page.add(pattern(10))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(10)


def test_files_of_one_batch_may_have_parts_of_different_sizes(client: Client) -> None:
    page = finisher(client, part_size=lambda size: 7 if size < 30 else 13)
    uploads = [page.add(pattern(size)) for size in (20, 40)]
    assert all(page.upload(upload).success for upload in uploads)
    assert [content(upload.uuid) for upload in uploads] == [pattern(20), pattern(40)]


def test_name_edited_between_chunks_is_the_last_one_seen(client: Client) -> None:
    page = finisher(client)
    upload = page.add(BrowserFile(pattern(25), "r.txt"))
    send_chunks(page, upload, 0)
    upload.name = "renamed.txt"
    send_chunks(page, upload, 1)
    assert row(upload.uuid).filename == "renamed.txt"
    send_chunks(page, upload, 2)
    done(page, upload)
    assert row(upload.uuid).filename == "renamed.txt"


def test_retried_chunk_continues_the_upload(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0)
    broken = page.chunk_request(upload, 1)
    page.send(broken.cut(len(broken.body) - 30))
    upload.remaining = [1, 2]
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_resumed_upload_completes(client: Client, concurrent: bool, any_storage: str) -> None:
    page = finisher(client, concurrent=concurrent)
    upload = page.add(pattern(65))
    send_chunks(page, upload, 0, 2, 3)
    again = page.resume(upload, remaining=[1, 4, 5, 6])
    assert page.upload(again).success
    assert content(upload.uuid) == pattern(65)


def test_resumed_upload_with_nothing_left_is_finished_by_the_success_request(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1, 2)
    assert page.upload(page.resume(upload, remaining=[])).success
    assert content(upload.uuid) == pattern(25)


def test_two_uploads_at_once_are_not_mixed(client: Client, any_storage: str) -> None:
    page = chunker(client)
    first, second = page.add(b"1" * 25), page.add(b"2" * 25)
    for index in (2, 0, 1):
        send_chunks(page, first, index)
        send_chunks(page, second, index)
    assert (content(first.uuid), content(second.uuid)) == (b"1" * 25, b"2" * 25)


def test_raw_chunks_above_the_memory_limit_are_streamed(client: Client, any_storage: str) -> None:
    page = finisher(client, part_size=3_000_000, **RAW)
    upload = page.add(pattern(7_000_000))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(7_000_000)


def test_renamed_chunk_parameters_are_understood(client: Client, settings: Any) -> None:
    renamed = {"qqpartindex": "part", "qqpartbyteoffset": "from", "qqchunksize": "length", "qqtotalparts": "parts"}
    settings.FINEUPLOADER_RECEIVERS = {"default": {"PARAM_NAMES": {**renamed, "qqresume": "again"}}, "videos": {}}
    names = ParamNames(index="part", offset="from", chunk_size="length", total_parts="parts", resuming="again")
    page = finisher(client, names=names)
    upload = page.add(pattern(25))
    assert page.upload(page.resume(upload)).success
    assert content(upload.uuid) == pattern(25)
    assert row(upload.uuid).params == {}


def test_headers_replaced_by_the_page_s_on_upload_chunk_need_the_token_elsewhere(client: Client) -> None:
    """``onUploadChunk`` may resolve with headers, which then are the only ones: the token can come in the form."""
    page = chunker(client, params=FORM_CSRF)
    upload = page.add(pattern(25))
    request = page.chunk_request(upload, 0, overrides=ChunkOverrides(headers={"X-Own": "1"}))
    assert answered(page.send(request)) == {"status": 200, **accepted(upload.uuid, complete=False)}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_chunks_that_do_not_say_how_large_the_file_is_make_an_exact_file(
    client: Client, encoding: Mapping[str, Any], any_storage: str
) -> None:
    """A page with omitDefaultParams may leave the size out; presence decides, and never a sum."""
    page = chunker(client, omit_default_params=True, **encoding)
    upload = page.add(pattern(25))
    for index in (2, 0, 1):
        chunk = upload.chunk(index)
        places = {"qqpartindex": index, "qqpartbyteoffset": chunk.start, "qqchunksize": chunk.size, "qqtotalparts": 3}
        upload.params = {"qquuid": upload.uuid, "qqfilename": "a.bin", **places}
        answer = page.send(page.chunk_request(upload, index))
    assert answer.json() == accepted(upload.uuid, complete=True)
    assert (row(upload.uuid).total_size, content(upload.uuid)) == (25, pattern(25))


def test_uuid_is_echoed_as_it_was_sent_and_compared_as_a_uuid(client: Client) -> None:
    page = chunker(client)
    upload = page.add(pattern(25))
    lower = upload.uuid
    send_chunks(page, upload, 0, 1)
    upload.uuid = lower.upper()
    assert send_chunks(page, upload, 2)[0].json() == accepted(lower.upper(), complete=True)
    assert content(lower) == pattern(25)


def test_simple_upload_under_the_uuid_of_an_unfinished_one_replaces_it(client: Client, any_storage: str) -> None:
    page = chunker(client)
    upload = page.add(pattern(25))
    send_chunks(page, upload, 0, 1)
    short = page.add(b"short", uuid=upload.uuid)
    assert page.upload(short).success
    assert kept_bytes() == {row(upload.uuid).file: b"short"}
