"""What any receiver on this server has to do at least."""

from __future__ import annotations

import os
import re
from pathlib import Path

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

READ_SIZE = 2**18


def discard(request: HttpRequest) -> HttpResponse:
    """Read the body and forget it."""
    _require_login(request)
    while request.read(READ_SIZE):
        pass
    return HttpResponse("{}", content_type="application/json")


def floor(request: HttpRequest) -> HttpResponse:
    """Write the body once, at its offset, into one file; keep no rows."""
    _require_login(request)
    name = re.sub("[^0-9a-f]", "", request.GET["name"])
    position = int(request.GET["offset"])
    file = os.open(Path(settings.MEDIA_ROOT, name), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while data := request.read(READ_SIZE):
            position += os.pwrite(file, data, position)
    finally:
        os.close(file)
    return HttpResponse("{}", content_type="application/json")


def _require_login(request: HttpRequest) -> None:
    if not request.user.is_authenticated:
        raise PermissionDenied
