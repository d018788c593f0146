"""What a process and its children have used, as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds (user and system) and bytes that were caused to be written to disks."""

    cpu: float
    written: int

    def since(self, before: Usage) -> Usage:
        """Return what was used from ``before`` to this."""
        return Usage(self.cpu - before.cpu, self.written - before.written)


def tree(roots: Sequence[int]) -> list[int]:
    """Return the processes and all their living descendants."""
    found = list(roots)
    for pid in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread or a child has just ended
            for task in list((PROC / str(pid) / "task").iterdir()):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found += map(int, (task / "children").read_text().split())
    return found


def usage(roots: Sequence[int]) -> Usage:
    """Add up processes, their descendants, and those of these that have ended."""
    cpu, written = 0, 0
    for pid in tree(roots):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        cpu += sum(map(int, fields[11:15]))
        counters = dict(line.split(": ") for line in (PROC / str(pid) / "io").read_text().splitlines())
        written += int(counters["write_bytes"])
    return Usage(cpu / TICKS, written)


def memory(roots: Sequence[int], field: str = "VmRSS") -> int:
    """Return the largest process's memory in bytes: ``VmRSS`` now, or ``VmHWM``, the peak since `forget_peak`."""
    return max(_status(pid, field) for pid in tree(roots))


def forget_peak(roots: Sequence[int]) -> None:
    """Let the peak of every process begin again at what it has now."""
    for pid in tree(roots):
        (PROC / str(pid) / "clear_refs").write_text("5")


def _status(pid: int, field: str) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
