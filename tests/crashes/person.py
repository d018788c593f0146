"""Somebody who uploads to the site, and what the tests can see and do there meanwhile."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from fakeuploader import ClientOptions, FakeUploader, SocketTransport
from flowtools import CSRF, TOKEN, pattern
from livesite.server import fetch, log_in

if TYPE_CHECKING:
    from fakeuploader import ClientUpload
    from livesite.server import LiveSite

PART = 600_000
DATA = pattern(1_400_000)
ATTEMPTS = 4
"""The client's own: once, and three times again by itself."""
PATIENCE_SECONDS = 30
SETTLED = {"rows": 0, "untidy": 0, "staged": [], "lost": [], "problem": ""}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A signed-in user of the site."""

    site: LiveSite
    cookies: dict[str, str]

    @classmethod
    def log_in(cls, site: LiveSite) -> Person:
        """Sign somebody in."""
        return cls(site=site, cookies={"sessionid": log_in(site.url), "csrftoken": TOKEN})

    def open_page(self, alias: str, *, data: bytes = DATA, **changes: Any) -> Page:
        """Open a hand-written page at a receiver; it sends chunks, in order, and the success request."""
        options = ClientOptions(
            endpoint=f"/{alias}/",
            delete_endpoint=f"/{alias}/",
            success_endpoint=f"/{alias}/done",
            custom_headers=CSRF,
            delete_headers=CSRF,
            chunking=True,
            part_size=PART,
        ).but(**changes)
        transport = SocketTransport("127.0.0.1", self.site.ports[0], cookies=self.cookies)
        uploader = FakeUploader(transport, options, parallel=options.concurrent)
        return Page(person=self, uploader=uploader, upload=uploader.add(data), data=data)

    def clean(self) -> None:
        """Forget every upload and every point that was passed."""
        fetch(f"{self.site.url}/control/clean", x="x")
        self.forget_points()
        (self.site.folder / "deadly.json").unlink(missing_ok=True)

    def forget_points(self) -> None:
        """Count points from here on."""
        for name in ("points.txt", "partial.txt"):
            (self.site.folder / name).unlink(missing_ok=True)

    def points(self) -> list[str]:
        """Return the points that were passed, in order."""
        return self._lines("points.txt")

    def wait_until_quiet(self) -> None:
        """Wait for the last points of requests that are answered already."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (points := Counter(self.points()))["answer, before"] != points["answer, after"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def partial(self) -> list[str]:
        """Return the points at which a final name held anything but the whole file."""
        return self._lines("partial.txt")

    def arm(self, name: str, count: int, *, fill: str = "") -> None:
        """Let the process die that passes the point for this time, or fill a disk there."""
        deadly = {"name": name, "count": count, "fill": fill}
        (self.site.folder / "deadly.json").write_text(json.dumps(deadly))

    def is_armed(self) -> bool:
        """Whether the point was not reached yet."""
        return (self.site.folder / "deadly.json").exists()

    def settle(self) -> dict[str, Any]:
        """Let everything grow old and purge it, until nothing is left to do; return what is left."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            left = self.purge_once() or {}
            complete = left.pop("complete", 0)
            if left == SETTLED or time.monotonic() > deadline:
                return {"complete": complete, **left}
            time.sleep(0.2)

    def purge_once(self) -> dict[str, Any] | None:
        """Let everything grow old and purge it; None where the process died over it."""
        try:
            return dict(fetch(f"{self.site.url}/control/settle", x="x"))
        except HTTPError:
            raise
        except OSError:
            return None

    def _lines(self, name: str) -> list[str]:
        path = self.site.folder / name
        return path.read_text().splitlines() if path.exists() else []


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page with one file to upload."""

    person: Person
    uploader: FakeUploader
    upload: ClientUpload
    data: bytes

    def send(self, *, attempts: int = ATTEMPTS) -> bool:
        """Upload the file, with the client's own retries."""
        return self.uploader.upload(self.upload, attempts=attempts).success

    def delete(self) -> bool:
        """Delete the upload, and press the button again where that failed."""
        return any(self.uploader.delete(self.upload.uuid).success for _ in range(ATTEMPTS))

    def result(self) -> dict[str, Any]:
        """Return what became of the file: what is stored, and how many completions were committed."""
        found = fetch(f"{self.person.site.url}/control/result?uuid={self.upload.uuid}")
        exact = found.pop("sha256") == hashlib.sha256(self.data).hexdigest()
        return {**found, "exact": exact}
