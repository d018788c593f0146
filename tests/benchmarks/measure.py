"""Measuring targets in turn: each round sends the same file to every one of them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.protocols import Protocol, Work
from benchmarks.servers import Running
from benchmarks.usage import forget_peak, memory, usage
from benchmarks.wire import Failed


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is sent to whom, and whether the file is stored."""

    name: str
    site: Running
    protocol: Protocol
    keeps: bool = True


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One upload, measured; sizes in bytes, times in seconds."""

    cpu_per_gib: float
    written_per_byte: float
    rate: float
    p50: float
    p99: float
    completion: float
    growth: int


def rounds(targets: Sequence[Target], work: Work, count: int) -> dict[str, list[Sample]]:
    """Send the file to every target ``count`` times, the targets taking turns, after one small file each."""
    samples: dict[str, list[Sample]] = {target.name: [] for target in targets}
    expected = hashlib.sha256(work.data).hexdigest()
    for target in targets:
        small = Work(work.data[: 3 * work.chunk], work.chunk)
        measure(target, small, hashlib.sha256(small.data).hexdigest())
    for number in range(count):
        print(f"round {number + 1} of {count}", file=sys.stderr)
        for target in targets:
            samples[target.name].append(measure(target, work, expected))
    return samples


def measure(target: Target, work: Work, expected: str) -> Sample:
    """Send the file once, check what was stored, and return what it took."""
    site, size = target.site, len(work.data)
    idle = memory(site.pids)
    forget_peak(site.pids)
    before = usage(site.pids)
    with site.connect() as connection:
        times = target.protocol.upload(connection, work)
    used = usage(site.pids).since(before)
    growth = memory(site.pids, "VmHWM") - idle
    if target.keeps:
        verify(site, size, expected)
    ordered = sorted(times.chunks)
    return Sample(
        cpu_per_gib=used.cpu / size * 2**30,
        written_per_byte=used.written / size,
        rate=size / (sum(times.chunks) + times.completion) / 1e6,
        p50=ordered[len(ordered) // 2],
        p99=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        completion=times.completion,
        growth=max(0, growth),
    )


def verify(site: Running, size: int, expected: str) -> None:
    """Check the digest of the one file that was stored, and delete it."""
    files = [path for path in site.media.rglob("*") if path.is_file() and path.stat().st_size == size]
    if [_digest(path) for path in files] != [expected]:
        raise Failed(f"{site.server.name} did not store the file that was sent: {files}")
    for path in files:
        path.unlink()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(2**20):
            digest.update(data)
    return digest.hexdigest()
