"""What a site still keeps when nobody is at it: finished files, their rows, and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from livesite.server import fetch

if TYPE_CHECKING:
    from livesite.server import LiveSite

PATIENCE_SECONDS = 60


def leftovers(site: LiveSite) -> dict[str, Any]:
    """Return what is left after a purge, once requests whose clients are gone have ended.

    A completion that overtook such a request leaves the staged file to the purge.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        site.purge(str(uuid4()))
        left = look(site)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def look(site: LiveSite) -> dict[str, Any]:
    """Return whatever does not belong to a finished upload."""
    rows = site.uploads()
    roots = [site.media, site.folder / "cramped"]
    files = {str(path.relative_to(root)) for root in roots for path in root.rglob("*") if path.is_file()}
    found = {
        "unfinished": [row["uuid"] for row in rows if row["state"] != "complete"],
        "strays": sorted(files - {row["file"] for row in rows}),
        "missing": sorted({row["file"] for row in rows if row["state"] == "complete"} - files),
        "staged": [str(path) for root in roots for path in root.glob(".fineuploader/*")],
        "chunks": fetch(f"{site.url}/control/chunks")["chunks"],
        "open transactions": open_transactions(site),
    }
    return {name: what for name, what in found.items() if what}


def open_transactions(site: LiveSite) -> int:
    """Return how many transactions are open in the site's database."""
    return int(fetch(f"{site.url}/control/transactions")["open"])
