"""What a disk holds after a power cut, for a site that noted what it flushed.

``Flushed`` runs in the site: every fsync of a file keeps a copy of it, and every fsync of a folder a list of its
entries. A ``PowerCut`` runs in the test, once the site's processes are dead. Rows stay as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

HISTORY = "flushed"


class Flushed:
    """Notes what is flushed, in a folder of the site's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / HISTORY

    def note(self, fd: int) -> None:
        """Note what an fsync of this descriptor has brought to the disk, where anybody wants to know."""
        if not self.folder.exists():
            return
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_dir():
            entries = {entry.name: entry.inode() for entry in os.scandir(path)}
            (self.folder / key_of(path)).write_text(json.dumps(entries))
            return
        held = self.folder / f"{inode_of(path)}.held"
        with contextlib.suppress(OSError):
            # While it has this second name, no other file gets its inode. In shared memory none does anyway.
            os.link(path, held)
        shutil.copyfile(path, held.with_suffix(".bytes"))


def inode_of(path: Path) -> str:
    state = path.stat()
    return f"{state.st_dev}-{state.st_ino}"


def key_of(folder: Path) -> str:
    return sha256(os.fsencode(folder)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class PowerCut:
    """Takes from a disk what a site has not flushed: bytes become zeros, entries of folders vanish.

    Without ``entries`` names are spared, as by a file system that is quicker with those. With ``chance`` each part goes
    or stays.
    """

    flushed: Path
    entries: bool = True
    chance: random.Random | None = None

    def strike(self, place: Path) -> None:
        """Take what is to be taken below a folder."""
        if self.entries:
            self._lose_entries(place)
        for folder, _, names in os.walk(place):
            for name in names:
                self._zero(Path(folder, name))

    def _lose_entries(self, folder: Path) -> None:
        """Remove the entries that were made since the last fsync of their folder."""
        known = self.flushed / key_of(folder)
        entries = json.loads(known.read_text()) if known.exists() else {}
        for path in sorted(folder.iterdir()):
            if entries.get(path.name) != path.stat().st_ino and self._happens():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif path.is_dir():
                self._lose_entries(path)

    def _zero(self, path: Path) -> None:
        """Turn the bytes that a file got since its last fsync into zeros."""
        copy = self.flushed / f"{inode_of(path)}.bytes"
        safe, now = copy.read_bytes() if copy.exists() else b"", path.read_bytes()
        if safe != now and self._happens():
            with path.open("r+b") as file:
                file.write(safe[: len(now)].ljust(len(now), b"\0"))

    def _happens(self) -> bool:
        return self.chance is None or self.chance.random() < 0.5
