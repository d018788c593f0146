"""Files, chunks and numbers of chunks at which a cost that grows would show.

    cd tests && python -m benchmarks.extremes memory completion latency sizes [--scale 1.0]

``memory``: how much a worker grows over one simple upload of 4 GiB, and over 32 parallel chunks of 64 MiB.
``completion``: the success request after 256 MiB and after 8 GiB, with DURABILITY none.
``latency``: chunk 50 000 of one upload against chunk 100.
``sizes``: bytes written per byte for one file in one piece, and in chunks from 100 KB to 100 MB.
A ``--scale`` below 1 makes everything smaller by that factor.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks import servers
from benchmarks.measure import verify
from benchmarks.protocols import FineUploader, Work
from benchmarks.servers import Running, Server, running
from benchmarks.usage import forget_peak, memory, usage

MIB = 2**20
PARALLEL = 32
WINDOW = 100
"""Latencies are medians over so many chunks: one alone says nothing."""


def zeros(size: int, chunk: int) -> Work:
    """Return a file that takes no memory of ours: pages of zeros that were never touched."""
    return Work(memoryview(bytearray(size)), chunk)


def growth(site: Running, action: Callable[[], object]) -> float:
    """Run something and return by how many MiB the largest process grew at its peak, over what it had idle."""
    idle = memory(site.pids)
    forget_peak(site.pids)
    action()
    return max(0, memory(site.pids, "VmHWM") - idle) / MIB


def measure_memory(site: Running, scale: float) -> list[str]:
    """Measure one large simple upload, and many chunks at once."""
    upload(site, zeros(MIB, MIB))
    large, chunk = int(4096 * scale) * MIB, int(64 * scale) * MIB
    simple = growth(site, lambda: upload(site, zeros(large, large)))
    parallel = growth(site, lambda: upload_parallel(site, zeros(PARALLEL * chunk, chunk)))
    return [
        f"one simple upload of {large // MIB} MiB: {simple:.1f} MiB",
        f"{PARALLEL} parallel chunks of {chunk // MIB} MiB: {parallel:.1f} MiB",
    ]


def measure_completion(site: Running, scale: float) -> list[str]:
    """Measure the success requests of a small and of a large file, the best of three."""
    lines = []
    for size in (256 * MIB, int(8192 * scale) * MIB):
        times = [upload(site, zeros(size, 8 * MIB)) for _ in range(3)]
        lines.append(f"completing {size // MIB} MiB: {min(times) * 1000:.1f} ms")
    return lines


def measure_latency(site: Running, scale: float) -> list[str]:
    """Measure the chunks around number 100 and the last ones of a long upload."""
    work = zeros(int(50_000 * scale) * 1000, 1000)
    with site.connect() as connection:
        times = FineUploader("/without_fsync/").upload(connection, work).chunks
    early, late = median(times[WINDOW : 2 * WINDOW]), median(times[-WINDOW - 1 : -1])
    ratio = late / early
    return [f"chunk 100: {early * 1000:.2f} ms, chunk {len(times)}: {late * 1000:.2f} ms, {ratio:.2f} times"]


def measure_sizes(site: Running, scale: float) -> list[str]:
    """Measure what is written for chunks of several sizes, and for a file in one piece."""
    lines = []
    total = int(200_000_000 * scale)
    for chunk in (100_000, 500_000, 2_000_000, 10_000_000, 100_000_000, total):
        before = usage(site.pids)
        upload(site, zeros(total, chunk))
        written = usage(site.pids).since(before).written / total
        lines.append(f"chunks of {chunk} bytes: {written:.4f} bytes written per byte")
    return lines


def upload(site: Running, work: Work) -> float:
    """Send a file, check and delete it, and return how long its completion took."""
    with site.connect() as connection:
        completion = FineUploader("/without_fsync/").upload(connection, work).completion
    check(site, work)
    return completion


def upload_parallel(site: Running, work: Work) -> None:
    """Send all chunks of a file at the same time, each on a connection of its own."""
    protocol = FineUploader("/without_fsync/")
    number = protocol.new_uuid()

    def send(chunk: tuple[int, int, memoryview]) -> None:
        with site.connect() as connection:
            protocol.send_chunk(connection, work, number, *chunk)

    with ThreadPoolExecutor(work.count) as pool:
        list(pool.map(send, work.chunks()))
    with site.connect() as connection:
        protocol.send_done(connection, work, number)
    check(site, work)


def check(site: Running, work: Work) -> None:
    """Compare the digest of what was stored."""
    verify(site, len(work.data), hashlib.sha256(work.data).hexdigest())


MEASURES = {
    "memory": measure_memory,
    "completion": measure_completion,
    "latency": measure_latency,
    "sizes": measure_sizes,
}


def main() -> None:
    """Run what the command line names, each on a new server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="+", choices=MEASURES)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="where the files go (a temporary folder below it)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must end with us
    server = Server(
        name="gunicorn", command=lambda python, port: [*servers.gunicorn(python, port), "--threads", str(PARALLEL)]
    )
    for name in options.measures:
        with tempfile.TemporaryDirectory(dir=options.folder) as parent, running(server, parent=Path(parent)) as site:
            print("\n".join(MEASURES[name](site, options.scale)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
