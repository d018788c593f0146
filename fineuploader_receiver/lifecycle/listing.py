"""What an owner may see of its uploads: the status of one, and the list of finished ones."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from ..exceptions import Forbidden, NotFound
from ..logs import get_logger
from ..models import UploadSession
from ..owners import Caller
from ..receivers import Receiver
from .uploads import State, chunk_rows, find, rows

logger = get_logger(__name__)

MAX_LISTED = 1000
BATCH = 50


def status(receiver: Receiver, caller: Caller, number: uuid.UUID) -> dict[str, Any]:
    """The state of the owner's upload: bytes stored so far, and the stored indexes as inclusive ranges.

    Raises NotFound for an unknown upload and for someone else's, which look the same, and Forbidden.
    """
    found = find(receiver, caller.owner, number)
    if found is None:
        raise NotFound
    upload, _ = found
    if not receiver.has_permission(caller.request, "status", upload):
        raise Forbidden
    return {
        "success": True,
        "uuid": str(upload.uuid),
        "state": str(upload.state),
        "received": _ranges(upload),
        "bytes": upload.received_bytes,
        "total": upload.total_size,
        "chunks": upload.total_chunks,
        "name": upload.filename,
        "expires": upload.expires_at.isoformat() if upload.expires_at else None,
    }


def list_uploads(receiver: Receiver, caller: Caller) -> list[dict[str, Any]]:
    """The owner's complete and unclaimed uploads, newest first, at most 1000, as the client's initial file list.

    An item without uuid or name would make the client drop it and all that follow, so it is left out and logged.
    """
    if not receiver.has_permission(caller.request, "list", None):
        raise Forbidden
    finished = rows().filter(receiver=receiver.alias, owner_key=caller.owner.key, state=State.COMPLETE, claimed_at=None)
    keys = list(finished.order_by("-completed_at", "-pk").values_list("pk", flat=True)[:MAX_LISTED])
    return [item for upload in _loaded(keys) if (item := _item(receiver, upload)) is not None]


def _loaded(keys: list[int]) -> Iterator[UploadSession]:
    """The rows of some keys, in that order, a few at a time: their parameters can be large."""
    for start in range(0, len(keys), BATCH):
        found = rows().in_bulk(keys[start : start + BATCH])
        yield from (found[key] for key in keys[start : start + BATCH] if key in found)


def _item(receiver: Receiver, upload: UploadSession) -> dict[str, Any] | None:
    item = receiver.session_item(upload)
    if item.get("uuid") and item.get("name"):
        return item
    logger.warning("Upload %s is left out of the initial list: its item has no uuid or no name.", upload.uuid)
    return None


def _ranges(upload: UploadSession) -> list[list[int]]:
    if upload.state == State.COMPLETE:
        return [[0, upload.total_chunks - 1]] if upload.total_chunks else []
    indexes = chunk_rows(upload).filter(stored=True).order_by("index").values_list("index", flat=True)
    return _runs(indexes.iterator())


def _runs(indexes: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return runs
