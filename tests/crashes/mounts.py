"""Small file systems; making them takes a root account, and a machine without that cannot prove anything."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FILLER = "filler"
"""The name of the file that fills a disk."""


def fill(disk: Path) -> None:
    """Leave no space on a disk."""
    with contextlib.suppress(OSError), (disk / FILLER).open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@contextlib.contextmanager
def small_disk(folder: Path, *, size: int) -> Iterator[Path]:
    """Mount a file system of this many bytes over a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


def make_read_only(folder: Path, *, read_only: bool) -> None:
    """Let nothing be written to a file system any more, or let it again."""
    run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(folder))


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)
