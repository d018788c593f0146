"""Named points in the life of an upload: each one that is passed is written down, and may be the last of its process.

``points.txt`` in the site's folder holds the names of the points passed since the last reset, in order, over all
processes. ``deadly.json`` names the point at which the next process dies, and at which passing of it; or which disk is
full from then on.
``expected`` is the file being uploaded: at every point, whatever lies under a final name must be exactly that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from crashes.mounts import FILLER, fill
from livesite import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PASSED, DEADLY = settings.FOLDER / "points.txt", settings.FOLDER / "deadly.json"
EXPECTED, PARTIAL = settings.FOLDER / "expected", settings.FOLDER / "partial.txt"
HIDDEN = (".fineuploader", ".partial", FILLER)
LEASE_THREAD = "fineuploader-lease"
PACKAGE = "fineuploader_receiver."
# Where a commit is made is of interest, and not that it is made there.
PLUMBING = ("_asked", "<lambda>")
STATEMENTS = (f"{PACKAGE}database", f"{PACKAGE}lifecycle.statements")


@contextlib.contextmanager
def point(name: str) -> Iterator[None]:
    """Pass one point before the block and, if it does not raise, one after it."""
    reach(f"{name}, before")
    yield
    reach(f"{name}, after")


def reach(name: str) -> None:
    """Pass a point, and die there if the test says so."""
    if threading.current_thread().name == LEASE_THREAD:
        return  # renewals come when the clock says so
    count = note(name)
    if not DEADLY.exists():
        return
    deadly = json.loads(DEADLY.read_text())
    if (deadly["name"], deadly["count"]) != (name, count):
        return
    if deadly["fill"]:
        fill(Path(deadly["fill"]))
    DEADLY.unlink()
    if not deadly["fill"]:
        os.kill(os.getpid(), signal.SIGKILL)


def note(name: str) -> int:
    """Write the point down with what is wrong at it, and return how often it was passed by now."""
    with PASSED.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{name}\n")
        file.flush()
        file.seek(0)
        passed = file.read().splitlines()
        if wrong := partial_files():
            with PARTIAL.open("a") as record:
                record.write(f"{name}: {wrong}\n")
    return passed.count(name)


def partial_files() -> list[str]:
    """Return the final names that hold anything but the whole file."""
    if not EXPECTED.exists():
        return []
    expected = EXPECTED.read_bytes()
    found = []
    for folder, folders, names in os.walk(settings.MEDIA_ROOT):
        folders[:] = [name for name in folders if name not in HIDDEN]
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if name not in HIDDEN and path.read_bytes() != expected:
                    found.append(str(path))
    return found


def place() -> str:
    """Return which function of the app we are in: the innermost one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(PACKAGE) and module not in STATEMENTS and frame.f_code.co_name not in PLUMBING:
            return f"{module.removeprefix(PACKAGE)}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"
