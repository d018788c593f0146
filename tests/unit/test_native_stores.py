"""Backends that settle the file's name at the first request: the rules around them, with one that is made for it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError

from backends_for_tests import NamedBackend
from fineuploader_receiver.backends.base import BackendFailed, Plan, StagingLost
from fineuploader_receiver.backends.storage import StorageChunkWriter
from fineuploader_receiver.exceptions import Busy, HookFailed, InvalidFile, StorageFailed, TooManyChunks
from fineuploader_receiver.lifecycle import completion
from fineuploader_receiver.models import UploadSession
from storages_for_tests import MinimalStorage
from unittools import DATA, HookedReceiver, Page, content, row

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

Options = Callable[..., None]

NAME = re.compile(r"uploads/\d{4}/\d\d/\d\d/[0-9a-f]{32}/a\.txt\Z")


@pytest.fixture(autouse=True)
def named_store(settings: Settings, options: Options) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "storages_for_tests.MinimalStorage"}}
    options(BACKEND="backends_for_tests.NamedBackend", RECEIVER="unittools.HookedReceiver")
    for kept in (MinimalStorage.contents, NamedBackend.plans, NamedBackend.opened, HookedReceiver.calls):
        kept.clear()


def files() -> dict[str, bytes]:
    """What the store holds besides staged chunks."""
    return {name: data for name, data in MinimalStorage.contents.items() if not name.startswith(".fineuploader/")}


def fail_to_assemble(patch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the store fail, before it has made the file or with only the answer lost."""
    assemble = NamedBackend.assemble

    def fail(backend: NamedBackend, *arguments: Any, **named: Any) -> str:
        if after:
            assemble(backend, *arguments, **named)
        raise BackendFailed("no answer")

    patch.setattr(NamedBackend, "assemble", fail)


def test_plan_says_what_the_first_request_said_and_names_the_file(page: Page, number: uuid.UUID) -> None:
    page.chunk(number, 1)
    (plan,) = NamedBackend.plans
    assert plan == Plan(name=plan.name, total_size=25, total_chunks=3, chunk_size=10.0)
    assert NAME.match(plan.name)
    assert (row(number).file, row(number).staged_handle) == (plan.name, f"a handle for {plan.name}")


def test_file_gets_the_planned_name_though_it_was_renamed_on_the_way(page: Page, number: uuid.UUID) -> None:
    page.chunk(number, 0)
    planned = row(number).file
    page.chunks(number, 1, 2, filename="b.txt")
    assert (row(number).file, row(number).filename, content(number)) == (planned, "b.txt", DATA)
    assert files() == {planned: DATA}


def test_type_is_told_by_the_backends_own_reader(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 1, 2)
    assert NamedBackend.opened == [row(number).file]
    assert row(number).content_type == "text/plain"


@pytest.mark.parametrize("after", [False, True], ids=["not made", "made, answer lost"])
def test_failed_completion_leaves_the_name_to_the_next_attempt(page: Page, number: uuid.UUID, after: bool) -> None:
    page.chunks(number, 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        fail_to_assemble(patch, after=after)
        with pytest.raises(StorageFailed):
            page.chunk(number, 2)
    planned = row(number).file
    assert files() == ({planned: DATA} if after else {})
    assert page.done(number).complete
    assert (row(number).file, files()) == (planned, {planned: DATA})


def test_attempt_that_lost_its_lease_does_not_delete_the_winners_file(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.chunks(number, 0, 1)
    assemble = NamedBackend.assemble

    def overtaken(backend: NamedBackend, *arguments: Any, **named: Any) -> str:
        name = assemble(backend, *arguments, **named)
        monkeypatch.setattr(NamedBackend, "assemble", assemble)
        UploadSession.objects.filter(uuid=number).update(lease_until=None)
        assert page.done(number).complete
        return name

    monkeypatch.setattr(NamedBackend, "assemble", overtaken)
    assert page.chunk(number, 2).complete
    assert content(number) == DATA
    assert HookedReceiver.calls == [("validate", "assembling"), ("completed", "complete")]


def test_refused_file_is_deleted(page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HookedReceiver, "validate_error", ValidationError("not this one"))
    page.chunks(number, 0, 1)
    with pytest.raises(InvalidFile):
        page.chunk(number, 2)
    assert (MinimalStorage.contents, UploadSession.objects.count()) == ({}, 0)


def test_deleted_upload_leaves_neither_file_nor_chunks(page: Page, number: uuid.UUID) -> None:
    page.chunks(number, 0, 1, 2)
    page.delete(number)
    assert MinimalStorage.contents == {}
    assert not UploadSession.objects.exists()


def test_upload_that_does_not_suit_goes_the_generic_way(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends_for_tests.SMALLEST_PART", 11)
    page.chunk(number, 0)
    assert row(number).backend == "fineuploader_receiver.backends.storage.StorageBackend"
    assert (row(number).file, row(number).staged_handle) == ("", "")
    page.chunks(number, 1, 2)
    assert (NamedBackend.plans, content(number)) == ([], DATA)


def test_more_chunks_than_the_store_can_keep_are_refused_at_the_first(page: Page, number: uuid.UUID) -> None:
    with pytest.raises(TooManyChunks):
        page.chunk(number, 4, data=b"x" * 41)
    assert (MinimalStorage.contents, UploadSession.objects.count()) == ({}, 0)


def test_upload_to_that_fails_is_told_at_the_first_request(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any) -> str:
        raise LookupError("no album of that name")

    monkeypatch.setattr(HookedReceiver, "upload_to", raising)
    with pytest.raises(HookFailed):
        page.chunk(number, 0)
    assert (MinimalStorage.contents, UploadSession.objects.count()) == ({}, 0)


def test_lease_is_taken_without_a_new_name(page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    page.chunks(number, 0, 1)
    monkeypatch.setattr(completion, "final_name", lambda *_: pytest.fail("the name is settled already"))
    assert page.chunk(number, 2).complete


def test_upload_whose_place_is_gone_while_a_chunk_arrives_begins_again(page: Page, number: uuid.UUID) -> None:
    """Regression: a store that had dropped the upload answered every repeat of the chunk as busy, until the purge."""
    page.chunk(number, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StorageChunkWriter, "commit", refuse_place)
        with pytest.raises(Busy):
            page.chunk(number, 1)
    assert not UploadSession.objects.exists()
    page.chunks(number, 0, 1, 2)
    assert content(number) == DATA


def test_late_attempt_finds_its_place_gone_when_the_file_is_complete(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.chunks(number, 0, 1)
    commit = StorageChunkWriter.commit

    def overtaken(writer: StorageChunkWriter) -> str:
        monkeypatch.setattr(StorageChunkWriter, "commit", commit)
        assert page.chunk(number, 2).complete
        return refuse_place(writer)

    monkeypatch.setattr(StorageChunkWriter, "commit", overtaken)
    assert page.chunk(number, 2).complete
    assert content(number) == DATA


def refuse_place(writer: StorageChunkWriter) -> str:
    raise StagingLost("no such upload")
