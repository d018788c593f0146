"""Completing an upload: once, by one holder of a lease, with the same answer for everybody who asks.

RECEIVING -> ASSEMBLING is a conditional update that takes the lease and writes down the name before anything is
published under it. The holder renews the lease while it works. Whoever finds the lease lapsed takes it over: a file
that the row says is published is adopted, anything else is assembled again under a name of the taker's own; staged
bytes are kept until the row says COMPLETE, so that is always possible. A holder that lost its lease deletes only its
own file, and only if the row never said that it was published.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import OperationalError, connections
from django.db.models import Q, QuerySet
from django.db.transaction import TransactionManagementError

from ..backends.base import Backend, BackendFailed, OutOfSpace, StagingLost, StoredChunk
from ..database import database_now, in_transaction
from ..digests import digest_of
from ..exceptions import (
    Assembling,
    Busy,
    Forbidden,
    HookFailed,
    InvalidFile,
    NoSpace,
    StorageFailed,
    UploadError,
    UploadLost,
    WrongKind,
)
from ..logs import get_logger
from ..models import UploadSession, UploadTombstone, database
from ..owners import Caller
from ..protocol.messages import DoneMessage, Receipt
from ..receivers import Receiver
from ..signals import upload_completed
from .admission import begin_empty, check_params, tombstone_of
from .naming import check_extension, final_name
from .pages import recall
from .removal import FINISHED, IDLE, drop, lapsed
from .sniffing import SNIFF_SIZE, check_type, sniff
from .uploads import State, all_stored, find, merge_params, reload, rows, staging_of, stored_chunks, was_lost

logger = get_logger(__name__)

LEASE = datetime.timedelta(seconds=20)
WAIT_SECONDS = 25.0

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


def complete(receiver: Receiver, caller: Caller, message: DoneMessage) -> Receipt:
    """Handle the success request: complete the upload, or repeat the answer of the completion that was.

    An upload with anything missing or bad is dropped, and UploadLost tells the client to start again; that is right in
    every mode of the client (docs/protocol.md, section 2.2).
    """
    found = find(receiver, caller.owner, message.uuid)
    if found is None:
        upload = _begin_or_refuse(receiver, caller, message)
    else:
        upload, _ = found
    _take_last_word(receiver, caller, upload, message)
    if upload.state == State.RECEIVING:
        _check_whole(receiver, upload, message)
    return Receipt(complete=finish(receiver, caller, upload))


def finish(receiver: Receiver, caller: Caller, upload: UploadSession) -> bool:
    """Bring an upload, all of whose chunks are stored, to COMPLETE, or wait for the process that is at it.

    Raises Assembling after 25 seconds of waiting, UploadLost or the refusal where the upload ended otherwise, and
    what went wrong where this process did the work: then the next attempt can go on.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    pause = _FIRST_PAUSE
    while True:
        found = reload(upload)
        if found is None:
            raise how_it_ended(receiver, upload)
        current, now = found
        if current.state == State.COMPLETE:
            return True
        if current.state == State.REMOVING and drop(receiver, current, only=lapsed(now)):
            # Its process died in the middle of that.
            continue
        if _take_lease(receiver, current, now):
            if _Completion(receiver, caller, current).run():
                return True
            continue
        if time.monotonic() > deadline:
            raise Assembling
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _begin_or_refuse(receiver: Receiver, caller: Caller, message: DoneMessage) -> UploadSession:
    tombstone = tombstone_of(receiver, caller, message)
    if tombstone is not None and tombstone.refusal:
        raise recall(tombstone)
    if message.total_chunks != 0 or message.total_size != 0:
        raise UploadLost
    begin_empty(receiver, caller, message)
    found = find(receiver, caller.owner, message.uuid)
    if found is None:
        raise Busy
    return found[0]


def _check_whole(receiver: Receiver, upload: UploadSession, message: DoneMessage) -> None:
    total_size = upload.received_bytes if upload.total_size is None else upload.total_size
    good = (
        not was_lost(receiver, upload)
        and message.total_size in (None, total_size)
        and message.total_chunks in (None, upload.total_chunks)
        and all_stored(upload)
    )
    if good:
        return
    if drop(receiver, upload, done_request=True):
        raise UploadLost
    # It was just being completed, or removed, by somebody else: what they make of it is the answer.


def _take_last_word(receiver: Receiver, caller: Caller, upload: UploadSession, message: DoneMessage) -> None:
    """Names and parameters can be edited during the upload; the last ones seen win (docs/protocol.md, section 1.12).

    Also after the last chunk has completed the upload, but for a file that the site has taken.
    """
    before = {"filename": upload.filename, "params": upload.params}
    upload.filename = message.filename[:1024] or upload.filename
    upload.params = {**upload.params, **message.params}
    if not receiver.has_permission(caller.request, "complete", upload):
        raise Forbidden
    if before == {"filename": upload.filename, "params": upload.params}:
        return
    check_params(upload.params)
    # The name of an unfinished upload is checked when it is completed.
    if not _save_last_word(rows().filter(IDLE, pk=upload.pk), upload, message):
        check_extension(receiver, upload.filename)
        _save_last_word(rows().filter(FINISHED, pk=upload.pk, claimed_at=None), upload, message)


