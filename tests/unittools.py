"""What the tests of the rules share: uploads sent straight into the lifecycle, without HTTP."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from typing import IO, Any

from django.contrib.auth.models import Group
from django.db.models import F
from django.http import HttpRequest
from django.test import RequestFactory

from fineuploader_receiver import lifecycle
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.owners import Caller, Owner
from fineuploader_receiver.protocol.messages import DeleteMessage, DoneMessage, Receipt, UploadMessage
from fineuploader_receiver.receivers import Receiver, get_receiver

DATA = b"0123456789abcdefghijABCDE"
PART = 10


class Page:
    """One page of one owner: it knows how its messages look, and nothing of the server."""

    def __init__(self, owner: Owner, alias: str = "default", **fields: Any) -> None:
        self.caller = Caller(owner, RequestFactory().post("/uploads/"))
        self.alias = alias
        self.fields = fields

    @property
    def receiver(self) -> Receiver:
        return get_receiver(self.alias)

    def simple(self, number: uuid.UUID, data: bytes = DATA, **changes: Any) -> Receipt:
        return self._receive(self.simple_message(number, data, **changes), data)

    def chunk(self, number: uuid.UUID, index: int, data: bytes = DATA, **changes: Any) -> Receipt:
        message = self.chunk_message(number, index, data, **changes)
        return self._receive(message, data[message.offset : message.offset + PART])

    def chunks(self, number: uuid.UUID, *indexes: int, data: bytes = DATA, **changes: Any) -> None:
        for index in indexes:
            self.chunk(number, index, data, **changes)

    def done(self, number: uuid.UUID, data: bytes = DATA, **changes: Any) -> Receipt:
        fields = {"total_size": len(data), "total_chunks": -(-len(data) // PART), **changes}
        message = DoneMessage(uuid=number, wire_uuid=str(number), **{"filename": "a.txt", **fields})
        return lifecycle.complete(self.receiver, self.caller, message)

    def delete(self, number: uuid.UUID) -> None:
        lifecycle.delete(self.receiver, self.caller, DeleteMessage(uuid=number, wire_uuid=str(number)))

    def simple_message(self, number: uuid.UUID, data: bytes = DATA, **changes: Any) -> UploadMessage:
        sizes = {"total_size": len(data), "size": len(data), "body_size": len(data)}
        return self._message(number, **{**sizes, **changes})

    def chunk_message(self, number: uuid.UUID, index: int, data: bytes = DATA, **changes: Any) -> UploadMessage:
        count = -(-len(data) // PART)
        size = len(data[index * PART : (index + 1) * PART])
        place: dict[str, Any] = {
            "chunked": True,
            "index": index,
            "total_chunks": count,
            "total_size": len(data),
            "offset": index * PART,
            "size": size,
            "body_size": size,
            "chunk_size": float(PART) if count > 1 else None,
        }
        return self._message(number, **{**place, **changes})

    def _message(self, number: uuid.UUID, **fields: Any) -> UploadMessage:
        return UploadMessage(uuid=number, wire_uuid=str(number), **{"filename": "a.txt", **self.fields, **fields})

    def _receive(self, message: UploadMessage, data: bytes) -> Receipt:
        return lifecycle.receive(self.receiver, self.caller, message, pieces(data))


class HookedReceiver(Receiver):
    """Notes which hooks run, and in which state; fails as it is told. A completed upload leaves a group."""

    calls: list[tuple[str, str]] = []
    validate_error: Exception | None = None
    completed_error: Exception | None = None

    def validate(self, upload: UploadSession, file: IO[Any]) -> None:
        super().validate(upload, file)
        self.calls.append(("validate", str(upload.state)))
        if self.validate_error is not None:
            raise self.validate_error

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        self.calls.append(("completed", str(upload.state)))
        Group.objects.create(name=str(upload.uuid))
        if self.completed_error is not None:
            raise self.completed_error


def pieces(data: bytes, size: int = 4) -> Iterator[bytes]:
    """A body as it arrives: in pieces that have nothing to do with what is sent."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def row(number: uuid.UUID) -> UploadSession:
    return UploadSession.objects.get(uuid=number)


def content(number: uuid.UUID) -> bytes:
    with row(number).open() as file:
        data: bytes = file.read()
    return data


def backdate(number: uuid.UUID, **ages: datetime.timedelta) -> None:
    """Make moments of an upload lie further back."""
    fields: dict[str, Any] = {name: F(name) - age for name, age in ages.items()}
    assert UploadSession.objects.filter(uuid=number).update(**fields) == 1
