"""Who may send what: from a message to the row it belongs to, before a byte of its file is read."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from typing import Any, cast

from django.db import IntegrityError, transaction

from ..backends.base import Backend, BackendFailed, OutOfSpace, Plan, StagingLost, TooManyParts
from ..database import database_now, in_transaction
from ..exceptions import (
    BodyTooLarge,
    Busy,
    ChunkTooLarge,
    FileTooLarge,
    Forbidden,
    NoSpace,
    StorageFailed,
    TooManyChunks,
    TotalsChanged,
)
from ..models import UploadSession, UploadTombstone, database
from ..owners import Caller
from ..protocol.messages import DoneMessage, UploadMessage
from ..receivers import Receiver
from ..signals import upload_started
from . import geometry, quota
from .boot import current_boot
from .naming import check_extension, final_name
from .notify import notify
from .pages import check_lost, check_unknown
from .removal import drop, lapsed
from .uploads import State, arriving, find, rows, staging_of, was_lost

MAX_SIZE = 2**53
"""Larger files cannot be spoken of: the client's numbers end here."""

MAX_PARAMS_SIZE = 2**18

TOUCH_INTERVAL = datetime.timedelta(minutes=1)

PATIENCE_SECONDS = 5.0
"""How long to wait for somebody else to finish removing the upload that stands in the way."""


@dataclasses.dataclass(frozen=True)
class Admission:
    """The row a message belongs to, the database's time, and whether this request made the row."""

    upload: UploadSession
    now: datetime.datetime
    created: bool


def admit(receiver: Receiver, caller: Caller, message: UploadMessage) -> Admission:
    """Find or make the upload of a message.

    Raises an UploadError where the caller may not, a limit is passed, totals changed, or the upload was lost and the
    page must start again. Nothing is stored before all of that was checked.
    """
    check_limits(receiver, message)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = find(receiver, caller.owner, message.uuid)
        if found is None:
            admission = _begin(receiver, caller, message)
        else:
            admission = _continue(receiver, caller, message, *found)
        if admission is not None:
            return admission
    raise Busy


def check_limits(receiver: Receiver, message: UploadMessage) -> None:
    """The limits that a message alone can break. What it does not declare is counted as it arrives."""
    options = receiver.options
    end = message.offset + (message.size or 0)
    if options.max_file_size is not None and max(end, message.total_size or 0) > options.max_file_size:
        raise file_too_large(options.max_file_size)
    if message.chunked and options.max_chunk_size is not None:
        if max(message.size or 0, message.chunk_size or 0) > options.max_chunk_size:
            raise ChunkTooLarge
    if message.total_chunks > options.max_chunks:
        raise TooManyChunks
    if _upper_bound(message) > MAX_SIZE:
        raise FileTooLarge
    check_extension(receiver, message.filename)
    geometry.check_chunk(message)


def begin_empty(receiver: Receiver, caller: Caller, message: DoneMessage) -> None:
    """Make the upload of a 0-byte file that is only a success request (docs/protocol.md, section 4, item 1)."""
    check_extension(receiver, message.filename)
    _begin(
        receiver,
        caller,
        UploadMessage(
            uuid=message.uuid,
            wire_uuid=message.wire_uuid,
            filename=message.filename,
            params=message.params,
            total_size=0,
            total_chunks=0,
            done_request=True,
        ),
    )


def tombstone_of(receiver: Receiver, caller: Caller, message: UploadMessage | DoneMessage) -> UploadTombstone | None:
    tombstones = UploadTombstone.objects.using(database())
    return tombstones.filter(receiver=receiver.alias, owner_key=caller.owner.key, uuid=message.uuid).first()


def file_too_large(limit: int | None) -> FileTooLarge:
    return FileTooLarge(f"The file is too large: at most {limit} bytes are accepted.")


def _begin(receiver: Receiver, caller: Caller, message: UploadMessage) -> Admission | None:
    """Make the row, or return None where a parallel request was faster."""
    now = database_now(database())
    upload = _draft(receiver, caller, message, now)
    check_permission(receiver, caller, "upload", upload)
    check_params(message.params)
    tombstone = tombstone_of(receiver, caller, message)
    check_unknown(receiver, message, tombstone)
    _check_space(receiver, upload)
    backend = _make_place(receiver, upload)
    try:
        made = in_transaction(database(), lambda: _insert(receiver, upload, tombstone, message))
    except BaseException:
        _clear_place(backend, upload)
        raise
    if not made:
        _clear_place(backend, upload)
        return None
    notify(upload_started, upload=upload, request=caller.request)
    return Admission(upload, now, created=True)


def _draft(receiver: Receiver, caller: Caller, message: UploadMessage, now: datetime.datetime) -> UploadSession:
    return UploadSession(
        uuid=message.uuid,
        owner=cast(Any, caller.owner.user),
        owner_key=caller.owner.key,
        receiver=receiver.alias,
        filename=message.filename[:1024],
        content_type=message.content_type,
        params=message.params,
        total_size=message.total_size,
        total_chunks=message.total_chunks,
        chunk_size=message.chunk_size,
        reserved_bytes=_upper_bound(message),
        storage=receiver.options.storage,
        done_request=message.done_request,
        first_index=message.index,
        resumed_index=message.index if message.resumed else None,
        created_at=now,
        updated_at=now,
        expires_at=now + receiver.options.expire_after,
    )


