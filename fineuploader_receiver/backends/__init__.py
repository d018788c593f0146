"""Where the bytes of unfinished uploads live. `base` is the contract, one module each is an implementation."""

from __future__ import annotations

import sys

from django.core.files.storage import Storage

CAN_LOCK = sys.platform == "linux"
"""Whether the system has open file description locks, which `FileSystemBackend` rests on."""

FILE_SYSTEM = "fineuploader_receiver.backends.filesystem.FileSystemBackend"
S3 = "fineuploader_receiver.backends.s3.S3MultipartBackend"
AZURE = "fineuploader_receiver.backends.azure.AzureBlockBackend"
STORAGE = "fineuploader_receiver.backends.storage.StorageBackend"


# By name, so that nothing is imported that the site has not installed.
NATIVE = {
    "django.core.files.storage.filesystem.FileSystemStorage": FILE_SYSTEM,
    "storages.backends.s3.S3Storage": S3,
    "storages.backends.azure_storage.AzureStorage": AZURE,
}


def default_backend(storage: Storage) -> str:
    """The dotted path of the backend that suits a storage.

    A subclass that saves in a way of its own (encrypting, say) must be asked to save, so it gets the generic backend;
    so do files on a system without open file description locks (anything but Linux).
    """
    for known in type(storage).__mro__:
        path = NATIVE.get(f"{known.__module__}.{known.__qualname__}")
        if path is not None and _saves_like(type(storage), known) and (CAN_LOCK or path != FILE_SYSTEM):
            return path
    return STORAGE


def _saves_like(cls: type, known: type) -> bool:
    names = ("save", "_save", "open", "_open", "delete", "path")
    return all(getattr(cls, name, None) is getattr(known, name, None) for name in names)
