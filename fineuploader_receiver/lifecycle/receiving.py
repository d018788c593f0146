"""Receiving a chunk: claim its index, stream its bytes to the backend, commit, and complete the upload if all is here.

The order of steps is what keeps promises 1 to 4. (1) The backend opens a writer. (2) The chunk's row is claimed with
the attempt's token. (3) Bytes flow, counted. (4) The writer commits. (5) One transaction counts the chunk on the upload
and marks its row stored, if it is not stored yet. A crash between any two of them leaves an index that is not stored,
which the client's repeat stores. No transaction is open while bytes flow.

Of two attempts at one chunk the first that is whole counts: on a slow store behind an impatient proxy, the last that
claimed would be overtaken again and again. The row keeps the keys of all attempts until one of them is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from ..backends.base import BackendFailed, ChunkWriter, OutOfSpace, StagingLost
from ..database import database_now, in_transaction
from ..digests import BodyDigest
from ..exceptions import (
    Busy,
    ChunkTooLarge,
    DigestMismatch,
    NoSpace,
    SizeMismatch,
    StorageFailed,
    TotalsChanged,
    UploadError,
    UploadLost,
    WrongKind,
)
from ..logs import get_logger
from ..models import UploadSession, database
from ..owners import Caller
from ..protocol.messages import Receipt, UploadMessage
from ..receivers import Receiver
from ..signals import chunk_received
from . import statements
from .admission import Admission, admit, file_too_large, give_up_lost
from .claims import Claim, RowGone
from .completion import finish, how_it_ended
from .notify import notify
from .pages import PARALLEL_CHUNKS, began_earlier, may_break_on_reset, sends_done
from .removal import IDLE, drop
from .sniffing import SNIFF_SIZE, check_type, sniff
from .uploads import (
    CLAIM_LAPSE,
    State,
    arriving,
    has_all,
    merge_params,
    new_expiry,
    reload,
    rows,
    staging_of,
)

logger = get_logger(__name__)

Content = Iterator["bytes | memoryview"]

HEARTBEAT_SECONDS = 30.0
COMPANY_SECONDS = 1.0
"""How far apart requests may arrive that were sent at the same moment."""
SPACE_CHECK_BYTES = 64 * 2**20


class _BytesLost(Exception):
    """The staged bytes of an upload are not where they were."""


def receive(receiver: Receiver, caller: Caller, message: UploadMessage, content: Content) -> Receipt:
    """Take a simple upload or a chunk, whose file bytes `content` yields, and return what became of the upload.

    An index that is stored already is read and not written. Raises an UploadError; then nothing of these bytes counts,
    and an upload that this request began is gone again, unless other chunks of it are on their way.
    """
    measured = Measured(receiver, message, content)
    while True:
        admission = admit(receiver, caller, message)
        if admission.upload.state != State.RECEIVING:
            _read_repeat(admission.upload, message, measured)
            return _finish(receiver, caller, message, admission.upload)
        attempt = _Attempt(receiver, message, admission)
        try:
            stored = attempt.run(measured)
        except _BytesLost:
            give_up_lost(receiver, admission.upload, message)
            if measured.size:
                # The bytes are gone with the place that they were for.
                raise Busy from None
            continue
        except RowGone:
            continue
        if stored:
            notify(chunk_received, upload=admission.upload, request=caller.request)
        else:
            _read_repeat(admission.upload, message, measured)
        return _look_at_whole(receiver, caller, message, admission.upload)


def _read_repeat(upload: UploadSession, message: UploadMessage, measured: Measured) -> None:
    """Read (the rest of) the body of a chunk that is here already, as far as to know that it could be the same."""
    for _ in measured:
        pass
    simple = not message.chunked and upload.total_size is not None
    if simple and measured.size != upload.total_size:
        raise TotalsChanged


class Measured:
    """The file bytes of a request, counted and checked as they pass: once through, they are what was announced.

    Raises an UploadError as soon as they cannot be: SizeMismatch, DigestMismatch, FileTooLarge or ChunkTooLarge.
    """

    def __init__(self, receiver: Receiver, message: UploadMessage, content: Content) -> None:
        self.size = 0
        self._options = receiver.options
        self._message = message
        self._content = content
        self._limit, self._refuse = self._find_limit()
        self._digest = BodyDigest(message.digest) if message.digest else None

    def __iter__(self) -> Content:
        for data in self._content:
            self.size += len(data)
            if self._limit is not None and self.size > self._limit:
                raise self._refuse()
            if self._digest is not None:
                self._digest.update(data)
            yield data
        if self._message.size not in (None, self.size):
            raise SizeMismatch
        if self._digest is not None and not self._digest.matches():
            raise DigestMismatch

    def _find_limit(self) -> tuple[int | None, Callable[[], UploadError]]:
        """How many bytes may come, and the error for one more."""
        if self._message.size is not None:
            return self._message.size, SizeMismatch
        if self._message.chunked and self._options.max_chunk_size is not None:
            return self._options.max_chunk_size, ChunkTooLarge
        return self._options.max_file_size, lambda: file_too_large(self._options.max_file_size)


def _look_at_whole(receiver: Receiver, caller: Caller, message: UploadMessage, upload: UploadSession) -> Receipt:
    """Complete the upload if every chunk is here. Repeats look too, so a completion that failed is tried again."""
    if _is_far_from_whole(receiver, message, upload):
        return Receipt(complete=False)
    whole = has_all(upload)
    if whole is None:
        # A parallel repeat has completed it, and it was refused or lost.
        raise how_it_ended(receiver, upload)
    if whole:
        return _finish(receiver, caller, message, upload)
    if began_earlier(receiver, upload, message) and not _goes_on(receiver, message, upload):
        if drop(receiver, upload, only=IDLE & Q(received_chunks__lt=F("total_chunks"))):
            raise UploadLost
    return Receipt(complete=False)


def _goes_on(receiver: Receiver, message: UploadMessage, upload: UploadSession) -> bool:
    """Whether other chunks of the upload show up: a page with concurrent chunks has sent its last few together."""
    deadline = time.monotonic() + COMPANY_SECONDS
    while (found := reload(upload)) is not None:
        if may_break_on_reset(receiver, message, found[0]) or arriving(*found).exists():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return False


def _finish(receiver: Receiver, caller: Caller, message: UploadMessage, upload: UploadSession) -> Receipt:
    """Complete the upload. A page that may break on `reset` here hears of lost bytes from its success request."""
    try:
        return Receipt(complete=finish(receiver, caller, upload))
    except UploadLost:
        if message.chunked and may_break_on_reset(receiver, message, upload):
            return Receipt(complete=False)
        raise


def _is_far_from_whole(receiver: Receiver, message: UploadMessage, upload: UploadSession) -> bool:
    """Whether the count can be spared: the page's own success request looks anyway, and far too much was missing.

    Never for a simple upload: no page sends a success request after one, whatever its marker says.
    """
    if not message.chunked or upload.chunk_size is None or upload.total_size is None:
        return False
    missing = upload.total_size - upload.received_bytes
    return sends_done(receiver, message, upload.done_request) is True and missing > PARALLEL_CHUNKS * upload.chunk_size


class _Attempt:
    """One attempt at one chunk, from the claim to the commit."""

    def __init__(self, receiver: Receiver, message: UploadMessage, admission: Admission) -> None:
        self._receiver = receiver
        self._message = message
        self._upload = admission.upload
        self._now = admission.now
        self._created = admission.created
        self._claim = Claim(admission.upload, message.index)
        self._head = b""
        self._size = 0
        self._may_be_stored = False

    def run(self, measured: Measured) -> bool:
        """True when this attempt's bytes are the chunk; False when others' are, and `measured` may be unread."""
        writer = self._open()
        try:
            if not self._take_claim(writer.key):
                writer.abort()
                return False
            self._copy(measured, writer)
            self._guarded(writer.commit)
            self._may_be_stored = True
            if self._commit(writer.key):
                return True
            writer.abort()
        except StagingLost as error:
            writer.abort()
            if not self._claim.look():
                self._undo(error)
                raise _BytesLost from error
            # Others have stored the chunk and may have completed the file: no wonder that its place is gone.
        except BaseException as error:
            if not (self._may_be_stored and self._claim.is_stored()):
                writer.abort()
            self._undo(error)
            raise
        finally:
            writer.close()
        return self._outrun()

    def _open(self) -> ChunkWriter:
        backend = self._receiver.backend_of(self._upload)
        if backend is None:
            raise _BytesLost
        self._backend = backend
        try:
            return backend.open_chunk(
                staging_of(self._upload),
                index=self._message.index,
                offset=self._message.offset,
                size=self._message.size,
                token=self._claim.token,
            )
        except StagingLost as error:
            raise _BytesLost from error
        except OutOfSpace as error:
            self._undo(error)
            raise NoSpace from error
        except BackendFailed as error:
            self._undo(error)
            raise StorageFailed from error

    def _take_claim(self, key: str) -> bool:
        message = self._message
        return self._claim.take(key=key, offset=message.offset, size=message.size or 0, now=self._now)

    def _copy(self, measured: Measured, writer: ChunkWriter) -> None:
        """Stream the body into the writer. Raises an UploadError as soon as it cannot be right."""
        next_beat = time.monotonic() + HEARTBEAT_SECONDS
        next_check = SPACE_CHECK_BYTES
        for data in measured:
            if self._message.index == 0 and len(self._head) < SNIFF_SIZE:
                self._sniff(data)
            self._guarded(writer.write, data)
            if measured.size >= next_check:
                self._check_space()
                next_check += SPACE_CHECK_BYTES
            if time.monotonic() >= next_beat:
                self._beat()
                next_beat = time.monotonic() + HEARTBEAT_SECONDS
        self._size = measured.size
        if self._size:
            # Others may have filled the disk meanwhile, with uploads that were admitted when there was room for each.
            self._check_space()

    def _sniff(self, data: bytes | memoryview) -> None:
        self._head += bytes(data[: SNIFF_SIZE - len(self._head)])
        if len(self._head) >= SNIFF_SIZE:
            check_type(self._receiver, sniff(self._head, self._message.filename))

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call the writer and say in the client's terms what went wrong."""
        try:
            call(*arguments)
        except OutOfSpace as error:
            raise NoSpace from error
        except BackendFailed as error:
            logger.warning("A chunk of upload %s could not be stored: %s", self._upload.uuid, error)
            raise StorageFailed from error

    def _check_space(self) -> None:
        free = self._receiver.backend.free_space()
        if free is not None and free < self._receiver.options.min_free_space:
            raise NoSpace

    def _beat(self) -> None:
        """Show that bytes are arriving: the claim does not lapse, the upload does not expire."""
        self._now = now = database_now(database())
        self._claim.renew(now)
        alive = rows().filter(pk=self._upload.pk, state=State.RECEIVING)
        fields = {"updated_at": now, "expires_at": now + self._receiver.options.expire_after}
        in_transaction(database(), lambda: alive.update(**fields))

    def _commit(self, key: str) -> bool:
        """Count the chunk and mark it stored, together. False when it was stored before, or the upload is over."""
        index, values = self._message.index, self._upload_fields()
        live_after = self._now - CLAIM_LAPSE if self._order_matters() and "out_of_order" not in values else None

        def commit() -> list[str] | None:
            if not statements.count_chunk(
                database(), self._upload.pk, index=index, size=self._size, live_after=live_after, values=values
            ):
                return None
            others = self._claim.store(key=key, size=self._size)
            if others is None:
                transaction.set_rollback(True, using=database())
            elif {**self._upload.params, **self._message.params} != self._upload.params:
                merge_params(self._upload, self._message.params)
            return others

        others = in_transaction(database(), commit)
        if others is None:
            return False
        for other in others:
            self._backend.forget(staging_of(self._upload), other)
        self._upload.received_bytes += self._size
        return True

    def _upload_fields(self) -> dict[str, Any]:
        message, upload = self._message, self._upload
        now = max(self._now, upload.updated_at)
        fields: dict[str, Any] = {"updated_at": now, **new_expiry(self._receiver, upload, now)}
        if self._is_out_of_order():
            fields["out_of_order"] = True
        if message.filename and message.filename[:1024] != upload.filename:
            fields["filename"] = message.filename[:1024]
        if message.done_request is not None and upload.done_request is None:
            fields["done_request"] = message.done_request
        if message.resumed and upload.resumed_index is None:
            fields["resumed_index"] = message.index
        if message.chunk_size is not None and upload.chunk_size is None:
            fields["chunk_size"] = message.chunk_size
        if upload.total_size is None:
            known = message.total_size if message.chunked else self._size
            fields |= {} if known is None else {"total_size": known}
        return fields

    def _order_matters(self) -> bool:
        """Whether the order of chunks tells something new: it stands for a word about the success request."""
        is_told = sends_done(self._receiver, self._message, self._upload.done_request) is not None
        return not is_told and not self._upload.out_of_order

    def _is_out_of_order(self) -> bool:
        """Signs of a page with concurrent chunks that the request alone shows; the row may show others."""
        message, resumed = self._message, self._upload.resumed_index
        two_resumed = message.resumed and resumed is not None and resumed != message.index
        return message.index < self._upload.first_index or two_resumed

    def _outrun(self) -> bool:
        """Wait for what becomes of a chunk that somebody else took over or stored while we were at it.

        False when the chunk is there without us. Raises Busy where it is not, and the client must send it again.
        """
        self._claim.give_up(self._now)
        deadline = time.monotonic() + HEARTBEAT_SECONDS
        while time.monotonic() < deadline:
            found = reload(self._upload)
            if found is None:
                raise Busy
            if found[0].state == State.REMOVING:
                raise Busy
            if found[0].state in (State.ASSEMBLING, State.COMPLETE):
                return False
            stored = self._claim.look()
            if stored:
                return False
            if stored is None:
                # Whoever took over has given up as well.
                raise Busy
            time.sleep(0.1)
        raise Busy

    def _undo(self, error: BaseException) -> None:
        """Leave nothing of a failed attempt: neither its claim nor an upload that exists only because of it."""
        try:
            self._claim.give_up(self._now)
            if isinstance(error, WrongKind):
                drop(self._receiver, self._upload, refusal=error)
            elif self._created:
                drop(self._receiver, self._upload, tombstone=False, only=IDLE & Q(chunks=None))
        except Exception:
            # The first error is what the client must hear; the purge removes what is left.
            logger.exception("A failed attempt at upload %s could not be cleaned up.", self._upload.uuid)
