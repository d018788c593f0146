"""Sending the signals that only tell: what their receivers raise is logged and changes nothing."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from ..logs import get_logger
from ..models import UploadSession

logger = get_logger(__name__)


def notify(signal: Signal, *, upload: UploadSession, **arguments: Any) -> None:
    if not signal.has_listeners(UploadSession):
        return
    for receiver, result in signal.send_robust(sender=UploadSession, upload=upload, **arguments):
        if isinstance(result, Exception):
            logger.error("A signal receiver failed for upload %s: %r", upload.uuid, receiver, exc_info=result)
