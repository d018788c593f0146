"""What an owner is told of uploads, where no whole flow shows it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fineuploader_receiver.exceptions import Forbidden
from fineuploader_receiver.lifecycle import list_uploads, status
from fineuploader_receiver.lifecycle.listing import _runs
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver
from unittools import Page, row

pytestmark = pytest.mark.django_db

Options = Callable[..., None]


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [
        ([], []),
        ([0], [[0, 0]]),
        ([0, 1, 2], [[0, 2]]),
        ([1, 3, 4, 9], [[1, 1], [3, 4], [9, 9]]),
    ],
)
def test_indexes_as_ranges(indexes: Sequence[int], expected: list[list[int]]) -> None:
    assert _runs(indexes) == expected


def test_status_counts_what_is_stored(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 2, 0)
    upload = row(number)
    upload.chunks.create(index=1, offset=10, size=10, token="x", claimed_at=upload.created_at)
    assert upload.expires_at is not None
    assert status(page.receiver, page.caller, number) == {
        "success": True,
        "uuid": str(number),
        "state": "receiving",
        "received": [[0, 0], [2, 2]],
        "bytes": 15,
        "total": 25,
        "chunks": 3,
        "name": "a.txt",
        "expires": upload.expires_at.isoformat(),
    }


def test_status_of_an_empty_file(page: Page, number: uuid.UUID) -> None:
    page.done(number, total_size=0, total_chunks=0)
    found = status(page.receiver, page.caller, number)
    assert (found["state"], found["received"], found["bytes"], found["total"]) == ("complete", [], 0, 0)


@pytest.mark.parametrize("missing", ["uuid", "name"])
def test_item_without_uuid_or_name_does_not_hide_those_after_it(
    page: Page, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The client drops such an item and all that follow."""
    numbers = [uuid.uuid4() for _ in range(3)]
    for number in numbers:
        page.simple(number)
    item = Receiver.session_item

    def broken(receiver: Receiver, upload: UploadSession) -> dict[str, Any]:
        made = item(receiver, upload)
        return {**made, missing: ""} if upload.uuid == numbers[1] else made

    monkeypatch.setattr(Receiver, "session_item", broken)
    listed = [item["uuid"] for item in list_uploads(page.receiver, page.caller)]
    assert listed == [str(numbers[2]), str(numbers[0])]


def test_nameless_upload_is_listed_by_its_name_in_the_storage(page: Page, number: uuid.UUID) -> None:
    page.simple(number, filename="")
    (item,) = list_uploads(page.receiver, page.caller)
    assert item == {"uuid": str(number), "name": "file", "size": 25}


@pytest.mark.parametrize("action", ["status", "list"])
def test_owner_who_may_not_look(page: Page, number: uuid.UUID, options: Options, monkeypatch: Any, action: str) -> None:
    page.simple(number)
    monkeypatch.setattr(Receiver, "has_permission", lambda receiver, request, asked, upload: asked != action)
    with pytest.raises(Forbidden):
        status(page.receiver, page.caller, number) if action == "status" else list_uploads(page.receiver, page.caller)