def _save_last_word(mine: QuerySet[UploadSession], upload: UploadSession, message: DoneMessage) -> bool:
    def save() -> bool:
        if not mine.update(filename=upload.filename):
            return False
        merge_params(upload, message.params)
        return True

    return in_transaction(database(), save)


def how_it_ended(receiver: Receiver, upload: UploadSession) -> UploadError:
    """What to say of an upload whose row has gone: the refusal that it left, else that the client should ask again."""
    names = {"receiver": upload.receiver, "owner_key": upload.owner_key, "uuid": upload.uuid}
    tombstone = UploadTombstone.objects.using(database()).filter(**names).first()
    return recall(tombstone) if tombstone is not None and tombstone.refusal else Busy()


def _take_lease(receiver: Receiver, upload: UploadSession, now: datetime.datetime) -> bool:
    """Become the one who completes, with a name written down; the name of a predecessor becomes the leftover.

    Raises UploadLost, with the upload dropped, where the bytes cannot be relied on, and Busy where chunks are missing.
    """
    free = IDLE | (lapsed(now) & Q(state=State.ASSEMBLING))
    held = upload.lease_until is not None and upload.lease_until > now
    if upload.state == State.REMOVING or (upload.state == State.ASSEMBLING and held):
        return False
    if was_lost(receiver, upload):
        drop(receiver, upload, only=free)
        raise UploadLost
    if not upload.published:
        _check_staged(receiver, upload)
    fields: dict[str, Any] = {
        "state": State.ASSEMBLING,
        "lease_token": secrets.token_hex(16),
        "lease_until": now + LEASE,
    }
    if not upload.published and not _has_fixed_name(receiver, upload):
        fields |= {"file": final_name(receiver, upload), "leftover": upload.file}
    # A predecessor that lives on may just have published: its file must be adopted then, and not be given up.
    mine = rows().filter(free, pk=upload.pk, lease_token=upload.lease_token, published=upload.published)
    if not in_transaction(database(), lambda: mine.update(**fields)):
        return False
    for name, value in fields.items():
        setattr(upload, name, value)
    return True


def _has_fixed_name(receiver: Receiver, upload: UploadSession) -> bool:
    backend = receiver.backend_of(upload)
    return backend is not None and backend.fixed_name


def _check_staged(receiver: Receiver, upload: UploadSession) -> None:
    if not all_stored(upload):
        raise Busy
    backend = receiver.backend_of(upload)
    if upload.leftover and backend is not None:
        # Two attempts died or stand still; only the last one's name can be kept for later.
        try:
            backend.retract(upload.leftover)
        except BackendFailed as error:
            raise StorageFailed from error


