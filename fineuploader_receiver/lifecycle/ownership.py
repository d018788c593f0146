"""Uploads change hands once: when an anonymous visitor signs in."""

from __future__ import annotations

import contextlib

from django.db import IntegrityError

from ..database import in_transaction
from ..models import database
from ..owners import Owner
from .uploads import rows


def adopt(anonymous_key: str, owner: Owner) -> None:
    """Make a session's uploads the user's. One whose uuid the user has already stays behind, and expires."""
    fields = {"owner_key": owner.key, "owner": owner.user}
    for pk in list(rows().filter(owner_key=anonymous_key).values_list("pk", flat=True)):
        upload = rows().filter(pk=pk, owner_key=anonymous_key)
        with contextlib.suppress(IntegrityError):
            in_transaction(database(), lambda upload=upload: upload.update(**fields))  # type: ignore[misc]
