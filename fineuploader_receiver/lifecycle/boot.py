"""Which start of this machine we are in."""

from __future__ import annotations

import functools
from pathlib import Path

_PATH = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def current_boot() -> str:
    """An id that changes with every boot, empty where the system has none.

    Bytes that were acknowledged without fsync may be gone after a power cut while their rows are there.
    """
    try:
        return _PATH.read_text("ascii").strip()
    except OSError:
        return ""
