"""Finding uploads and describing their bytes to a backend."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db.models import QuerySet

from ..backends.base import Staging, StoredChunk
from ..models import UploadChunk, UploadSession, database
from ..owners import Owner
from ..receivers import Receiver
from . import statements
from .boot import current_boot

State = UploadSession.State

KEY_SEPARATOR = "\n"
"""Between the keys of several attempts at a chunk that is not stored yet."""

CLAIM_LAPSE = datetime.timedelta(seconds=90)
"""How long after its last sign of life a claimed chunk still counts as being received."""

EXPIRY_LAG = datetime.timedelta(minutes=1)


def rows() -> QuerySet[UploadSession]:
    return UploadSession.objects.using(database())


def chunk_rows(upload: UploadSession) -> QuerySet[UploadChunk]:
    return UploadChunk.objects.using(database()).filter(session_id=upload.pk)


def find(receiver: Receiver, owner: Owner, number: uuid.UUID) -> tuple[UploadSession, datetime.datetime] | None:
    """The owner's upload and the database's time, in one query. Someone else's upload does not exist."""
    return statements.find_upload(database(), receiver=receiver.alias, owner_key=owner.key, number=number)


def reload(upload: UploadSession) -> tuple[UploadSession, datetime.datetime] | None:
    return statements.reload_upload(database(), upload.pk)


def arriving(upload: UploadSession, now: datetime.datetime) -> QuerySet[UploadChunk]:
    """The chunks whose bytes are on their way at this moment."""
    return chunk_rows(upload).filter(stored=False, claimed_at__gt=now - CLAIM_LAPSE)


def new_expiry(receiver: Receiver, upload: UploadSession, now: datetime.datetime) -> dict[str, datetime.datetime]:
    """The field that puts off the expiry of an upload which is alive at `now`, where that is due.

    It lags by a minute at most: to move an indexed column with every chunk costs more than the chunk's own row.
    """
    life = receiver.options.expire_after
    lag = min(EXPIRY_LAG, life / 60)
    if upload.expires_at is not None and now + life - upload.expires_at < lag:
        return {}
    return {"expires_at": now + life}


def staging_of(upload: UploadSession) -> Staging:
    return Staging(upload.staging_root, upload.staged_name, upload.staged_handle)


def stored_chunks(upload: UploadSession) -> list[StoredChunk]:
    """The stored chunks in order, for a backend."""
    values = chunk_rows(upload).filter(stored=True).order_by("index").values_list("index", "offset", "size", "key")
    return [StoredChunk(index=index, offset=offset, size=size, key=key) for index, offset, size, key in values]


def staged_chunks(upload: UploadSession) -> list[StoredChunk]:
    """Stored and merely claimed chunks: everything that may have left bytes somewhere."""
    values = chunk_rows(upload).order_by("index").values_list("index", "offset", "size", "key")
    return [
        StoredChunk(index=index, offset=offset, size=size, key=key)
        for index, offset, size, keys in values
        for key in split_keys(keys)
    ]


def split_keys(keys: str) -> list[str]:
    """The keys of all attempts at a chunk; empty ones, of attempts whose place is known without, are left out."""
    return [key for key in keys.split(KEY_SEPARATOR) if key]


def was_lost(receiver: Receiver, upload: UploadSession) -> bool:
    """Whether the bytes are out of reach, or were acknowledged without fsync before this machine last booted."""
    return upload.boot_id not in ("", current_boot()) or receiver.backend_of(upload) is None


def merge_params(upload: UploadSession, params: dict[str, Any]) -> None:
    """Add parameters to an upload's row, the last request winning per key.

    Inside a transaction that has written to the row: then no parallel request's parameters are lost.
    """
    current = rows().filter(pk=upload.pk).values_list("params", flat=True).get()
    merged = {**current, **params}
    if merged != current:
        rows().filter(pk=upload.pk).update(params=merged)


def has_all(upload: UploadSession) -> bool | None:
    """Whether as many chunks were counted as there should be, None without a row: one look, however many there are."""
    return statements.has_all_chunks(database(), upload.pk)


def all_stored(upload: UploadSession) -> bool:
    """Whether every chunk is here. Indexes are unique and below the total, and each was checked against its range."""
    return chunk_rows(upload).filter(stored=True).count() == upload.total_chunks
