"""A receiver whose hooks are points as well, and which counts completions in the database that they commit with."""

from __future__ import annotations

import secrets
from typing import IO, TYPE_CHECKING, Any

from django.contrib.auth.models import Group

from crashes.points import point
from fineuploader_receiver.receivers import Receiver

if TYPE_CHECKING:
    from django.http import HttpRequest

    from fineuploader_receiver.models import UploadSession


class CountingReceiver(Receiver):
    """Leaves a group for each completion that is committed; every one has another name, so that two are seen."""

    def validate(self, upload: UploadSession, file: IO[Any]) -> None:
        with point("hook validate"):
            super().validate(upload, file)

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        with point("hook completed"):
            Group.objects.create(name=f"{upload.uuid} {secrets.token_hex(4)}")
