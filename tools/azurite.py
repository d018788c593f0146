"""Azurite, which stands in for Azure's blob service, from its npm package; it is never kept in the repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.client import find_npm
from tools.shell import CACHE, require

VERSION = "3.37.0"
FOLDER = CACHE / "azurite"


def fetch_azurite(python: Path) -> Path:
    """Return the folder that the package was installed in; install it where it is not there yet."""
    if (FOLDER / "node_modules" / "azurite").is_dir():
        return FOLDER
    CACHE.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as scratch:
        quietly = ("--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        require(find_npm(python), "install", *quietly, "--prefix", scratch, f"azurite@{VERSION}", cwd=Path(scratch))
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(scratch, FOLDER, symlinks=True)
    return FOLDER
