"""The contract over every backend and the storages a site may have."""

from __future__ import annotations

import posixpath
import secrets
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from storages.backends.azure_storage import AzureStorage

from backends_for_tests import NamedBackend
from fineuploader_receiver.backends import AZURE, FILE_SYSTEM, STORAGE, default_backend
from fineuploader_receiver.backends.base import Backend, Plan, Staging, StoredChunk
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.backends.storage import StorageBackend
from fineuploader_receiver.testing.backend_contract import FOREIGN_NAMES, BackendContract
from fineuploader_receiver.testing.chunks import in_an_hour
from storages_for_tests import MinimalStorage


class RenamingStorage(FileSystemStorage):
    """Never uses the name it is given, as a storage may."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        folder, base = posixpath.split(name)
        return posixpath.join(folder, f"{secrets.token_hex(4)}-{base}")


class TestFileSystemBackend(BackendContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FileSystemStorage(tmp_path / "media")

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return FileSystemBackend(storage, **options)

    def lose(self, backend: Backend, staging: Staging, chunk: StoredChunk) -> None:
        """A file has one size: a lost end shows there, and the lost folder shows by itself."""
        Path(staging.root, staging.name, "data").write_bytes(b"short")

    def test_orphans_are_never_something_else(self, backend: Backend, staging: Staging) -> None:
        for name in FOREIGN_NAMES:
            Path(staging.root, name).mkdir()
        Path(staging.root, secrets.token_hex(16)).write_text("a file")
        Path(staging.root, secrets.token_hex(16)).symlink_to(staging.root)
        assert list(backend.orphans(before=in_an_hour())) == [staging]


class TestDurableFileSystemBackend(TestFileSystemBackend):
    """The same with an fsync per chunk."""

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return FileSystemBackend(storage, **{"durability": "chunk", **options})


class TestFileSystemBackendStagingElsewhere(TestFileSystemBackend):
    """The same with a staging folder of its own."""

    @pytest.fixture
    def backend(self, storage: Storage, tmp_path: Path) -> Backend:
        return self.make_backend(storage, staging_dir=str(tmp_path / "staging" / "here"))

    def names(self, storage: Storage) -> set[str]:
        assert isinstance(storage, FileSystemStorage)
        return {str(path) for path in Path(storage.location).parent.rglob("*") if path.is_file()}


class StorageContract(BackendContract):
    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return StorageBackend(storage, **options)


class TestStorageBackendOverFileSystemStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FileSystemStorage(tmp_path / "media")

    def test_orphans_are_never_something_else(self, backend: Backend, storage: Storage, tmp_path: Path) -> None:
        staged = tmp_path / "media" / ".fineuploader"
        for name in FOREIGN_NAMES:
            (staged / name).mkdir(parents=True)
        (staged / secrets.token_hex(16)).write_text("a file")
        assert list(backend.orphans(before=in_an_hour())) == []

    def test_discarding_leaves_no_empty_folder(self, backend: Backend, tmp_path: Path) -> None:
        place = backend.begin(Plan())
        writer = backend.open_chunk(place, index=0, offset=0, size=None, token="0" * 32)
        writer.write(b"x")
        writer.commit()
        backend.discard(place, (), published=False)
        assert list((tmp_path / "media" / ".fineuploader").iterdir()) == []


class TestStorageBackendOverRenamingStorage(TestStorageBackendOverFileSystemStorage):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return RenamingStorage(tmp_path / "media")


class TestStorageBackendOverInMemoryStorage(StorageContract):
    keeps_in_memory = True

    @pytest.fixture
    def storage(self) -> Storage:
        return InMemoryStorage()


class TestStorageBackendOverMinimalStorage(StorageContract):
    keeps_in_memory = True
    can_list = False

    @pytest.fixture
    def storage(self) -> Storage:
        storage = MinimalStorage()
        storage.contents.clear()
        return storage

    def names(self, storage: Storage) -> set[str]:
        assert isinstance(storage, MinimalStorage)
        return set(storage.contents)


class TestNamedBackend(TestStorageBackendOverMinimalStorage):
    """A backend that settles the name at the first request."""

    def make_backend(self, storage: Storage, **options: Any) -> Backend:
        return NamedBackend(storage, **options)


class EncryptingStorage(FileSystemStorage):
    """Has a word to say about how files are written."""

    def _save(self, name: str, content: Any) -> str:
        raise NotImplementedError


class EncryptingAzureStorage(AzureStorage):  # type: ignore[misc]
    """The same over Azure."""

    def _save(self, name: str, content: Any) -> str:
        raise NotImplementedError


class FolderNamingStorage(FileSystemStorage):
    """Changes nothing about how files are written."""

    def url(self, name: str | None) -> str:
        return f"/files/{name}"


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (FileSystemStorage("media"), FILE_SYSTEM),
        (FolderNamingStorage("media"), FILE_SYSTEM),
        (RenamingStorage("media"), FILE_SYSTEM),
        (EncryptingStorage("media"), STORAGE),
        (InMemoryStorage(), STORAGE),
        (MinimalStorage(), STORAGE),
        (AzureStorage(), AZURE),
        (EncryptingAzureStorage(), STORAGE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Storage) else "",
)
def test_backend_that_suits_a_storage(storage: Storage, expected: str) -> None:
    assert default_backend(storage) == expected


def test_system_without_the_right_locks_gets_the_generic_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fineuploader_receiver.backends.CAN_LOCK", False)
    assert default_backend(FileSystemStorage("media")) == STORAGE
