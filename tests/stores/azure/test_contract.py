"""The contract of the backends over Azure's blob service."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.files.storage import Storage
from storages.backends.azure_storage import AzureStorage

from fineuploader_receiver.backends import azure
from fineuploader_receiver.backends.azure import AzureBlockBackend
from fineuploader_receiver.backends.base import Backend, Staging, StoredChunk
from fineuploader_receiver.backends.storage import StorageBackend
from fineuploader_receiver.testing.backend_contract import MIB, BackendContract
from stores.azure.azurite import Azurite

# `AzureStorage` leaves a temporary file open where it opens what is not there.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning"),
    pytest.mark.usefixtures("garbage_collected"),
]


class AzureContract(BackendContract):
    @pytest.fixture
    def storage(self, azurite: Azurite, container: str) -> Storage:
        storage: Storage = AzureStorage(**azurite.options(container))
        return storage

    def names(self, storage: Any) -> set[str]:
        """Uncommitted blobs too."""
        return {blob.name for blob in storage.client.list_blobs(include=["uncommittedblobs"])}


class TestAzureBlockBackend(AzureContract):
    can_list = False  # what is staged goes by itself
    most_memory: ClassVar[int] = 16 * MIB  # twice a block, while its buffer grows

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return AzureBlockBackend(storage, **options)

    def lose(self, backend: Backend, staging: Staging, chunk: StoredChunk) -> None:
        """The service drops all of a blob's blocks together, a week after the last one came."""
        blob = backend.storage.client.get_blob_client(_path(backend, staging))  # type: ignore[attr-defined]
        blob.commit_block_list([])
        blob.delete_blob()


class TestAzureBlockBackendWithSmallBlocks(TestAzureBlockBackend):
    """Every chunk is more than one block."""

    most_memory: ClassVar[int] = 4 * MIB

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(azure, "BLOCK_SIZE", 5)

    def test_memory_does_not_grow_with_the_chunk(self, backend: Backend, staging: Staging) -> None:
        """Measured above; here it would be a few million requests."""


class TestAzureBlockBackendAtALocation(TestAzureBlockBackend):
    """The storage puts its files below a prefix."""

    @pytest.fixture
    def storage(self, azurite: Azurite, container: str) -> Storage:
        storage: Storage = AzureStorage(**azurite.options(container, location="media/files"))
        return storage


class TestStorageBackendOverAzureStorage(AzureContract):
    can_list = False  # it lists in a way of its own, and orphans are not found by it
    keeps_in_memory = True  # the SDK holds what it sends, up to `max_single_put_size`

    @pytest.fixture
    def storage(self, azurite: Azurite, container: str) -> Storage:
        storage: Storage = AzureStorage(**azurite.options(container))
        return storage

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return StorageBackend(storage, **options)


def _path(backend: Backend, staging: Staging) -> str:
    name = staging.handle.partition(" ")[2]
    return str(backend.storage._get_valid_path(name))  # type: ignore[attr-defined]
