"""What the tests do behind the site's back: begin anew, let everything grow old, run the purge, count completions."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from crashes.mounts import FILLER
from fineuploader_receiver.models import OwnerUsage, UploadChunk, UploadSession, UploadTombstone
from livesite import settings
from livesite.control import digest

MODELS = (UploadChunk, UploadSession, UploadTombstone, OwnerUsage)
COMPLETE = UploadSession.State.COMPLETE


@csrf_exempt
def clean(request: HttpRequest) -> JsonResponse:
    """Forget everything: rows, files, completions."""
    for model in (*MODELS, Group):
        model._default_manager.all().delete()
    for place in places():
        for path in place.iterdir() if place.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return JsonResponse({})


@csrf_exempt
def settle(request: HttpRequest) -> JsonResponse:
    """Let everything grow old, purge, and return what is left."""
    long_ago = timezone.now() - timedelta(days=9)
    UploadSession.objects.exclude(state=COMPLETE).update(expires_at=long_ago)
    UploadTombstone.objects.update(expires_at=long_ago)
    for path in staged():
        os.utime(path, (long_ago.timestamp(), long_ago.timestamp()))
    problem = ""
    try:
        call_command("purge_expired_uploads", "--orphans", stdout=StringIO())
    except CommandError as error:
        problem = str(error)
    return JsonResponse({**leftovers(), "problem": problem})


def leftovers() -> dict[str, Any]:
    """Return what is left: rows by model, complete uploads apart, and files that no complete upload names."""
    uploads = UploadSession.objects.filter(state=COMPLETE)
    finished = {storages[upload.storage].path(upload.file) for upload in uploads}
    return {
        "complete": uploads.count(),
        "rows": sum(model._default_manager.count() for model in MODELS) - uploads.count() - OwnerUsage.objects.count(),
        "untidy": uploads.exclude(staged_name="", leftover="").count(),
        "staged": [str(path) for path in staged()],
        "lost": [str(path) for path in stored() if str(path) not in finished],
    }


def result(request: HttpRequest) -> JsonResponse:
    """Return what became of an upload: its state, the digest of its file, and how many completions were committed."""
    uuid = request.GET["uuid"]
    upload = UploadSession.objects.filter(uuid=uuid).first()
    completions = Group.objects.filter(name__startswith=uuid).count()
    if upload is None or upload.state != COMPLETE:
        return JsonResponse({"state": str(upload and upload.state), "sha256": None, "completions": completions})
    try:
        sha256 = digest(upload)
    except FileNotFoundError:
        sha256 = "missing"
    return JsonResponse({"state": "complete", "sha256": sha256, "completions": completions})


def places() -> list[Path]:
    """Return every folder that the site's receivers keep files in."""
    folders = {options.get("STAGING_DIR") for options in settings_of_receivers().values()}
    return [Path(settings.MEDIA_ROOT), *(Path(folder) for folder in folders if folder)]


def settings_of_receivers() -> dict[str, dict[str, Any]]:
    from crashes.settings import FINEUPLOADER_RECEIVERS

    return FINEUPLOADER_RECEIVERS


def staged() -> list[Path]:
    """Return everything that is in a staging folder, folders included, deepest first."""
    media, *others = places()
    return [path for place in (media / ".fineuploader", *others) for path in sorted(place.rglob("*"), reverse=True)]


def stored() -> list[Path]:
    """Return every file that is outside of them."""
    media = Path(settings.MEDIA_ROOT)
    files = [path for path in media.rglob("*") if path.is_file() and path.name != FILLER]
    return [path for path in files if ".fineuploader" not in path.parts]
