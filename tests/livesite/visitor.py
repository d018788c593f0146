"""Somebody with a socket and an account, and what the site keeps of their uploads."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fakeuploader import ClientOptions, FakeUploader, SocketTransport, WireRequest
from flowtools import CSRF, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from fakeuploader import ClientUpload
    from livesite.server import LiveSite

PART = 40
PATIENCE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody with an account and uploads of their own, whose connections may go through a proxy."""

    site: LiveSite
    name: str
    transport: SocketTransport

    @classmethod
    def log_in(cls, site: LiveSite, port: int) -> Visitor:
        """Sign somebody new in."""
        transport = SocketTransport("127.0.0.1", port, cookies={"csrftoken": TOKEN})
        visitor = cls(site=site, name=f"visitor-{uuid4().hex[:12]}", transport=transport)
        assert visitor.sign_in()
        return visitor

    def sign_in(self) -> bool:
        """Sign in, past any proxy, with the cookies that there are; the page keeps the one of the session."""
        direct = SocketTransport("127.0.0.1", self.site.ports[0], cookies=self.transport.cookies)
        headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        request = WireRequest(method="POST", url="/control/login", headers=headers)
        answer = direct.send(request.with_body(f"username={self.name}".encode()))
        self.transport.cookies["sessionid"] = direct.cookies["sessionid"]
        return answer.status == 204

    def open_page(self, alias: str = "uploads", **changes: Any) -> FakeUploader:
        """Open a hand-written page that sends chunks, in order, and the success request."""
        options = ClientOptions(
            endpoint=f"/{alias}/",
            success_endpoint=f"/{alias}/done",
            delete_endpoint=f"/{alias}/",
            custom_headers=CSRF,
            delete_headers=CSRF,
            chunking=True,
            mandatory=True,
            part_size=PART,
        ).but(**changes)
        return FakeUploader(self.transport, options, parallel=options.concurrent)

    def kept(self) -> dict[str, tuple[str, str | None, int]]:
        """Return state, digest and number of committed completions of each upload, by uuid."""
        rows = self.site.uploads(owner__username=self.name)
        completed = [line["uuid"] for line in self.site.records("events") if line["signal"] == "upload_completed"]
        return {row["uuid"]: (row["state"], row["sha256"], completed.count(row["uuid"])) for row in rows}

    def abandon(self) -> None:
        """Never come back: what is unfinished grows too old, and the purge takes it."""
        self.site.purge()


def whole(upload: ClientUpload) -> tuple[str, str, int]:
    """Return what ``Visitor.kept`` says of an upload that is complete, exact and was completed once."""
    return ("complete", hashlib.sha256(upload.file.data).hexdigest(), 1)


def staged(site: LiveSite) -> list[Path]:
    """Return what is left of uploads under way after the purge, once requests whose clients are gone have ended.

    A completion that overtook such a request leaves the staged file to the purge.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        site.purge(str(uuid4()))
        left = sorted((site.media / ".fineuploader").glob("*"))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)
