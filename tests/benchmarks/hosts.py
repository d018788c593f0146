"""What three hosts behind a load balancer take from the wire, against one: one database, and a bucket for the files.

    cd tests && TEST_DATABASE=postgresql python -m benchmarks.hosts [--files 6] [--size 64] [--rounds 5]

All hosts share this machine's processors with the store and the database. Where these are what runs out, the ratio says
what several hosts cost, not what they gain; the processors' share that was busy is printed beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks.protocols import FineUploader, Work
from benchmarks.wire import Connection
from hosts.cluster import Cluster, cluster
from livesite.server import log_in
from stores.s3 import seaweedfs
from stores.s3.server import S3Server

MIB = 2**20
CHUNK = 8 * MIB
TOKEN = "t0k3n" * 6 + "ab"
SIZES = (1, 3)


def main() -> None:
    """Send the same files to both sites in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=6, help="uploads at once")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="of each file")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    data = secrets.token_bytes(options.size * MIB)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        store = stack.enter_context(seaweedfs.serve(Path(folder)))
        sites = [stack.enter_context(site_of(size, Path(folder), nginx, store)) for size in SIZES]
        for site in sites:
            measure(site, data, options.files)
        figures = [[measure(site, data, options.files) for site in sites] for _ in range(options.rounds)]
    for size, (rates, busy) in zip(
        SIZES, (zip(*column, strict=True) for column in zip(*figures, strict=True)), strict=True
    ):
        print(f"{size} host(s): {median(rates):.0f} MB/s, processors {median(busy):.0%} busy")
    print(f"ratio {median(three[0] / one[0] for one, three in figures):.2f}")


@contextlib.contextmanager
def site_of(size: int, parent: Path, nginx: str, store: S3Server) -> Iterator[Cluster]:
    """Run a site of so many hosts."""
    folder = parent / f"site{size}"
    folder.mkdir()
    storage = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": store.options()}
    with cluster(folder, nginx, storage, size=size, body_limit="20m") as site:
        yield site


def measure(site: Cluster, data: bytes, files: int) -> tuple[float, float]:
    """Return MB/s of so many uploads at once, and how busy all processors were, from 0 to 1; check and delete them."""
    headers = {"Cookie": f"sessionid={log_in(site.url)}; csrftoken={TOKEN}", "X-CSRFToken": TOKEN}
    work, protocol = Work(memoryview(data), CHUNK), FineUploader()

    def send(_: int) -> None:
        with Connection(site.port, headers) as connection:
            protocol.upload(connection, work)

    before, started = processor_times(), time.perf_counter()
    with ThreadPoolExecutor(files) as pool:
        list(pool.map(send, range(files)))
    seconds, after = time.perf_counter() - started, processor_times()
    rows = site.uploads()
    if {row["sha256"] for row in rows} != {hashlib.sha256(data).hexdigest()} or len(rows) != files:
        sys.exit("A file is not what was sent.")
    with Connection(site.port, headers) as connection:
        for row in rows:
            connection.send("DELETE", f"/uploads/{row['uuid']}")
    idle, total = (after[number] - before[number] for number in (0, 1))
    return files * len(data) / seconds / 1e6, 1 - idle / total


def processor_times() -> tuple[int, int]:
    """Return what the machine's processors have spent idle, and in all, in ticks."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


if __name__ == "__main__":
    main()
