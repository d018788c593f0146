"""How much one owner may have unfinished: reserved when an upload begins, never overshot by parallel beginnings."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Sum

from ..exceptions import QuotaExceeded, TooManyUploads
from ..models import OwnerUsage, UploadSession, database
from ..receivers import Receiver
from .uploads import State, rows


def is_limited(receiver: Receiver) -> bool:
    return receiver.options.max_active_uploads is not None or receiver.options.max_staged_bytes is not None


def take_turn(receiver: Receiver, owner_key: str) -> None:
    """Make this transaction the only one that counts this owner's uploads. Must be its first statement."""
    using = database()
    usage = OwnerUsage.objects.using(using).filter(receiver=receiver.alias, owner_key=owner_key)
    if usage.update(checks=F("checks") + 1):
        return
    try:
        with transaction.atomic(using=using):
            OwnerUsage.objects.using(using).create(receiver=receiver.alias, owner_key=owner_key)
    except IntegrityError:
        usage.update(checks=F("checks") + 1)


def check(receiver: Receiver, upload: UploadSession, wanted: int) -> None:
    """Raise TooManyUploads or QuotaExceeded where reserving `wanted` bytes for this upload would pass a limit."""
    mine = rows().filter(
        receiver=receiver.alias, owner_key=upload.owner_key, state__in=(State.RECEIVING, State.ASSEMBLING)
    )
    # A parallel chunk of the same upload may just have made its row: that one has reserved for both.
    sums = mine.exclude(uuid=upload.uuid).aggregate(uploads=Count("pk"), reserved=Sum("reserved_bytes"))
    options = receiver.options
    if options.max_active_uploads is not None and sums["uploads"] >= options.max_active_uploads:
        raise TooManyUploads
    if options.max_staged_bytes is not None and (sums["reserved"] or 0) + wanted > options.max_staged_bytes:
        error = QuotaExceeded()
        # Other uploads may finish and make room; nothing can make room for a file above the whole allowance.
        error.prevent_retry = wanted > options.max_staged_bytes
        raise error
