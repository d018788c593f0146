"""Requests of one upload that arrive at the same moment."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from fineuploader_receiver import lifecycle
from fineuploader_receiver.backends.base import ChunkWriter, Staging
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.exceptions import NoSpace, QuotaExceeded
from fineuploader_receiver.lifecycle import admission, receiving, uploads
from fineuploader_receiver.models import UploadChunk, UploadSession
from fineuploader_receiver.owners import Owner
from fineuploader_receiver.protocol.messages import Receipt
from fineuploader_receiver.receivers import Receiver
from flowtools import kept_bytes, pattern
from livesite.storages import SmallDisk
from unittools import DATA, PART, Page, content, pieces, row

Options = Callable[..., None]

COUNT = 12
GOOD = Receipt(complete=False)
DONE = Receipt(complete=True)


class Rendezvous:
    """Each of ``count`` threads arrives once, or says that it will not come; nobody goes on before all have."""

    def __init__(self, count: int) -> None:
        self._missing = set(range(count))
        self._changed = threading.Condition()

    def arrive(self, index: int) -> None:
        with self._changed:
            self._missing.discard(index)
            self._changed.notify_all()

    def wait(self, index: int) -> None:
        self.arrive(index)
        with self._changed:
            assert self._changed.wait_for(lambda: not self._missing, timeout=60)


def all_at_once(call: Callable[[int], Receipt], count: int = COUNT) -> dict[int, Receipt | Exception]:
    """Call with 0, 1, … in threads of their own that start together on open connections; what came of each."""
    start = threading.Barrier(count)
    outcomes: dict[int, Receipt | Exception] = {}

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(60)
            outcomes[index] = call(index)
        except Exception as error:
            outcomes[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("attempt", range(4))
def test_different_chunks_at_once_are_all_taken(page: Page, monkeypatch: pytest.MonkeyPatch, attempt: int) -> None:
    """Guards against conditional updates that find their row by its state.

    MariaDB then misses a row that a parallel update has just moved within the index, and the chunk is refused.
    """
    monkeypatch.setattr(receiving, "HEARTBEAT_SECONDS", 1.0)
    number, data = uuid.uuid4(), pattern(50 * PART)
    outcomes = all_at_once(lambda index: page.chunk(number, index, data, done_request=True))
    assert outcomes == dict.fromkeys(range(COUNT), GOOD)
    assert (row(number).received_chunks, row(number).received_bytes) == (COUNT, COUNT * PART)
    assert UploadChunk.objects.filter(stored=True).count() == COUNT


def test_no_index_begins_with_the_state() -> None:
    """The other half of the same fault, on every database: what the tables really have, and what the models say."""
    models = list(apps.get_app_config("fineuploader_receiver").get_models())
    declared = [index.fields[0] for model in models for index in model._meta.indexes]
    with connection.cursor() as cursor:
        made = [
            constraint["columns"][0]
            for model in models
            for constraint in connection.introspection.get_constraints(cursor, model._meta.db_table).values()
            if constraint["index"] and constraint["columns"]
        ]
    assert {"expires_at", "completed_at"} <= set(declared) & set(made)
    assert "state" not in declared + made


@pytest.mark.parametrize(
    ("limit", "fits"), [(1000, False), (COUNT * PART * 100 - 1, False), (COUNT * PART * 100, True)]
)
def test_chunks_of_unknown_total_never_pass_the_quota(page: Page, options: Options, limit: int, fits: bool) -> None:
    """Guards against a reservation that grows with each chunk, each time from what had been seen before the others."""
    options(MAX_STAGED_BYTES=limit)
    number, part = uuid.uuid4(), 1000
    all_admitted = Rendezvous(COUNT)

    def send(index: int) -> Receipt:
        def body() -> Iterator[bytes]:
            all_admitted.wait(index)
            yield b"x" * part

        place: dict[str, Any] = {"offset": index * part, "size": part, "body_size": part, "chunk_size": float(part)}
        message = page.chunk_message(number, index, total_size=None, total_chunks=COUNT, **place)
        try:
            return lifecycle.receive(page.receiver, page.caller, message, body())
        finally:
            all_admitted.arrive(index)

    outcomes = all_at_once(send)
    if fits:
        assert DONE in outcomes.values()
        assert set(outcomes.values()) <= {GOOD, DONE}
        assert content(number) == b"x" * part * COUNT
    else:
        assert [type(outcomes[index]) for index in range(COUNT)] == [QuotaExceeded] * COUNT
        assert (UploadSession.objects.count(), kept_bytes()) == (0, {})


def test_uploads_admitted_together_leave_the_free_space_that_each_alone_would(page: Page, options: Options) -> None:
    """Guards against a look at the disk that comes before the bytes only: all of them saw the same free space."""
    options(BACKEND="livesite.storages.SmallDisk", MIN_FREE_SPACE=1000)
    size = 1000
    all_admitted = Rendezvous(COUNT)

    def send(index: int) -> Receipt:
        number = uuid.uuid4()

        def body() -> Iterator[bytes]:
            all_admitted.wait(index)
            yield b"x" * size

        return lifecycle.receive(page.receiver, page.caller, page.simple_message(number, b"x" * size), body())

    outcomes = all_at_once(send)
    refused = [type(outcome) for outcome in outcomes.values() if outcome != DONE]
    assert set(refused) == {NoSpace}
    assert UploadSession.objects.count() == COUNT - len(refused)
    assert sum(len(data) for data in kept_bytes().values()) <= SmallDisk.SIZE - 1000


def test_simple_upload_that_is_overtaken_by_its_repeat_succeeds_twice(
    page: Page, number: uuid.UUID, any_storage: str
) -> None:
    """Guards against a slow first request that fails, or takes the file with it, because the second was faster."""
    second: list[Receipt] = []

    def slow() -> Iterator[bytes]:
        yield DATA[:4]
        second.append(page.simple(number))
        assert row(number).is_complete
        yield DATA[4:]

    first = lifecycle.receive(page.receiver, page.caller, page.simple_message(number), slow())
    assert [first, *second] == [DONE, DONE]
    assert UploadSession.objects.count() == 1
    assert content(number) == DATA
    assert {name: data for name, data in kept_bytes().items() if name.startswith("uploads/")} == {
        row(number).file: DATA
    }


def test_chunk_that_took_over_keeps_its_bytes_under_either_of_their_names(
    page: Page, number: uuid.UUID, settings: Any
) -> None:
    """Guards against forgetting, with the attempt that was overtaken, the bytes of the one that counts."""
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "storages_for_tests.TwoSpellings"}}

    def slow() -> Iterator[bytes]:
        yield DATA[: PART // 2]
        assert page.chunk(number, 0) == GOOD
        yield DATA[PART // 2 : PART]

    assert lifecycle.receive(page.receiver, page.caller, page.chunk_message(number, 0), slow()) == GOOD
    page.chunk(number, 1)
    assert page.chunk(number, 2) == DONE
    assert content(number) == DATA
    assert len(kept_bytes()) == 1


@pytest.mark.parametrize("done_request", [True, False, None])
def test_repeat_whose_place_a_completion_has_just_cleared_is_no_loss(
    page: Page, number: uuid.UUID, monkeypatch: pytest.MonkeyPatch, done_request: bool | None
) -> None:
    """Guards against telling a page to begin again, because the place for its repeat is gone with the staged bytes."""
    page.chunks(number, 0, 1, done_request=done_request)
    open_chunk = FileSystemBackend.open_chunk

    def open_late(backend: FileSystemBackend, staging: Staging, **place: Any) -> ChunkWriter:
        monkeypatch.setattr(FileSystemBackend, "open_chunk", open_chunk)
        assert page.chunk(number, 2, done_request=done_request) == DONE
        return open_chunk(backend, staging, **place)

    monkeypatch.setattr(FileSystemBackend, "open_chunk", open_late)
    assert page.chunk(number, 1, done_request=done_request) == DONE
    assert content(number) == DATA


def test_simple_uploads_sent_at_once_succeed_with_one_file(page: Page, number: uuid.UUID) -> None:
    """Guards against one of them hearing `busy`, or both of them making a file."""
    both_admitted = Rendezvous(2)

    def send(index: int) -> Receipt:
        def body() -> Iterator[bytes]:
            both_admitted.wait(index)
            yield from pieces(DATA)

        try:
            return lifecycle.receive(page.receiver, page.caller, page.simple_message(number), body())
        finally:
            both_admitted.arrive(index)

    assert all_at_once(send, 2) == {0: DONE, 1: DONE}
    assert UploadSession.objects.count() == 1
    assert content(number) == DATA
    assert [name for name in kept_bytes() if name.startswith("uploads/")] == [row(number).file]


def test_first_chunks_at_once_are_one_active_upload(
    page: Page, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an upload that stands in its own way, counted against the chunks that arrive beside its first."""
    options(MAX_ACTIVE_UPLOADS=1)
    number, count, data = uuid.uuid4(), 3, pattern(50 * PART)
    all_unknown = Rendezvous(count)
    find, places = uploads.find, threading.local()

    def find_together(receiver: Receiver, owner: Owner, wanted: uuid.UUID) -> Any:
        found = find(receiver, owner, wanted)
        all_unknown.wait(places.index)
        return found

    def send(index: int) -> Receipt:
        places.index = index
        return page.chunk(number, index, data)

    monkeypatch.setattr(admission, "find", find_together)
    assert all_at_once(send, count) == dict.fromkeys(range(count), GOOD)
    assert (UploadSession.objects.count(), row(number).received_chunks) == (1, count)
