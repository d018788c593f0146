"""What the tests of whole flows share: pages, rows, the bytes that a site keeps, answers as dictionaries."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.files.storage import InMemoryStorage, Storage, storages
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from fakeuploader import ClientOptions, DjangoTransport, FakeUploader, WireResponse
from fineuploader_receiver.models import UploadSession

TOKEN = "t0k3n" * 6 + "ab"
CSRF = {"X-CSRFToken": TOKEN}
FORM_CSRF = {"csrfmiddlewaretoken": TOKEN}
UNKNOWN_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
RAW: dict[str, Any] = {"params_in_body": False, "force_multipart": False}
ENCODINGS: Mapping[str, Mapping[str, Any]] = {"body": {}, "query": {"params_in_body": False}, "raw": RAW}

STORAGES: Mapping[str, Mapping[str, Any]] = {
    "file system": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "memory": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "minimal": {"BACKEND": "storages_for_tests.MinimalStorage"},
}


def pattern(size: int) -> bytes:
    """Bytes that depend on their position, so that a wrong order or a gap shows."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


def strict_client() -> Client:
    """A browser whose CSRF tokens are checked, and that has one."""
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = TOKEN
    return client


def uploader(client: Client, prefix: str = "/uploads", **changes: Any) -> FakeUploader:
    """A hand-written page at the receiver below ``prefix``, with CSRF headers and, when chunking, parts of 10 bytes."""
    options = ClientOptions(
        endpoint=f"{prefix}/",
        delete_endpoint=f"{prefix}/",
        session_endpoint=f"{prefix}/session",
        custom_headers=CSRF,
        delete_headers=CSRF,
        part_size=10,
    )
    return FakeUploader(DjangoTransport(client), options.but(**changes))


def chunker(client: Client, prefix: str = "/uploads", **changes: Any) -> FakeUploader:
    """The same with chunking."""
    return uploader(client, prefix, **{"chunking": True, **changes})


def finisher(client: Client, prefix: str = "/uploads", **changes: Any) -> FakeUploader:
    """The same with chunking and the success request."""
    return chunker(client, prefix, **{"success_endpoint": f"{prefix}/done", **changes})


def row(uuid: str) -> UploadSession:
    return UploadSession.objects.get(uuid=uuid)


def content(uuid: str) -> bytes:
    """The finished file, read through the model as a site would."""
    with row(uuid).open() as file:
        data: bytes = file.read()
    return data


def kept_bytes(storage: Storage | None = None) -> dict[str, bytes]:
    """Everything that the storage holds, partial uploads included, by name."""
    storage = storage or storages["default"]
    if isinstance(storage, InMemoryStorage):
        return _listed(storage, "")
    if hasattr(storage, "contents"):
        return dict(storage.contents)
    base = Path(storage.path(""))
    return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def _listed(storage: Storage, folder: str) -> dict[str, bytes]:
    folders, files = storage.listdir(folder)
    found = {}
    for name in files:
        path = f"{folder}/{name}".lstrip("/")
        with storage.open(path) as file:
            found[path] = file.read()
    for name in folders:
        found |= _listed(storage, f"{folder}/{name}".lstrip("/"))
    return found


def accepted(uuid: str, *, complete: bool) -> dict[str, Any]:
    return {"success": True, "uuid": uuid, "complete": complete}


def answered(response: WireResponse) -> dict[str, Any]:
    """The status and the whole answer, but for an error's text, which must be there and be a text, and its uuid."""
    body = response.json()
    if body["success"] is False:
        assert isinstance(body["error"], str)
        assert body.pop("error")
        body.pop("uuid", None)
    return {"status": response.status, **body}


def refused(status: int, code: str, **flags: bool) -> dict[str, Any]:
    return {"status": status, "success": False, "code": code, **flags}


def age(uuid: str) -> None:
    """Make an upload look as if its last byte had arrived long ago."""
    past = timezone.now() - datetime.timedelta(seconds=1)
    UploadSession.objects.filter(uuid=uuid).update(expires_at=past)


def purge(uuid: str) -> None:
    """Let the purge take an unfinished upload, and see that it did."""
    age(uuid)
    call_command("purge_expired_uploads", verbosity=0)
    assert not UploadSession.objects.filter(uuid=uuid).exists()
