"""Deleting an upload: the row says so first, then the bytes go, then the row.

A process that dies in between leaves a REMOVING row whose lease lapses; whoever comes next, the purge at the latest,
goes on from there. Deleting bytes again is harmless.
"""

from __future__ import annotations

import datetime
import secrets

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q, RestrictedError
from django.db.models.deletion import Collector

from ..backends.base import BackendFailed
from ..database import database_now, in_transaction
from ..exceptions import Assembling, Claimed, Forbidden, StorageFailed, UploadError
from ..logs import get_logger
from ..models import UploadSession, UploadTombstone, database
from ..owners import Caller
from ..protocol.messages import DeleteMessage
from ..receivers import Receiver
from ..signals import upload_deleted
from .notify import notify
from .uploads import State, chunk_rows, find, rows, staged_chunks, staging_of

logger = get_logger(__name__)

LEASE = datetime.timedelta(seconds=20)

IDLE = Q(state=State.RECEIVING)
FINISHED = Q(state=State.COMPLETE)

_ATTEMPTS = 5


def delete(receiver: Receiver, caller: Caller, message: DeleteMessage) -> None:
    """Delete the owner's upload, finished or not. An unknown one, and someone else's, change nothing and are no error.

    Raises Claimed for a file the site has taken, Forbidden, Assembling while the file is being put together, and
    StorageFailed where bytes could not be deleted: the row then stays, and a repeat goes on.
    """
    found = find(receiver, caller.owner, message.uuid)
    if found is None:
        return
    upload, now = found
    if not receiver.has_permission(caller.request, "delete", upload):
        raise Forbidden
    if upload.claimed_at is not None or _is_protected(upload):
        raise Claimed
    if not _claim(upload, now, (IDLE | FINISHED | lapsed(now)) & Q(claimed_at=None)):
        again = find(receiver, caller.owner, message.uuid)
        if again is None or again[0].state == State.REMOVING:
            return
        raise Claimed if again[0].claimed_at is not None else Assembling
    _erase(receiver, upload, tombstone=True)
    notify(upload_deleted, upload=upload, request=caller.request)


def drop(
    receiver: Receiver,
    upload: UploadSession,
    *,
    only: Q = IDLE,
    tombstone: bool = True,
    done_request: bool | None = None,
    refusal: UploadError | None = None,
) -> bool:
    """Remove an upload that is of no use any more: lost, refused, or in the way of a new one.

    `only` is what must hold at the moment the row is claimed; the default spares everything but unfinished uploads that
    nobody is assembling. True when the upload is gone; False when that did not hold, or its bytes could not be deleted,
    which the purge repeats.
    """
    if done_request is not None:
        upload.done_request = done_request
    try:
        return remove(receiver, upload, only=only, tombstone=tombstone, refusal=refusal)
    except StorageFailed:
        return False


def remove(
    receiver: Receiver,
    upload: UploadSession,
    *,
    only: Q,
    tombstone: bool = True,
    refusal: UploadError | None = None,
) -> bool:
    """Like `drop`, but raises StorageFailed where bytes could not be deleted: the row stays, for the next run."""
    if _is_protected(upload) or not _claim(upload, database_now(database()), only):
        return False
    _erase(receiver, upload, tombstone=tombstone, refusal=refusal)
    return True


def lapsed(now: datetime.datetime) -> Q:
    """Rows whose assembling or removal nobody is at any more."""
    return Q(state__in=(State.ASSEMBLING, State.REMOVING)) & (Q(lease_until=None) | Q(lease_until__lte=now))


def _is_protected(upload: UploadSession) -> bool:
    """Whether a row of the site's refers to this one and forbids its deletion: then the bytes must stay as well."""
    try:
        Collector(using=database(), origin=upload).collect([upload])
    except (ProtectedError, RestrictedError):
        return True
    return False


def _claim(upload: UploadSession, now: datetime.datetime, only: Q) -> bool:
    mine = rows().filter(only, pk=upload.pk)
    fields = {
        "state": State.REMOVING,
        "lease_token": secrets.token_hex(16),
        "lease_until": now + LEASE,
        # Due for the purge, should this process die.
        "expires_at": now,
    }
    return bool(in_transaction(database(), lambda: mine.update(**fields)))


def _erase(receiver: Receiver, upload: UploadSession, *, tombstone: bool, refusal: UploadError | None = None) -> None:
    try:
        _erase_bytes(receiver, upload)
    except StorageFailed:
        _let_go(upload)
        raise
    now = database_now(database())

    def erase_rows() -> None:
        if not rows().filter(pk=upload.pk, state=State.REMOVING).update(lease_until=None):
            # Somebody else has ended this removal while we stood still; a new upload may bear the uuid by now.
            return
        chunk_rows(upload).delete()
        if tombstone:
            _bury(receiver, upload, now, refusal)
        rows().filter(pk=upload.pk).delete()

    for _ in range(_ATTEMPTS):
        try:
            in_transaction(database(), erase_rows)
            return
        except IntegrityError:
            # A late chunk was claimed meanwhile; it will find that its upload is gone.
            continue
    logger.warning("The row of upload %s is left to the purge.", upload.uuid)


def _let_go(upload: UploadSession) -> None:
    """Give the lease back: a repeat of what failed goes on at once, and does not take it for somebody else's work."""
    mine = rows().filter(pk=upload.pk, state=State.REMOVING)
    in_transaction(database(), lambda: mine.update(lease_until=None))


def _erase_bytes(receiver: Receiver, upload: UploadSession) -> None:
    backend = receiver.backend_of(upload)
    if backend is None:
        logger.warning("The backend or storage of upload %s is gone; its bytes are left where they are.", upload.uuid)
        return
    try:
        if upload.staged_name:
            backend.discard(staging_of(upload), staged_chunks(upload), published=False)
        names = rows().filter(pk=upload.pk).values_list("file", "leftover").first() or ()
        for name in filter(None, names):
            backend.retract(name)
    except BackendFailed as error:
        logger.warning("Bytes of upload %s could not be deleted: %s", upload.uuid, error)
        raise StorageFailed from error


def _bury(receiver: Receiver, upload: UploadSession, now: datetime.datetime, refusal: UploadError | None) -> None:
    """Leave a tombstone in place of the row; the last burial under one uuid counts."""
    using = database()
    values = {
        "out_of_order": upload.out_of_order,
        "done_request": upload.done_request,
        "refusal": refusal.code if refusal else "",
        "message": str(refusal.message)[:500] if refusal else "",
        "expires_at": now + receiver.options.expire_after,
    }
    names = {"receiver": upload.receiver, "owner_key": upload.owner_key, "uuid": upload.uuid}
    tombstones = UploadTombstone.objects.using(using)
    if not tombstones.filter(**names).update(**values):
        try:
            with transaction.atomic(using=using):
                tombstones.create(**names, **values)
        except IntegrityError:
            tombstones.filter(**names).update(**values)
