"""A page with one file, whose books are kept as the client keeps them, and that may lie, repeat and lose answers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.test import Client

from fakeuploader import (
    BrowserFile,
    ClientUpload,
    DjangoTransport,
    FakeUploader,
    Outcome,
    WireRequest,
    WireResponse,
)
from fakeuploader.answers import done_outcome, upload_outcome
from fakeuploader.uploads import Chunk, ChunkOverrides
from fineuploader_receiver.models import UploadSession
from flowtools import ENCODINGS, chunker, finisher, uploader

Build = Callable[[Client, Mapping[str, Any]], FakeUploader]


@dataclass(frozen=True)
class Kind:
    """How a page was made, and what it can bear.

    `resets` says that the page learns of a loss whatever happens on the way: it sends the success request, or one
    request is all. `sure` says that the server knows how to tell it. Concurrent chunks without a success request bear
    no loss at all, and chunks one by one bear none of rows (docs/page.md, "The success request").
    """

    build: Build
    resets: bool
    sure: bool
    bears_losses: bool = True


def generated(client: Client, changes: Mapping[str, Any], *, concurrent: bool) -> FakeUploader:
    answer = DjangoTransport(client).send(WireRequest(method="GET", url="/uploads/config"))
    return FakeUploader.from_page(
        DjangoTransport(client), answer.json(), chunking=True, concurrent=concurrent, **changes
    )


KINDS: Mapping[str, Kind] = {
    "generated": Kind(lambda client, changes: generated(client, changes, concurrent=False), resets=True, sure=True),
    "generated, concurrent": Kind(
        lambda client, changes: generated(client, changes, concurrent=True), resets=True, sure=True
    ),
    "done": Kind(lambda client, changes: finisher(client, **changes), resets=True, sure=True),
    "done, mandatory": Kind(
        lambda client, changes: finisher(client, mandatory=True, **changes), resets=True, sure=True
    ),
    "no done": Kind(lambda client, changes: chunker(client, **changes), resets=False, sure=False),
    "no done, says so": Kind(
        lambda client, changes: chunker(client, params={"qqdonerequest": "false"}, **changes), resets=False, sure=True
    ),
    "no done, concurrent": Kind(
        lambda client, changes: chunker(client, concurrent=True, **changes),
        resets=False,
        sure=False,
        bears_losses=False,
    ),
    "simple": Kind(lambda client, changes: uploader(client, **changes), resets=True, sure=True),
}


@dataclass(kw_only=True)
class Lie(ClientUpload):
    """The same upload, told differently: what a request says of its chunk, of the whole, and what it really holds."""

    told: Callable[[Chunk], Chunk] = lambda chunk: chunk
    more_bytes: int = 0
    more_parts: int = 0

    @property
    def size(self) -> int:
        return self.file.size + self.more_bytes

    @property
    def total_parts(self) -> int:
        return super().total_parts + self.more_parts

    def chunk(self, index: int) -> Chunk:
        return self.told(super().chunk(index))


def _with_body(chunk: Chunk, data: bytes) -> Chunk:
    return dataclasses.replace(chunk, file=BrowserFile(data, chunk.file.name))


def _longer(chunk: Chunk) -> Chunk:
    return _with_body(chunk, chunk.file.data + b"x")


def _shorter(chunk: Chunk) -> Chunk:
    return _with_body(chunk, chunk.file.data[:-1])


def _foreign(chunk: Chunk) -> Chunk:
    return _with_body(chunk, b"another file" * 3 + b"!" * chunk.file.size)


def _told(**changes: float) -> Callable[[Chunk], Chunk]:
    def tell(chunk: Chunk) -> Chunk:
        moved = {name: getattr(chunk, name) + change for name, change in changes.items()}
        return dataclasses.replace(chunk, **moved)

    return tell


LIES: Mapping[str, Mapping[str, Any]] = {
    "longer body": {"told": _longer},
    "shorter body": {"told": _shorter},
    "another file's body": {"told": _foreign},
    "later": {"told": _told(start=1)},
    "earlier": {"told": _told(start=-1)},
    "told longer": {"told": _told(size=1)},
    "told shorter": {"told": _told(size=-1)},
    "overlapping": {"told": lambda chunk: _longer(_told(size=1)(chunk))},
    "gap": {"told": lambda chunk: _shorter(_told(size=-1)(chunk))},
    "shifted": {"told": lambda chunk: _shorter(_told(size=-1, start=1)(chunk))},
    "next index": {"told": _told(index=1)},
    "index before": {"told": _told(index=-1)},
    "larger whole": {"more_bytes": 1},
    "smaller whole": {"more_bytes": -1},
    "huge whole": {"more_bytes": 1000},
    "more parts": {"more_parts": 1},
    "fewer parts": {"more_parts": -1},
}


@dataclass
class Tab:
    """A page of one owner with one file. `told` is what the person sees: the file has arrived.

    `misled` says that a request with a consistent lie about the whole began another upload under this uuid; the person
    must then take the file away and add it again. `removed` counts removals that the page did not ask for.
    """

    owner: User
    client: Client
    kind: Kind
    page: FakeUploader
    upload: ClientUpload
    told: bool = False
    over: bool = False
    misled: bool = False
    removed: int = 0
    sent: list[WireRequest] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)

    @classmethod
    def open(
        cls, owner: User, client: Client, kind: str, data: bytes, *, part_size: float, encoding: str, uuid: str
    ) -> Tab:
        page = KINDS[kind].build(client, {"part_size": part_size, **ENCODINGS[encoding]})
        return cls(owner, client, KINDS[kind], page, page.add(data, uuid=uuid))

    @property
    def mine(self) -> Q:
        return Q(uuid=self.upload.uuid, owner=self.owner)

    @property
    def is_active(self) -> bool:
        return not (self.told or self.over)

    @property
    def has_done(self) -> bool:
        return self.page.options.success_endpoint is not None and self.upload.chunked

    @property
    def known_indexes(self) -> list[int]:
        """Chunks that a late copy may name without making the page look like one it is not."""
        every = range(self.upload.total_parts if self.upload.chunked else 0)
        return [index for index in every if self.kind.sure or index not in self.upload.remaining]

    def row(self) -> UploadSession | None:
        return UploadSession.objects.filter(self.mine).first()

    def send_next(self, order: Sequence[int]) -> None:
        """Go on as the client would: the next chunks, or the success request, or the whole file."""
        if not self.upload.chunked:
            self._hear(self._judged(self.page.simple_request(self.upload)))
        elif self.upload.remaining:
            self._send_chunks(order if self.page.options.concurrent else [0])
        else:
            self.finish()
        self._look_whether_told()

    def finish(self) -> None:
        """Send the success request and heed the answer."""
        outcome = self._judged_done(self.page.done_request(self.upload))
        if outcome.reset:
            self.upload.restart()
        if outcome.success:
            self._be_told()

    def send_unheard(self, request: WireRequest) -> None:
        """Send something whose answer never reaches the page; even so it must be true."""
        self._send(request)

    def next_request(self, index: int | None = None) -> WireRequest:
        """A request as the page sends it now, or for another one of its chunks."""
        if not self.upload.chunked:
            return self.page.simple_request(self.upload)
        if index is None and not self.upload.remaining:
            return self.page.done_request(self.upload) if self.has_done else self.page.chunk_request(self.upload, 0)
        index = self.upload.remaining[0] if index is None else index
        return self.page.chunk_request(self.upload, index, resuming=self.upload.resuming)

    def lie(self, name: str, index: int) -> None:
        """Say something of a chunk that cannot be right. Only a consistent lie about another file may be believed."""
        fields = {field.name: getattr(self.upload, field.name) for field in dataclasses.fields(self.upload)}
        liar = Lie(**{**fields, **LIES[name]})
        believable = index == 0 or self.row() is None
        if not self.kind.sure and believable:
            return
        answer = self.page.send(self.page.chunk_request(liar, index))
        if upload_outcome(answer).success:
            assert believable, f"{name} about chunk {index} was believed: {answer}"
            self.misled = True

    def lie_with_digest(self, index: int) -> None:
        """Announce one digest and send other bytes of the same length; then the same with the right one."""
        chunk = self.upload.chunk(index)
        if chunk.file.size == 0:
            return
        good = f"sha256:{hashlib.sha256(chunk.file.data).hexdigest()}"
        wrong = self._with_digest(index, f"sha256:{hashlib.sha256(chunk.file.data + b'x').hexdigest()}")
        assert not upload_outcome(self.page.send(wrong)).success
        self.send_unheard(self._with_digest(index, good))

    def _with_digest(self, index: int, digest: str) -> WireRequest:
        return self.page.chunk_request(self.upload, index, overrides=ChunkOverrides(params={"qqdigest": digest}))

    def lie_about_totals(self, *, parts: int, size: int) -> None:
        """End the upload too early, or as another one."""
        fields = {field.name: getattr(self.upload, field.name) for field in dataclasses.fields(self.upload)}
        liar = Lie(**fields, more_parts=parts, more_bytes=size)
        answer = self._send(self.page.done_request(liar))
        if done_outcome(answer).reset:
            self.upload.restart()

    def change_note(self, note: str) -> None:
        """The person edits a field of the page, which goes with every request from now on."""
        self.upload.params = {**self.page.options.params, "note": note}
        self.notes.add(note)

    def change_file(self, data: bytes) -> None:
        """A picture that is scaled again for the next attempt: the same uuid, another size, from the start."""
        old = self.upload
        again = self.page.add(data, uuid=old.uuid, params=old.params)
        if again.chunked or not old.chunked:
            self.upload = again
            self.sent.clear()

    def close_and_resume(self) -> None:
        upload = self.upload
        if upload.chunked and len(upload.remaining) < upload.total_parts and (upload.remaining or self.has_done):
            self.upload = self.page.resume(upload)

    def delete(self) -> None:
        """Delete it from another tab: this page knows nothing of that."""
        outcome = self.page.delete(self.upload.uuid)
        assert outcome.success or outcome.status == 503, outcome
        if outcome.success:
            row = self.row()
            # Or somebody else is at it.
            assert row is None or row.state == "removing"
            self.note_removal()

    def note_removal(self) -> None:
        self.removed += 1
        self.over = self.over or self.told

    def arrive(self) -> None:
        """Do what the answers say until the file is there. Nothing that went before may stand in the way."""
        if self.misled:
            self.delete()
            self.upload.restart()
        outcome = self.page.upload(self.upload, attempts=6)
        assert (outcome.success, outcome.hangs) == (True, False), self.story()
        self._be_told()

    def check_file(self) -> None:
        """The finished file is the source, to the byte."""
        upload = self.row()
        assert upload is not None
        assert upload.is_complete, self.story()
        with upload.open() as file:
            assert file.read() == self.upload.file.data
        assert upload.params.get("note") in self.notes | {None}

    def check_answer(self, answer: WireResponse) -> None:
        """An answer that says the file is there is true when it is given."""
        if answer.status == 200 and answer.json().get("complete"):
            self.check_file()

    def story(self) -> str:
        """What this page sent and was told, for the report of a failure."""
        return "\n".join(f"{sent.url} {sent.body[-900:]!r} -> {answer.text}" for sent, answer in self.page.log)

    def _send_chunks(self, order: Sequence[int]) -> None:
        """Send the next few, which arrive in some order; after a failure the page hears no more of their answers."""
        batch = self.upload.remaining[: len(order)]
        failed = False
        for position in order:
            if position >= len(batch):
                continue
            resuming = self.upload.resuming
            outcome = self._judged(self.page.chunk_request(self.upload, batch[position], resuming=resuming))
            if failed:
                continue
            if outcome.success:
                self.upload.remaining.remove(batch[position])
            failed = not outcome.success
            self._hear(outcome)
        self.upload.resuming = self.upload.resuming and failed

    def _hear(self, outcome: Outcome) -> None:
        assert not outcome.hangs
        if outcome.reset:
            assert not self.page.options.concurrent, "a page with concurrent chunks hangs on this"
            self.upload.restart()
        if outcome.success and not self.upload.chunked:
            self._be_told()

    def _look_whether_told(self) -> None:
        if self.is_active and self.upload.chunked and not self.upload.remaining and not self.has_done:
            self._be_told()

    def _be_told(self) -> None:
        self.told = True
        self.check_file()

    def _judged(self, request: WireRequest) -> Outcome:
        return upload_outcome(self._send(request))

    def _judged_done(self, request: WireRequest) -> Outcome:
        return done_outcome(self._send(request))

    def _send(self, request: WireRequest) -> WireResponse:
        self.sent.append(request)
        answer = self.page.send(request)
        self.check_answer(answer)
        return answer
