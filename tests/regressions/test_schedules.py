"""Faults that random schedules found: each needs several mishaps in a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from flowtools import ENCODINGS, accepted, answered, chunker, content, pattern, purge, refused

Options = Callable[..., None]

DATA = pattern(45)


@pytest.mark.parametrize("says_so", ["the site", "the page"])
def test_late_copy_of_chunk_0_does_not_hide_that_the_upload_was_purged(
    client: Client, options: Options, says_so: str
) -> None:
    """Guards against success for a file that is not there, on a page without the success request.

    The copy cleared the tombstone and began the upload anew, so the page's next chunks were taken; when the last one
    came with others missing, the row seemed to belong to a page with concurrent chunks.
    """
    options(DONE_REQUEST=False if says_so == "the site" else None)
    page = chunker(client, params={} if says_so == "the site" else {"qqdonerequest": "false"})
    upload = page.add(DATA)
    for index in (0, 1):
        page.send_chunk(upload, index)
    purge(upload.uuid)
    for index in (0, 2, 3):
        answer = page.send(page.chunk_request(upload, index))
        assert answered(answer) == {"status": 200, **accepted(upload.uuid, complete=False)}
    answer = page.send(page.chunk_request(upload, 4))
    assert answered(answer) == refused(409, "upload_lost", reset=True)
    assert page.upload(upload).success
    assert content(upload.uuid) == DATA


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("part_size", "size"), [(3.5, 4), (3.5, 32), (10 / 3, 17)])
def test_last_chunk_of_less_than_half_a_byte_is_one_without_bytes(
    client: Client, encoding: str, part_size: float, size: int
) -> None:
    """Guards against `bad_chunk`, for good, where a fractional part size leaves nothing for the last chunk."""
    page = chunker(client, part_size=part_size, **ENCODINGS[encoding])
    upload = page.add(pattern(size))
    assert upload.chunk(upload.total_parts - 1).file.size == 0
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(size)
