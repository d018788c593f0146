"""Receivers as a site would write them. What they are to do stands in class attributes, which tests set."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from fineuploader_receiver.receivers import Receiver

if TYPE_CHECKING:
    from fineuploader_receiver.models import UploadSession


class RecordingReceiver(Receiver):
    """Notes each question about permissions, and says no to the actions in ``forbidden``."""

    asked: list[tuple[str, str | None]] = []
    forbidden: frozenset[str] = frozenset()

    def has_permission(self, request: HttpRequest, action: str, upload: UploadSession | None) -> bool:
        self.asked.append((action, None if upload is None else str(upload.uuid)))
        return action not in self.forbidden


class CuriousReceiver(Receiver):
    """Looks at what an upload is before its first byte is stored, and refuses it by that."""

    def has_permission(self, request: HttpRequest, action: str, upload: UploadSession | None) -> bool:
        return upload is None or (upload.filename, upload.params.get("album")) == ("good.txt", "open")


class TokenReceiver(Receiver):
    """Knows its owners by a header instead of by a login."""

    def get_owner(self, request: HttpRequest) -> AbstractBaseUser | None:
        return get_user_model().objects.filter(username=request.headers.get("X-User")).first()


class PlacingReceiver(Receiver):
    """Puts files where their parameters say."""

    def upload_to(self, upload: UploadSession, filename: str) -> str:
        return f"{upload.params['album']}/{upload.owner}/{filename}"


class EscapingReceiver(Receiver):
    """Is careless with what the client sent."""

    def upload_to(self, upload: UploadSession, filename: str) -> str:
        return f"../../{upload.params['album']}/{upload.filename}"


class PickyReceiver(Receiver):
    """Refuses files that do not begin with %PDF-."""

    def validate(self, upload: UploadSession, file: IO[Any]) -> None:
        super().validate(upload, file)
        file.seek(0)
        if file.read(5) != b"%PDF-":
            raise ValidationError("Only PDF, please.")


class GroupingReceiver(Receiver):
    """Makes a group of each finished file, and then fails while ``failing``."""

    failing = False

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        Group.objects.create(name=str(upload.uuid))
        if self.failing:
            raise RuntimeError("the secret /place of the hook")


class DescribingReceiver(Receiver):
    """Adds to what the client is told."""

    def session_item(self, upload: UploadSession) -> dict[str, Any]:
        return {**super().session_item(upload), "thumbnailUrl": f"/thumbs/{upload.uuid}.png"}

    def client_options(self, request: HttpRequest) -> dict[str, Any]:
        return {"maxConnections": 5, "request": {"params": {"page": "mine"}}}


class BrokenReceiver(Receiver):
    """Raises as soon as it is asked who the owner is."""

    def get_owner(self, request: HttpRequest) -> AbstractBaseUser | None:
        raise RuntimeError("the secret /place of the owner")


def refuse_even(file: IO[bytes]) -> None:
    """A validator that refuses files of an even size."""
    if len(file.read()) % 2 == 0:
        raise ValidationError("Too even.")
