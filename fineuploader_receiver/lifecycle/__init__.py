"""The rules: what may happen to an upload, and in which order. Rows decide, backends act; HTTP is not known here."""

from __future__ import annotations

from .completion import complete
from .listing import list_uploads, status
from .receiving import receive
from .removal import delete

__all__ = ["complete", "delete", "list_uploads", "receive", "status"]