def check_params(params: dict[str, Any]) -> None:
    """Raise BodyTooLarge where an upload's parameters, all its requests together, are more than a row should hold."""
    if params and len(json.dumps(params)) > MAX_PARAMS_SIZE:
        raise BodyTooLarge("The page sends too many parameters with the file.")


def _upper_bound(message: UploadMessage) -> int:
    """How large the file will be, at most, where its size is not declared."""
    if message.total_size is not None:
        return message.total_size
    return max(message.body_size, round((message.chunk_size or 0) * message.total_chunks))


def check_permission(receiver: Receiver, caller: Caller, action: str, upload: UploadSession | None) -> None:
    if not receiver.has_permission(caller.request, action, upload):
        raise Forbidden


def _check_space(receiver: Receiver, upload: UploadSession) -> None:
    """Raise NoSpace where what is still to come of an upload would leave less than MIN_FREE_SPACE."""
    still_to_come = upload.reserved_bytes - upload.received_bytes
    free = receiver.backend.free_space() if still_to_come > 0 else None
    if free is not None and free - still_to_come < receiver.options.min_free_space:
        raise NoSpace


def _make_place(receiver: Receiver, upload: UploadSession) -> Backend:
    """Choose the backend and have it make a place; both are written down in the upload, which is not saved yet."""
    plan = Plan(
        name=final_name(receiver, upload) if receiver.backend.fixed_name else "",
        total_size=upload.total_size,
        total_chunks=upload.total_chunks,
        chunk_size=upload.chunk_size,
    )
    try:
        upload.backend, backend = receiver.backend_for(plan)
        staging = backend.begin(plan)
    except TooManyParts as error:
        raise TooManyChunks from error
    except OutOfSpace as error:
        raise NoSpace from error
    except (BackendFailed, StagingLost) as error:
        raise StorageFailed from error
    upload.staging_root, upload.staged_name, upload.staged_handle = staging.root, staging.name, staging.handle
    upload.file = plan.name if backend.fixed_name else ""
    upload.boot_id = "" if backend.durable else current_boot()
    return backend


def _clear_place(backend: Backend, upload: UploadSession) -> None:
    try:
        backend.discard(staging_of(upload), (), published=False)
    except BackendFailed:
        # An empty place of our own making: `purge --orphans` finds it.
        return


def _insert(
    receiver: Receiver, upload: UploadSession, tombstone: UploadTombstone | None, message: UploadMessage
) -> bool:
    upload.pk = None
    if quota.is_limited(receiver):
        quota.take_turn(receiver, upload.owner_key)
        quota.check(receiver, upload, upload.reserved_bytes)
    try:
        with transaction.atomic(using=database()):
            upload.save(using=database(), force_insert=True)
    except IntegrityError:
        return False
    if tombstone is not None and message.index == 0:
        # The refusal is past; that there was another upload is not, if this is a late copy of its chunk 0.
        UploadTombstone.objects.using(database()).filter(pk=tombstone.pk).update(refusal="", message="")
    return True


def _continue(
    receiver: Receiver, caller: Caller, message: UploadMessage, upload: UploadSession, now: datetime.datetime
) -> Admission | None:
    """Admit to an upload that exists, or return None where it had to make way for a new one."""
    check_permission(receiver, caller, "upload", upload)
    check_params({**upload.params, **message.params})
    if upload.state == State.REMOVING:
        if not drop(receiver, upload, only=lapsed(now)):
            time.sleep(0.05)
        return None
    if upload.state == State.RECEIVING and was_lost(receiver, upload):
        give_up_lost(receiver, upload, message)
        return None
    if not geometry.same_totals(upload, message):
        if upload.state != State.RECEIVING or message.index != 0 or arriving(upload, now).exists():
            raise TotalsChanged
        # A picture that was scaled again, under its old uuid (docs/protocol.md, section 1.11).
        _make_way(receiver, upload, tombstone=False)
        return None
    if upload.state == State.RECEIVING:
        _check_space(receiver, upload)
        if not _touch(receiver, upload, now):
            return None
    return Admission(upload, now, created=False)


def give_up_lost(receiver: Receiver, upload: UploadSession, message: UploadMessage) -> None:
    """Remove an upload whose bytes are gone, unless it was completed meanwhile.

    Returns where the message is to be admitted again, and may begin a new upload; else raises UploadLost or Busy.
    """
    if _make_way(receiver, upload):
        check_lost(receiver, upload, message)


def _make_way(receiver: Receiver, upload: UploadSession, *, tombstone: bool = True) -> bool:
    """Remove an upload. False where it is being completed, or is complete; Busy where it can be neither."""
    if drop(receiver, upload, tombstone=tombstone):
        return True
    state = rows().filter(pk=upload.pk).values_list("state", flat=True).first()
    if state == State.RECEIVING:
        raise Busy
    return state not in (State.ASSEMBLING, State.COMPLETE)


def _touch(receiver: Receiver, upload: UploadSession, now: datetime.datetime) -> bool:
    """Keep an upload that goes on after a pause from the purge. False when it is not receiving any more."""
    if now - upload.updated_at < TOUCH_INTERVAL:
        return True
    receiving = rows().filter(pk=upload.pk, state=State.RECEIVING)
    fields = {"updated_at": now, "expires_at": now + receiver.options.expire_after}
    return bool(in_transaction(database(), lambda: receiving.update(**fields)))
