"""A record of every signal, written when the transaction that sent it has committed."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from fineuploader_receiver import signals
from livesite import settings
from livesite.recorder import append_line

NAMES = ("upload_started", "chunk_received", "upload_completed", "upload_deleted", "upload_expired")


def listen(name: str) -> None:
    """Record the signal of this name."""

    def record(sender: Any, *, upload: Any, **kwargs: Any) -> None:
        line = {"signal": name, "uuid": str(upload.uuid), "receiver": upload.receiver}
        transaction.on_commit(lambda: append_line(settings.FOLDER / "events.jsonl", line))

    getattr(signals, name).connect(record, weak=False, dispatch_uid=name)


def listen_to_all() -> None:
    """Record every signal of the app."""
    for name in NAMES:
        listen(name)
