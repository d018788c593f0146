"""What the gallery's templates need to know about a file."""

from pathlib import PurePath

from django import template
from django.urls import reverse

from fineuploader_receiver.models import UploadSession

register = template.Library()


@register.filter
def extension(filename: str) -> str:
    """Return the name's extension without the dot, for the tile that stands for a file: ``"a.tar.gz"`` is ``"gz"``."""
    return PurePath(filename).suffix[1:]


@register.filter
def endpoint(upload: UploadSession) -> str:
    """Return the address where its receiver answers for this one upload: status on GET, removal on DELETE."""
    namespace = "fineuploader_receiver" if upload.receiver == "default" else upload.receiver
    return reverse(f"{namespace}:file", args=[upload.uuid])
