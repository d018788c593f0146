"""Other upload servers, installed from the registries into a cache folder the first time they are wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "benchmarks"
PYTHON_PACKAGES = (
    f"Django=={version('Django')}",
    "tuspyserver",
    "django-chunked-upload-patched",
    "gunicorn",
    "granian",
    "uvicorn",
)
NODE_PACKAGES = ("@tus/server", "@tus/file-store")
PEER_SITES = Path(__file__).resolve().parent / "peer_sites"


def python() -> str:
    """Return the interpreter of an environment with the Python peers."""
    folder = CACHE / "python"
    if not (folder / "ready").exists():
        venv.create(folder, clear=True, with_pip=True)
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *PYTHON_PACKAGES])
        (folder / "ready").touch()
    return str(folder / "bin" / "python")


def node_script() -> str:
    """Return the script of the Node.js peer, beside the packages that it imports."""
    folder = CACHE / "node"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--silent", "--prefix", str(folder), *NODE_PACKAGES])
        (folder / "ready").touch()
    return str(shutil.copy(PEER_SITES / "tus_node.mjs", str(folder)))


def _run(command: list[str]) -> None:
    print("installing:", " ".join(command), file=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
