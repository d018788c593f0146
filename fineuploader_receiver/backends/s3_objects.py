"""Finished objects: whether they are there, and reading them by ranges."""

from __future__ import annotations

from typing import IO, Any

from .base import BackendFailed
from .ranged import open_ranged
from .s3_client import MISSING, Refused, S3Client


def head_object(client: S3Client, key: str) -> dict[str, Any] | None:
    """What the store says of an object, None where there is none. Raises BackendFailed."""
    try:
        return client.call("head_object", key=key)
    except Refused as error:
        if error.code in MISSING:
            return None
        raise


def open_object(client: S3Client, name: str) -> IO[Any]:
    """Open the object of that name; only the ranges that are read are fetched. Raises FileNotFoundError or OSError."""
    key = client.key(name)
    head = head_object(client, key)
    if head is None:
        raise FileNotFoundError(name)
    return open_ranged(name, size=head["ContentLength"], read_range=lambda *ends: _read_range(client, key, *ends))


def _read_range(client: S3Client, key: str, start: int, end: int) -> bytes:
    try:
        return client.read(key=key, Range=f"bytes={start}-{end - 1}")
    except Refused as error:
        raise (FileNotFoundError if error.code in MISSING else OSError)(str(error)) from error
    except BackendFailed as error:
        raise OSError(str(error)) from error
