"""Receivers that the test site subclasses, as a real site would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model

from fineuploader_receiver.receivers import Receiver

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest

    from fineuploader_receiver.models import UploadSession


class TokenReceiver(Receiver):
    """Knows people by a header alone, as a site on another origin without cookies does."""

    def get_owner(self, request: HttpRequest) -> AbstractBaseUser | None:
        """Return the user whom the header ``X-Token`` names."""
        return get_user_model().objects.filter(username=request.headers.get("X-Token", "")).first()


class FalteringReceiver(Receiver):
    """Fails on the first completion of each upload, as a hook does whose neighbour service is down."""

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        """Raise, once per upload."""
        from livesite import settings

        marker = settings.FOLDER / f"faltered-{upload.uuid}"
        if not marker.exists():
            marker.touch()
            raise RuntimeError("the neighbour is down")
