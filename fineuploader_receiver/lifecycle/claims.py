"""Claims: an attempt at a chunk writes down its key before its first byte, and the first whole attempt is the chunk.

The row of a chunk that is not stored holds the keys of all its attempts. The last that claimed has its token there; an
earlier one may be dead, or slow and yet the first that is whole: its commit finds a row that is not stored, and stores.
"""

from __future__ import annotations

import datetime
import secrets
from typing import Any

from django.db import DatabaseError, IntegrityError
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from ..database import in_statement, in_transaction
from ..exceptions import Busy
from ..models import UploadChunk, UploadSession, database
from . import statements
from .uploads import CLAIM_LAPSE, KEY_SEPARATOR, chunk_rows, rows, split_keys

CLAIM_ATTEMPTS = 20


class RowGone(Exception):
    """The row of the upload has vanished."""


class Claim:
    """The claim of one attempt at the chunk `index` of an upload; `token` is unique to the attempt."""

    def __init__(self, upload: UploadSession, index: int) -> None:
        self.token = secrets.token_hex(16)
        self._upload = upload
        self._index = index
        self._has_company = False

    def take(self, *, key: str, offset: int, size: int, now: datetime.datetime) -> bool:
        """Write the attempt down, over another one's claim if need be. False when the chunk is stored already.

        Raises RowGone where there is no upload any more, and Busy where others are always faster.
        """
        values = {"token": self.token, "key": key, "claimed_at": now, "offset": offset, "size": size}
        for _ in range(CLAIM_ATTEMPTS):
            try:
                in_statement(database(), lambda: self._insert(values))
                return True
            except IntegrityError:
                # There is such a row, or the upload's own is gone.
                pass
            if in_transaction(database(), lambda: self._take_over(values)):
                self._has_company = True
                return True
            if self._row().filter(stored=True).exists():
                return False
            if not rows().filter(pk=self._upload.pk).exists():
                raise RowGone
        raise Busy

    def renew(self, now: datetime.datetime) -> None:
        """Show that the attempt is alive."""
        in_transaction(database(), lambda: self._mine().update(claimed_at=now))

    def store(self, *, key: str, size: int) -> list[str] | None:
        """Say that this attempt's bytes are the chunk. Must run within the transaction that counts them.

        Returns the keys of other attempts, which nobody needs once that has committed; None when another attempt was
        faster, or the chunk's row is gone.
        """
        fields = {"stored": True, "size": size, "key": key, "token": self.token}
        if not self._has_company and statements.store_chunk(
            database(), self._upload.pk, index=self._index, token=self.token, values=fields
        ):
            return []
        row = self._row().filter(stored=False)
        keys = row.values_list("key", flat=True).first()
        if keys is None or not row.update(**fields):
            return None
        # A storage may have kept our own bytes under another spelling of the name that we claimed with.
        return [other for other in split_keys(keys) if other != key and self.token not in other]

    def is_stored(self) -> bool:
        """Whether the commit took effect though its answer was lost; in doubt, yes: bytes can be discarded later."""
        try:
            return self._row().filter(token=self.token, stored=True).exists()
        except DatabaseError:
            return True

    def look(self) -> bool | None:
        """Whether the chunk is stored, by whomever; None when nobody is at it any more."""
        return self._row().values_list("stored", flat=True).first()

    def give_up(self, now: datetime.datetime) -> None:
        """Take the claim back. Where it was taken over the row stays, for the keys of attempts that may yet end."""
        if self._has_company:
            in_transaction(database(), lambda: self._mine().update(token="", claimed_at=now - CLAIM_LAPSE))
        else:
            in_transaction(database(), self._mine().delete)

    def _row(self) -> QuerySet[UploadChunk]:
        return chunk_rows(self._upload).filter(index=self._index)

    def _mine(self) -> QuerySet[UploadChunk]:
        return self._row().filter(token=self.token, stored=False)

    def _insert(self, values: dict[str, Any]) -> None:
        row = {"session": self._upload.pk, "index": self._index, "stored": False, **values}
        statements.insert_chunk(database(), row)

    def _take_over(self, values: dict[str, Any]) -> bool:
        keys = Concat("key", Value(f"{KEY_SEPARATOR}{values['key']}"))
        return bool(self._row().filter(stored=False).update(**{**values, "key": keys}))
