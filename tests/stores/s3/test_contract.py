"""The contract of the backends over real S3 stores."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.files.storage import Storage
from storages.backends.s3 import S3Storage

from fineuploader_receiver.backends.base import Backend, Staging, StagingLost, StoredChunk
from fineuploader_receiver.backends.s3 import S3MultipartBackend
from fineuploader_receiver.backends.s3_parts import Place, from_keys
from fineuploader_receiver.backends.storage import StorageBackend
from fineuploader_receiver.testing.backend_contract import MIB, BackendContract
from fineuploader_receiver.testing.chunks import assemble, final_name, put, put_pieces
from stores.s3.server import S3Server


class S3Contract(BackendContract):
    """An upload is one object, or one multipart upload, of a part of the bucket that nobody else uses."""

    server: S3Server

    @pytest.fixture
    def storage(self) -> Storage:
        storage: Storage = self.server.storage()
        return storage

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        assert isinstance(storage, S3Storage)
        return S3MultipartBackend(storage, **options)

    def names(self, storage: Storage) -> set[str]:
        assert isinstance(storage, S3Storage)
        return set(self.server.objects(storage.location)) | self.server.unfinished(storage.location)

    def lose(self, backend: Backend, staging: Staging, chunk: StoredChunk) -> None:
        """No store can lose a single part on demand, so it loses the multipart upload."""
        place = Place.of(staging)
        self.server.client.abort_multipart_upload(Bucket=staging.root, Key=place.key, UploadId=place.upload)


class TestS3MultipartBackendOnSeaweedFS(S3Contract):
    @pytest.fixture(autouse=True)
    def _server(self, seaweedfs: S3Server) -> None:
        self.server = seaweedfs

    @pytest.mark.parametrize("named", [slice(0, 3), slice(1, 4), slice(0, 2)], ids=str)
    def test_object_that_is_not_what_the_rows_say_is_refused_every_time(
        self, backend: Backend, staging: Staging, named: slice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stands for a store that has put other parts together than it was told."""
        complete = S3MultipartBackend._complete
        monkeypatch.setattr(
            S3MultipartBackend, "_complete", lambda self, place, parts: complete(self, place, parts[named])
        )
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        for _ in range(2):
            with pytest.raises(StagingLost):
                assemble(backend, staging, chunks)
        backend.retract(final_name(backend, staging))

    def test_object_of_the_right_size_and_other_bytes_is_refused_every_time(
        self, backend: Backend, staging: Staging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chunks = put_pieces(backend, staging, (0, 1, 2, 3))
        late = put(backend, staging, 3, b"END")
        complete = S3MultipartBackend._complete
        monkeypatch.setattr(
            S3MultipartBackend,
            "_complete",
            lambda self, place, parts: complete(self, place, [*parts[:3], *from_keys([late])]),
        )
        for _ in range(2):
            with pytest.raises(StagingLost):
                assemble(backend, staging, chunks)
        backend.retract(final_name(backend, staging))


@pytest.mark.ceph
class TestS3MultipartBackendOnCeph(S3Contract):
    late_attempts_may_replace = True

    @pytest.fixture(autouse=True)
    def _server(self, radosgw: S3Server) -> None:
        self.server = radosgw


class TestStorageBackendOnSeaweedFS(BackendContract):
    """The generic backend; boto3 keeps a few parts of what it uploads in memory, however large the file is."""

    most_memory: ClassVar[int] = 100 * MIB

    @pytest.fixture
    def storage(self, seaweedfs: S3Server) -> Storage:
        storage: Storage = seaweedfs.storage(max_memory_size=MIB)
        return storage

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return StorageBackend(storage, **options)
