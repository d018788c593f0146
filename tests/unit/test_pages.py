"""When a chunk is answered with `reset`: the rules as a table, each line a page and what it has seen."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fineuploader_receiver.exceptions import BY_CODE, InvalidFile, TypeNotAllowed, UploadError, UploadLost
from fineuploader_receiver.lifecycle import pages
from fineuploader_receiver.models import UploadSession, UploadTombstone
from fineuploader_receiver.protocol.messages import UploadMessage
from fineuploader_receiver.receivers import Receiver, get_receiver
from unittools import Page

Options = Callable[..., None]

NUMBER = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
ACCEPT: type[UploadError] | None = None
GONE = UploadTombstone()
GONE_DONE = UploadTombstone(done_request=True)
GONE_WITHOUT = UploadTombstone(done_request=False)
GONE_MIXED = UploadTombstone(out_of_order=True)
REFUSED = UploadTombstone(refusal="type_not_allowed", message="Only pictures.")


def message(index: int, **fields: Any) -> UploadMessage:
    place = {"chunked": True, "index": index, "total_chunks": 30, "offset": index * 10, "size": 10, "chunk_size": 10.0}
    return UploadMessage(uuid=NUMBER, wire_uuid=str(NUMBER), filename="a", **{**place, **fields})


def receiver(options: Options, done_request: bool | None = None) -> Receiver:
    options(DONE_REQUEST=done_request)
    return get_receiver("default")


@pytest.mark.parametrize(
    ("says", "seen", "site", "expected"),
    [
        (None, None, None, None),
        (None, None, True, True),
        (None, None, False, False),
        (None, True, False, True),
        (None, False, True, False),
        (True, False, False, True),
        (False, True, True, False),
    ],
)
def test_what_is_known_of_a_page(
    options: Options, says: bool | None, seen: bool | None, site: bool | None, expected: bool | None
) -> None:
    """The page's own word first, then what was seen of it, then the site's."""
    assert pages.sends_done(receiver(options, site), message(1, done_request=says), seen) is expected


@pytest.mark.parametrize(
    ("index", "says", "resumed", "tombstone", "site", "expected"),
    [
        # Index 0 begins again, whatever was.
        (0, None, False, None, None, ACCEPT),
        (0, False, True, GONE, False, ACCEPT),
        (0, None, False, REFUSED, None, ACCEPT),
        # A page that sends the success request hears of every loss there.
        (1, True, False, None, None, ACCEPT),
        (1, True, True, None, None, ACCEPT),
        (1, True, True, GONE, None, ACCEPT),
        (1, None, True, GONE, True, ACCEPT),
        (1, None, True, GONE_DONE, None, ACCEPT),
        (1, None, True, GONE_DONE, False, ACCEPT),
        # A page without it hears at once, where there was something before.
        (1, False, False, None, None, ACCEPT),
        (1, False, True, None, None, UploadLost),
        (1, False, False, GONE, None, UploadLost),
        (1, False, False, GONE_MIXED, None, UploadLost),
        (1, None, True, None, False, UploadLost),
        (1, None, False, GONE_WITHOUT, None, UploadLost),
        (1, None, False, GONE_WITHOUT, True, UploadLost),
        # A page that nobody knows: by what was seen of it.
        (1, None, False, None, None, ACCEPT),
        (29, None, False, None, None, ACCEPT),
        (1, None, True, None, None, ACCEPT),
        (1, None, False, GONE, None, UploadLost),
        (1, None, True, GONE, None, UploadLost),
        (1, None, False, GONE_MIXED, None, ACCEPT),
        (1, None, True, GONE_MIXED, None, ACCEPT),
        # A final refusal is repeated to every page.
        (1, True, False, REFUSED, None, TypeNotAllowed),
        (1, False, True, REFUSED, None, TypeNotAllowed),
        (1, None, False, REFUSED, None, TypeNotAllowed),
    ],
)
def test_chunk_of_an_upload_that_is_not_there(
    options: Options,
    index: int,
    says: bool | None,
    resumed: bool,
    tombstone: UploadTombstone | None,
    site: bool | None,
    expected: type[UploadError] | None,
) -> None:
    arrived = message(index, done_request=says, resumed=resumed)
    if expected is None:
        pages.check_unknown(receiver(options, site), arrived, tombstone)
    else:
        with pytest.raises(expected):
            pages.check_unknown(receiver(options, site), arrived, tombstone)


BEGAN_AT_0 = {"first_index": 0}
BEGAN_AT_5 = {"first_index": 5}
RESUMED_AT_5 = {"first_index": 5, "resumed_index": 5}
BEGAN_AT_20 = {"first_index": 20}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("index", "upload", "chunks", "says", "expected"),
    [
        # Not the last one yet: nothing to judge.
        (28, RESUMED_AT_5, range(5, 29), False, False),
        # It began at the beginning, or where a concurrent page may begin: the rest will come.
        (29, BEGAN_AT_0, [0, 29], None, False),
        (29, BEGAN_AT_0, [0, 29], False, False),
        (29, BEGAN_AT_5, [5, 29], None, False),
        (29, BEGAN_AT_5, range(5, 30), None, False),
        # The success request will tell.
        (29, RESUMED_AT_5, range(5, 30), True, False),
        (29, {**RESUMED_AT_5, "done_request": True}, range(5, 30), None, False),
        (29, BEGAN_AT_20, range(20, 30), True, False),
        # A concurrent page: `reset` would hang it; but one that is known to hear nothing else must not be told success.
        (29, {**RESUMED_AT_5, "out_of_order": True}, range(5, 30), None, False),
        (29, {**RESUMED_AT_5, "out_of_order": True}, range(5, 30), False, True),
        # It began before this row did.
        (29, RESUMED_AT_5, range(5, 30), None, True),
        (29, RESUMED_AT_5, range(5, 30), False, True),
        (29, BEGAN_AT_20, range(20, 30), None, True),
        (29, BEGAN_AT_20, range(20, 30), False, True),
        # The beginning came after all.
        (29, RESUMED_AT_5, [0, *range(5, 30)], None, False),
    ],
)
def test_last_chunk_of_an_upload_with_chunks_missing(
    page: Page, index: int, upload: dict[str, Any], chunks: Sequence[int], says: bool | None, expected: bool
) -> None:
    owner_key = page.caller.owner.key
    fields = {"owner_key": owner_key, "receiver": "default", "storage": "default", "total_chunks": 30, **upload}
    row = UploadSession.objects.create(uuid=NUMBER, **fields)
    for number in chunks:
        row.chunks.create(index=number, offset=number * 10, size=10, token="x", stored=True, claimed_at=row.created_at)
    assert pages.began_earlier(page.receiver, row, message(index, done_request=says)) is expected


@pytest.mark.parametrize("code", BY_CODE)
def test_tombstone_repeats_its_refusal(code: str) -> None:
    error = pages.recall(UploadTombstone(refusal=code, message="Those were the words."))
    assert (type(error), error.message) == (BY_CODE[code], "Those were the words.")


def test_tombstone_with_a_refusal_of_a_later_version_is_a_refusal() -> None:
    error = pages.recall(UploadTombstone(refusal="from_the_future", message="Those were the words."))
    assert (type(error), error.message, error.prevent_retry) == (InvalidFile, "Those were the words.", True)
