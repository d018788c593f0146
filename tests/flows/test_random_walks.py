"""Random walks: whatever is lost, repeated, cut or restarted on the way, the client ends with the right file.

The client keeps its own books: a chunk is done when the answer said so, and a reset starts again at 0. It must never be
told success for a file that is not there, and never hang.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeuploader import ClientUpload, DjangoTransport, FakeUploader, WireRequest
from fineuploader_receiver.models import UploadSession
from flowtools import chunker, content, kept_bytes, pattern, purge, row

DATA = pattern(45)
CHUNKS = 5


@dataclass
class Walk:
    """One person's upload on the way."""

    page: FakeUploader
    upload: ClientUpload

    def send_next(self) -> None:
        """Send the next chunk and keep the books."""
        if not self.upload.remaining:
            return
        index = self.upload.remaining[0]
        outcome = self.page.send_chunk(self.upload, index, self.upload.resuming)
        if outcome.success:
            self.upload.remaining.remove(index)
            self.upload.resuming = False
        elif outcome.reset:
            self.upload.restart()

    def send_unheard(self) -> None:
        """Send the next chunk; the answer gets lost."""
        for index in self.upload.remaining[:1]:
            self.page.send(self.page.chunk_request(self.upload, index, resuming=self.upload.resuming))

    def send_cut(self) -> None:
        for index in self.upload.remaining[:1]:
            request = self.page.chunk_request(self.upload, index, resuming=self.upload.resuming)
            self.page.send(request.cut(len(request.body) - 50))

    def send_again(self) -> None:
        """The browser repeats a request that was answered long ago."""
        if 1 not in self.upload.remaining:
            self.page.send(self.page.chunk_request(self.upload, 1))

    def close_the_page(self) -> None:
        if len(self.upload.remaining) < CHUNKS:
            self.upload = self.page.resume(self.upload)

    def delete(self) -> None:
        """Delete what is not finished, from another tab say; with nothing left to send, no page would notice."""
        if self.upload.remaining:
            self.page.delete(self.upload.uuid)

    def expire(self) -> None:
        for upload in UploadSession.objects.filter(uuid=self.upload.uuid, state="receiving"):
            purge(str(upload.uuid))

    def lose_bytes(self) -> None:
        for name in kept_bytes():
            if not name.startswith("uploads/"):
                storages["default"].delete(name)

    def restore_the_database(self) -> None:
        UploadSession.objects.filter(uuid=self.upload.uuid).delete()


Step = Callable[[Walk], None]

STEPS: list[Step] = [
    Walk.send_next,
    Walk.send_next,
    Walk.send_next,
    Walk.send_unheard,
    Walk.send_cut,
    Walk.send_again,
    Walk.close_the_page,
    Walk.delete,
    Walk.expire,
    Walk.lose_bytes,
]


def generated(client: Client, *, concurrent: bool) -> FakeUploader:
    answer = DjangoTransport(client).send(WireRequest(method="GET", url="/uploads/config"))
    options = {"chunking": True, "part_size": 10, "concurrent": concurrent}
    return FakeUploader.from_page(DjangoTransport(client), answer.json(), **options)


def assert_arrives(walk: Walk) -> None:
    outcome = walk.page.upload(walk.upload, attempts=6)
    assert (outcome.success, outcome.hangs) == (True, False), outcome
    assert row(walk.upload.uuid).state == "complete"
    assert content(walk.upload.uuid) == DATA


walks = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
@walks
@given(steps=st.lists(st.sampled_from([*STEPS, Walk.restore_the_database]), max_size=15))
def test_page_on_generated_options_arrives(client: Client, concurrent: bool, steps: list[Step]) -> None:
    page = generated(client, concurrent=concurrent)
    walk = Walk(page, page.add(DATA))
    for step in steps:
        step(walk)
    assert_arrives(walk)


@pytest.mark.parametrize("option", [False, None])
@walks
@given(steps=st.lists(st.sampled_from(STEPS), max_size=15))
def test_sequential_page_without_a_success_request_arrives(
    client: Client, settings: Any, option: bool | None, steps: list[Step]
) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"DONE_REQUEST": option}, "videos": {}}
    page = chunker(client)
    walk = Walk(page, page.add(DATA))
    for step in steps:
        step(walk)
    assert_arrives(walk)
