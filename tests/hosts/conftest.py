"""Places for files that all hosts of a site reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hosts.cluster import Cluster, cluster
from stores.azure.azurite import Azurite, find_node, find_program, running
from stores.s3.seaweedfs import serve as seaweed_server
from stores.s3.server import S3Server

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Place:
    """The entry in `STORAGES`, and the names of everything that is kept there, staged or finished.

    ``part`` and ``size`` are of chunks and files that suit it.
    """

    storage: dict[str, Any]
    names: Callable[[], set[str]]
    part: int = 50_000
    size: int = 900_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests need what the tests of stores need."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.stores)


@pytest.fixture
def azure_place(tmp_path: Path) -> Iterator[Place]:
    program, node = find_program(), find_node()
    if program is None or node is None:
        pytest.fail("Azurite is not here: `python3 dev.py tests` fetches it")
    folder = tmp_path / "azurite"
    folder.mkdir()
    with running(node, program, folder) as server:
        yield azure_place_of(server)


def azure_place_of(server: Azurite) -> Place:
    name = server.make_container()
    container = server.service.get_container_client(name)

    def names() -> set[str]:
        return {blob.name for blob in container.list_blobs(include=["uncommittedblobs"])}

    entry = {"BACKEND": "storages.backends.azure_storage.AzureStorage", "OPTIONS": server.options(name)}
    return Place(storage=entry, names=names)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def s3_place(seaweedfs: S3Server) -> Place:
    """A bucket, with chunks that are parts of a multipart upload."""
    return replace(s3_place_of(seaweedfs), part=5 * 2**20, size=16_000_000)


@pytest.fixture
def s3_small_place(seaweedfs: S3Server) -> Place:
    """A bucket, with chunks below what it takes as parts."""
    return s3_place_of(seaweedfs)


def s3_place_of(server: S3Server) -> Place:
    options = server.options()
    prefix = f"{options['location']}/"

    def names() -> set[str]:
        kept = {key.removeprefix(prefix) for key in server.objects(prefix)}
        return kept | {f"unfinished {upload}" for upload in server.unfinished(prefix)}

    return Place(storage={"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}, names=names)


@pytest.fixture
def directory_place(tmp_path: Path) -> Place:
    """A directory that all hosts share, as a network file system would be."""
    folder = tmp_path / "shared"
    folder.mkdir()

    def names() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    options = {"location": str(folder)}
    return Place(storage={"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}, names=names)


@pytest.fixture(params=["s3", "s3_small", "azure", "directory"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def site(tmp_path: Path, nginx_program: str, place: Place) -> Iterator[Cluster]:
    folder = tmp_path / "site"
    folder.mkdir()
    with cluster(folder, nginx_program, place.storage) as running_site:
        yield running_site
