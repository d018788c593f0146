"""Medians, ratios, and whether they are within their limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.measure import Sample
from benchmarks.plan import Limits

COLUMNS: tuple[str, ...] = (
    "server",
    "receiver",
    "chunk",
    "CPU s/GiB",
    "x floor",
    "x discard",
    "written",
    "MB/s",
    "p50 ms",
    "p99 ms",
)
COLUMNS += ("complete ms", "memory MiB")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The medians of one target at one chunk size; ratios are medians of each round's own ratio."""

    server: str
    receiver: str
    chunk: int
    figures: dict[str, float]
    to_floor: float | None
    to_discard: float | None
    limits: Limits | None = None
    at_most: float | None = None

    def problems(self) -> list[str]:
        """Say which ratios are above their limits."""
        found = []
        name = f"{self.server}, chunks of {self.chunk} bytes"
        if self.at_most is not None and self.to_floor is not None and self.to_floor > self.at_most:
            found.append(f"{name}: {self.to_floor:.2f} times the CPU of the floor, at most {self.at_most}")
        written = self.figures["written_per_byte"]
        if self.limits is not None and written > self.limits.written:
            found.append(f"{name}: {written:.4f} bytes written per byte, at most {self.limits.written}")
        return found

    def cells(self) -> list[str]:
        """Return what stands in the table."""
        figures = self.figures
        return [
            self.server,
            self.receiver,
            str(self.chunk),
            f"{figures['cpu_per_gib']:.2f}",
            _ratio(self.to_floor),
            _ratio(self.to_discard),
            f"{figures['written_per_byte']:.3f}",
            f"{figures['rate']:.0f}",
            f"{figures['p50'] * 1000:.1f}",
            f"{figures['p99'] * 1000:.1f}",
            f"{figures['completion'] * 1000:.0f}",
            f"{figures['growth'] / 2**20:.0f}",
        ]


def medians(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the median of each figure."""
    every = [asdict(sample) for sample in samples]
    return {name: median(one[name] for one in every) for name in every[0]}


def ratio(samples: Sequence[Sample], base: Sequence[Sample] | None) -> float | None:
    """Return the median, over the rounds, of how many times the base's CPU a target took."""
    if base is None:
        return None
    return median(one.cpu_per_gib / other.cpu_per_gib for one, other in zip(samples, base, strict=True))


def render(rows: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the rows for programs."""
    return [{**asdict(row), "problems": row.problems()} for row in rows]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
