"""S3 servers: real ones, started once per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stores.s3 import radosgw as ceph
from stores.s3 import seaweedfs as weed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stores.s3.server import S3Server


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS."""
    with weed.serve(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A Ceph cluster of one machine, with its S3 gateway."""
    with ceph.serve(tmp_path_factory.mktemp("ceph")) as server:
        yield server