class _Completion:
    """The work of the lease's holder."""

    def __init__(self, receiver: Receiver, caller: Caller, upload: UploadSession) -> None:
        self._receiver = receiver
        self._caller = caller
        self._upload = upload
        self._mine = Q(state=State.ASSEMBLING, lease_token=upload.lease_token)

    def run(self) -> bool:
        """True when the upload is COMPLETE by our hand, False when the lease was lost; it is free when this raises."""
        try:
            return self._complete()
        except StagingLost as error:
            logger.warning("Staged bytes of upload %s are gone: %s", self._upload.uuid, error)
            if not drop(self._receiver, self._upload, only=self._mine):
                # Whoever took the lease over has completed the upload, and has no use for staged bytes any more.
                return False
            raise UploadLost from error
        except WrongKind as error:
            if not drop(self._receiver, self._upload, only=self._mine, refusal=error):
                self._release()
            raise
        except OutOfSpace as error:
            self._release()
            raise NoSpace from error
        except BackendFailed as error:
            logger.warning("Upload %s could not be assembled: %s", self._upload.uuid, error)
            self._release()
            raise StorageFailed from error
        except BaseException:
            self._release()
            raise

    def _complete(self) -> bool:
        backend = self._receiver.backend_of(self._upload)
        if backend is None:
            raise StagingLost("The backend is gone.")
        with _renewed(self._held):
            if not self._publish(backend):
                return False
            kind, digest = self._examine(backend)
            if not self._commit(kind, digest):
                return False
        self._clear_staging(backend)
        return True

    @functools.cached_property
    def _chunks(self) -> list[StoredChunk]:
        """All of them: none changes any more, and a long file has many."""
        return stored_chunks(self._upload)

    def _held(self) -> Any:
        return rows().filter(self._mine, pk=self._upload.pk)

    def _publish(self, backend: Backend) -> bool:
        check_extension(self._receiver, self._upload.filename)
        if self._upload.published:
            return True
        if self._upload.leftover:
            backend.retract(self._upload.leftover)
        size = sum(chunk.size for chunk in self._chunks)
        if self._upload.total_size not in (None, size):
            raise StagingLost("The chunks do not add up to the file that was announced.")
        name = self._upload.file
        try:
            name = backend.assemble(staging_of(self._upload), self._chunks, name=name, size=size)
        except BaseException:
            with contextlib.suppress(BackendFailed):
                self._give_up_file(backend, name)
            raise
        fields: dict[str, Any] = {"file": name, "published": True, "total_size": size}
        if backend.durability != "none":
            # The file outlives this boot of the machine, and the staged bytes are not needed any more.
            fields["boot_id"] = ""
        if not in_transaction(database(), lambda: self._held().update(**fields)):
            self._give_up_file(backend, name)
            return False
        for key, value in fields.items():
            setattr(self._upload, key, value)
        return True

    def _give_up_file(self, backend: Backend, name: str) -> None:
        """Delete what this attempt has published, or may have, unless the next one will make the very same file."""
        if not backend.fixed_name:
            backend.retract(name)

    def _examine(self, backend: Backend) -> tuple[str, str]:
        """Look at the assembled file: its type, the receiver's validation, its digest. Raises WrongKind."""
        options = self._receiver.options
        try:
            with backend.open(self._upload.file) as file:
                kind = sniff(file.read(SNIFF_SIZE), self._upload.filename)
                check_type(self._receiver, kind)
                file.seek(0)
                self._validate(file)
                if options.digest is None:
                    return kind, ""
                file.seek(0)
                return kind, digest_of(file, options.digest)
        except (UploadError, StagingLost, OutOfSpace, BackendFailed):
            raise
        except FileNotFoundError as error:
            raise StagingLost("The published file is gone.") from error
        except Exception as error:
            # The receiver's own are HookFailed by now: this is the storage's, and storages raise what they like.
            raise BackendFailed(repr(error)) from error

    def _validate(self, file: Any) -> None:
        try:
            self._receiver.validate(self._upload, file)
        except ValidationError as error:
            raise InvalidFile(" ".join(error.messages) or None) from error
        except Exception as error:
            logger.exception("The validation of upload %s failed.", self._upload.uuid)
            raise HookFailed from error

    def _commit(self, kind: str, digest: str) -> bool:
        """Say COMPLETE and run the hooks in one transaction. Raises HookFailed with nothing committed."""
        now = database_now(database())
        fields = {
            "state": State.COMPLETE,
            "content_type": kind,
            "digest": digest,
            "updated_at": now,
            "completed_at": now,
            "expires_at": None,
            "lease_token": "",
            "lease_until": None,
        }

        def commit() -> bool:
            if not self._held().update(**fields):
                return False
            for name, value in fields.items():
                setattr(self._upload, name, value)
            self._run_hooks()
            return True

        return in_transaction(database(), commit)

    def _run_hooks(self) -> None:
        try:
            self._receiver.completed(self._upload, self._caller.request)
            upload_completed.send(sender=UploadSession, upload=self._upload, request=self._caller.request)
            # A database error that a receiver swallowed has ended the transaction, and nobody would notice.
            if not rows().filter(pk=self._upload.pk, state=State.COMPLETE).exists():
                raise TransactionManagementError("A receiver has undone the transaction.")
        except (UploadError, OperationalError):
            raise
        except Exception as error:
            logger.exception("A receiver of the completed upload %s failed.", self._upload.uuid)
            raise HookFailed from error

    def _release(self) -> None:
        """Give the lease back, so that the next attempt need not wait for it to lapse. A published file is kept.

        The name stays on the row, so that the next attempt, or the removal, deletes what may be left under it.
        """
        fields: dict[str, Any] = {"state": State.RECEIVING, "lease_token": "", "lease_until": None}
        try:
            in_transaction(database(), lambda: self._held().update(**fields))
        except Exception:
            logger.exception("The lease of upload %s could not be released; it will lapse.", self._upload.uuid)

    def _clear_staging(self, backend: Backend) -> None:
        """Drop the staged bytes of a complete upload; what cannot go now is left to the purge."""
        try:
            backend.discard(staging_of(self._upload), self._chunks, published=True)
        except BackendFailed as error:
            logger.warning("Staged bytes of upload %s are left to the purge: %s", self._upload.uuid, error)


@contextlib.contextmanager
def _renewed(held: Any) -> Iterator[None]:
    """Renew the lease from a thread of its own while the block runs. A dead process renews nothing."""
    done = threading.Event()

    def renew() -> None:
        using = database()
        try:
            while not done.wait(LEASE.total_seconds() / 3):
                try:
                    until = database_now(using) + LEASE
                    held().update(lease_until=until)
                except Exception:
                    logger.warning("A lease could not be renewed.", exc_info=True)
        finally:
            connections[using].close()

    thread = threading.Thread(target=renew, name="fineuploader-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
