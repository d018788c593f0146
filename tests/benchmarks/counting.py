"""How many statements and commits of this app's own a chunk takes, which does not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import servers
from benchmarks.protocols import FineUploader, Work
from benchmarks.servers import Server, running
from benchmarks.wire import Connection

HEADER = "x-statements"
"""Set by `benchmarks.site.counter` on every answer: our statements and our commits."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Statements on this app's tables, and transactions that changed something."""

    statements: int
    commits: int


LIMITS = {"with the success request": Cost(statements=4, commits=2), "without": Cost(statements=5, commits=2)}


@dataclass(frozen=True)
class Counts:
    """The cost of one chunk in the middle of an upload, by what the page announces."""

    chunks: dict[str, Cost]

    def problems(self) -> list[str]:
        """Say what is above its limit."""
        return [
            f"A chunk {name} takes {cost}, at most {LIMITS[name]}."
            for name, cost in self.chunks.items()
            if cost.statements > LIMITS[name].statements or cost.commits > LIMITS[name].commits
        ]

    def __str__(self) -> str:
        return "\n".join(f"A chunk {name}: {cost}" for name, cost in self.chunks.items())


def cost_of(statements: Iterable[str]) -> Cost:
    """Count what a request sent to the database, BEGIN and COMMIT included."""
    ours, commits, begun = 0, 0, False
    for sql in statements:
        word = sql.split(None, 1)[0].rstrip(";").upper()
        begun = word == "BEGIN" or (begun and word not in ("COMMIT", "ROLLBACK"))
        mine = "fineuploader_receiver_" in sql
        ours += mine
        commits += word == "COMMIT" or (mine and not begun and word in ("INSERT", "UPDATE", "DELETE"))
    return Cost(statements=ours, commits=commits)


def count(parent: Path) -> Counts:
    """Ask a server of its own, whose answers say what they took."""
    counter = {"BENCHMARK_COUNTER": "1"}
    server = Server(name="counter", command=servers.gunicorn, environment=counter)
    with running(server, parent=parent) as site, site.connect() as connection:
        with_done = middle_chunk(connection, FineUploader())
        without = middle_chunk(connection, FineUploader(announces_done=False))
    return Counts({"with the success request": with_done, "without": without})


def middle_chunk(connection: Connection, protocol: FineUploader) -> Cost:
    """Send the first half of an upload and return what the chunk after it took."""
    work = Work(memoryview(bytes(100 * 1000)), 1000)
    number = protocol.new_uuid()
    answers = [
        protocol.send_chunk(connection, work, number, index, offset, data)
        for index, offset, data in list(work.chunks())[:50]
    ]
    statements, commits = answers[-1].headers[HEADER].split()
    return Cost(statements=int(statements), commits=int(commits))
