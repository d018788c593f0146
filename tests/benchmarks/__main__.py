"""Start the servers, send them all the same files in turn, and print the table."""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import counting, plan
from benchmarks.measure import Sample, Target, rounds
from benchmarks.plan import Entry
from benchmarks.protocols import Work
from benchmarks.servers import Running, running
from benchmarks.table import Row, as_json, medians, ratio, render

PIECE = 2**20


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=plan.GROUPS, default=plan.GROUPS, help="groups of servers")
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="size of the file")
    parser.add_argument("--chunks", type=int, nargs="+", default=plan.CHUNKS, metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go (a temporary folder below it)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--check", action="store_true", help="fail where a ratio or a count is above its limit")
    return parser


def main() -> int:
    """Measure, print, and return the exit status."""
    options = build_parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must end with us
    entries = [entry for entry in plan.ENTRIES if entry.group in options.only]
    with contextlib.ExitStack() as stack:
        parent = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        sites = [stack.enter_context(running(entry.server, parent=parent)) for entry in entries]
        data = memoryview(b"".join(secrets.token_bytes(PIECE) for _ in range(options.size)))
        rows = [row for chunk in options.chunks for row in measure(entries, sites, Work(data, chunk), options.rounds)]
        counts = counting.count(parent)
    problems = [problem for row in rows for problem in row.problems()] + counts.problems()
    print(render(rows))
    print(f"\n{counts}\n")
    print("\n".join(problems) or "Every ratio is within its limit.")
    if options.json:
        options.json.write_text(json.dumps({"rows": as_json(rows), "problems": problems}, indent=1))
    return 1 if options.check and problems else 0


def measure(entries: Sequence[Entry], sites: Sequence[Running], work: Work, count: int) -> list[Row]:
    """Send one file, in chunks of one size, to everybody."""
    targets = [
        Target(name=f"{number} {receiver}", site=site, protocol=protocol, keeps=receiver != "discard")
        for number, (entry, site) in enumerate(zip(entries, sites, strict=True))
        for receiver, protocol in entry.sends.items()
    ]
    print(f"chunks of {work.chunk} bytes", file=sys.stderr)
    samples = rounds(targets, work, count)
    return [
        make_row(entry, receiver, work, {name: samples[f"{number} {name}"] for name in entry.sends})
        for number, entry in enumerate(entries)
        for receiver in entry.sends
    ]


def make_row(entry: Entry, receiver: str, work: Work, samples: dict[str, list[Sample]]) -> Row:
    """Compare a receiver with the two views on the same server."""
    limits = entry.limits if receiver == plan.COMPARED else None
    at_most = limits.cpu[plan.CHUNKS.index(work.chunk)] if limits and work.chunk in plan.CHUNKS else None
    return Row(
        server=entry.server.name,
        receiver=receiver,
        chunk=work.chunk,
        figures=medians(samples[receiver]),
        to_floor=ratio(samples[receiver], samples.get("floor")),
        to_discard=ratio(samples[receiver], samples.get("discard")),
        limits=limits,
        at_most=at_most,
    )


if __name__ == "__main__":
    sys.exit(main())
