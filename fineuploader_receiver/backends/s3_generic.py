"""What does not suit a multipart upload (small parts, packed files), kept on S3 the generic way."""

from __future__ import annotations

from typing import IO, Any

from storages.backends.s3 import S3Storage

from .s3_client import S3Client
from .s3_objects import open_object
from .storage import StorageBackend


class S3GenericBackend(StorageBackend):
    """The generic backend, but for reading: the storage itself would fetch a whole file for its first bytes."""

    storage: S3Storage

    def __init__(self, storage: S3Storage, *, staging_dir: str | None = None, durability: str = "publish") -> None:
        super().__init__(storage, staging_dir=staging_dir, durability=durability)
        self._client = S3Client(storage)

    def open(self, name: str) -> IO[Any]:
        # What is packed must be unpacked, which only the storage does.
        return super().open(name) if self.storage.gzip else open_object(self._client, name)
