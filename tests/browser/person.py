"""Someone at a browser: cookies and local storage of their own, any number of pages, files on the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser.uploader import Uploader, hand_written, merge
from browser.wire import PAGE_PATHS, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import BrowserContext, Page

    from browser.files import File
    from livesite.server import LiveSite


@dataclass
class Person:
    """Opens pages, starts the client in them, and knows what the server keeps under the person's name.

    In the end the server must not have answered 5xx, but for ``tolerated`` codes, and no page may have thrown, unless
    it ``may_throw``.
    """

    site: LiveSite
    context: BrowserContext
    name: str
    wire: Wire = field(default_factory=Wire)
    page_errors: list[str] = field(default_factory=list)
    tolerated: set[int] = field(default_factory=set)
    may_throw: bool = False
    files_before: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.files_before.update(self.site.stored_files())

    def listen(self) -> None:
        """Record what the pages send. The browser then answers preflights itself, so not for other origins."""
        self.context.route(lambda url: not any(path in url for path in PAGE_PATHS), self.wire.handle)

    def log_in(self) -> None:
        """Log in, for all pages."""
        answer = self.context.request.post(f"{self.site.url}/control/login", form={"username": self.name})
        assert answer.status == 204

    def log_out(self) -> None:
        """Log out, for all pages."""
        assert self.context.request.post(f"{self.site.url}/control/logout").status == 204

    def open(self, alias: str = "default", *, kind: str = "plain", origin: str | None = None) -> Uploader:
        """Open a page for a receiver; ``kind`` is ``plain`` or ``generated``."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.goto(f"{origin or self.site.url}/pages/{alias}/{kind}/")
        return Uploader(page)

    def start(
        self,
        alias: str = "default",
        *changes: Mapping[str, Any],
        ui: bool = False,
        tweak: str = "options => options",
        origin: str | None = None,
    ) -> Uploader:
        """Open a page and start the client with hand-written options, CSRF header included."""
        uploader = self.open(alias, origin=origin)
        options = hand_written(self.endpoint(alias, origin=origin), csrf_token(uploader.page))
        uploader.start(merge(options, *changes), ui=ui, tweak=tweak)
        return uploader

    def start_generated(
        self, alias: str = "default", *changes: Mapping[str, Any], ui: bool = False, origin: str | None = None
    ) -> Uploader:
        """Open a page and start the client with the options that the template tag wrote; it has its initial list then.

        A file that is through before that list is asked for would be in it, and have two numbers.
        """
        uploader = self.open(alias, kind="generated", origin=origin)
        uploader.start_generated(alias, merge({}, *changes), ui=ui)
        uploader.wait_for("session")
        return uploader

    def endpoint(self, alias: str = "default", *, origin: str | None = None) -> str:
        """Return the upload endpoint of a receiver."""
        return f"{origin or self.site.url}/{'uploads' if alias == 'default' else alias}/"

    def uploads(self) -> list[dict[str, Any]]:
        """Return the person's uploads, oldest first."""
        return self.site.uploads(owner__username=self.name)

    def upload(self) -> dict[str, Any]:
        """Return the person's only upload."""
        (upload,) = self.uploads()
        return upload

    def stored(self) -> list[tuple[str, str, str | None]]:
        """Return name, state and SHA-256 of each of the person's uploads, by name."""
        return sorted((upload["filename"], upload["state"], upload["sha256"]) for upload in self.uploads())

    def site_is_clean(self) -> bool:
        """Whether no row of this person and no byte of anybody new is kept."""
        return self.uploads() == [] and not (set(self.site.stored_files()) - self.files_before)

    def delete(self, uuid: str, alias: str = "default") -> None:
        """Delete an upload from outside the page, as another tab does."""
        token = next(cookie["value"] for cookie in self.context.cookies() if cookie["name"] == "csrftoken")
        headers = {"X-CSRFToken": token}
        assert self.context.request.delete(f"{self.endpoint(alias)}{uuid}", headers=headers).status == 200


def csrf_token(page: Page) -> str:
    """Return the CSRF token that the page was rendered with."""
    return str(page.evaluate("csrfToken"))


def complete(*files: File) -> list[tuple[str, str, str]]:
    """Return what ``Person.stored`` says of these files when each of them is complete and exact."""
    return sorted((file.name, "complete", file.sha256) for file in files)
