"""The name of a finished file: one that only this attempt uses, made from a name that a stranger chose."""

from __future__ import annotations

import posixpath
import re
import secrets
import unicodedata

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.utils import validate_file_name

from ..exceptions import ExtensionNotAllowed, HookFailed
from ..logs import get_logger
from ..models import UploadSession
from ..receivers import Receiver

logger = get_logger(__name__)

MAX_BYTES = 120
MAX_NAME = 512
FALLBACK = "file"

_UNSAFE = re.compile(r"[^\w.\-]+")
_DOTS = re.compile(r"\.{2,}")


def clean(filename: str) -> str:
    """A file name that is safe as one path component anywhere: at most 120 bytes, its extension kept."""
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", filename))[-1]
    base = _DOTS.sub(".", _UNSAFE.sub("_", base)).strip("._- ")
    stem, dot, extension = base.rpartition(".")
    if not dot:
        return _cut(base, MAX_BYTES) or FALLBACK
    extension = _cut(extension, MAX_BYTES // 4)
    return f"{_cut(stem, MAX_BYTES - len(extension.encode()) - 1) or FALLBACK}.{extension}"


def final_name(receiver: Receiver, upload: UploadSession) -> str:
    """A fresh name below `upload_to`, with a folder of 128 random bits before the cleaned name.

    Raises HookFailed where `upload_to` raises, or gives a path that leaves the storage or is too long.
    """
    try:
        return _placed(receiver.upload_to(upload, clean(upload.filename)), upload.filename)
    except Exception as error:
        logger.exception("upload_to gave no usable name for upload %s.", upload.uuid)
        raise HookFailed from error


def _placed(wanted: str, filename: str) -> str:
    folder, base = posixpath.split(wanted.replace("\\", "/"))
    name = posixpath.join(folder, secrets.token_hex(16), clean(base or filename))
    validate_file_name(name, allow_relative_path=True)
    if len(name) > MAX_NAME:
        raise SuspiciousFileOperation("upload_to gives a name that is too long.")
    return name


def check_extension(receiver: Receiver, filename: str) -> None:
    """Raise ExtensionNotAllowed unless the receiver takes files with this name's extension."""
    allowed = receiver.options.allowed_extensions
    if allowed is not None and posixpath.splitext(filename.strip().lower())[1].lstrip(".") not in allowed:
        raise ExtensionNotAllowed(f"Only files with these extensions are accepted: {', '.join(sorted(allowed))}.")


def _cut(text: str, limit: int) -> str:
    """As much of a text as fits into `limit` bytes; a cut one ends as cleaned names do."""
    shortened = text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")
    return text if shortened == text else shortened.rstrip("._-")
