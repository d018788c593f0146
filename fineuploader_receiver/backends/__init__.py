"""Where the bytes of unfinished uploads live. `base` is the contract, one module each is an implementation."""

from __future__ import annotations

import sys

from django.core.files.storage import FileSystemStorage, Storage

CAN_LOCK = sys.platform == "linux"
"""Whether the system has open file description locks, which `FileSystemBackend` rests on."""

FILE_SYSTEM = "fineuploader_receiver.backends.filesystem.FileSystemBackend"
STORAGE = "fineuploader_receiver.backends.storage.StorageBackend"


def default_backend(storage: Storage) -> str:
    """The dotted path of the backend that suits a storage.

    A subclass of FileSystemStorage that saves in a way of its own (encrypting, say) must be asked to save, so it gets
    the generic backend; so does every storage on a system without open file description locks (anything but Linux).
    """
    if CAN_LOCK and isinstance(storage, FileSystemStorage) and _saves_plainly(type(storage)):
        return FILE_SYSTEM
    return STORAGE


def _saves_plainly(cls: type[FileSystemStorage]) -> bool:
    names = ("save", "_save", "open", "_open", "path")
    return all(getattr(cls, name) is getattr(FileSystemStorage, name) for name in names)
