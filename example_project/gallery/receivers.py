"""How this site receives files."""

from typing import Any

from django.urls import reverse

from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver

THUMBNAIL_TYPES = {"image/gif", "image/jpeg", "image/png", "image/webp"}
THUMBNAIL_MAX_SIZE = 4 * 2**20


class GalleryReceiver(Receiver):
    """Gives stored pictures a thumbnail in the page's initial list of files."""

    def session_item(self, upload: UploadSession) -> dict[str, Any]:
        """Add ``thumbnailUrl`` to a picture's entry: the picture itself, which the browser scales."""
        item = super().session_item(upload)
        if upload.content_type in THUMBNAIL_TYPES and item["size"] <= THUMBNAIL_MAX_SIZE:
            item["thumbnailUrl"] = reverse("download", args=[upload.pk])
        return item
