"""One page with the genuine client in it: start it, give it files, wait for what it reports."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from playwright.sync_api import TimeoutError as PlaywrightTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Page

    from browser.files import File

HANG = 20_000  # milliseconds
SETTLED = "reported => driver.settled(reported)"
COUNTED = "([event, count]) => driver.count(event) >= count"
RETRY_DELAY = 0.02  # seconds


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the files came to: ids by fate, and the texts that the person was shown since the last outcome."""

    succeeded: list[int]
    failed: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class Uploader:
    """A page that holds one uploader. A batch that never ends is a hang, and fails the test."""

    page: Page
    reported: int = 0
    patience: int = HANG

    def start(self, options: Mapping[str, Any], *, ui: bool = False, tweak: str = "options => options") -> None:
        """Create the uploader with hand-written options; ``tweak`` is JavaScript that may put functions in."""
        self.page.evaluate(f"([ui, options]) => driver.start(ui, ({tweak})(options))", [ui, options])

    def start_generated(self, alias: str, changes: Mapping[str, Any], *, ui: bool = False) -> None:
        """Create the uploader with the options that the app's template tag wrote, and the test's changes to them."""
        self.page.evaluate(
            "([alias, ui, changes]) => driver.start(ui, driver.merge(driver.generated(alias), changes))",
            [alias, ui, changes],
        )

    def add(self, *files: File) -> None:
        """Give the client files that are made in the page."""
        self.page.evaluate("files => driver.add(files)", [file.to_page() for file in files])

    def upload(self, *files: File) -> Outcome:
        """Add files and wait for the end of the batch."""
        self.add(*files)
        return self.finish()

    def finish(self) -> Outcome:
        """Wait until the client has said that all is over and no file is on its way, and return what came of it.

        With a success request the client calls ``onAllComplete`` too early, while a file is still "finalizing".
        """
        self._wait(SETTLED, self.reported)
        events = self.events
        errors = [event["reason"] for event in events[self.reported :] if event["event"] == "error"]
        self.reported = len(events)
        return Outcome(succeeded=self._ids("upload successful"), failed=self._ids("upload failed"), errors=errors)

    def _ids(self, status: str) -> list[int]:
        return sorted(upload["id"] for upload in self.call("getUploads", {"status": status}))

    def wait_for(self, event: str, count: int = 1) -> None:
        """Wait until the client has called back so many times."""
        self._wait(COUNTED, [event, count])

    def _wait(self, condition: str, argument: Any) -> None:
        try:
            self.page.wait_for_function(condition, arg=argument, timeout=self.patience)
        except PlaywrightTimeout:
            seen = json.dumps(self.events, indent=1)
            raise AssertionError(f"the client hangs: not {condition} for {argument}; it reported {seen}") from None

    def leave(self) -> None:
        """Close the page, whose requests break off. Closing it at once would let those pass that a test holds back."""
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto("about:blank")
        self.page.close()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything that the client called back with, in order."""
        return list(self.page.evaluate("driver.events"))

    def events_of(self, name: str) -> list[dict[str, Any]]:
        """Return the callbacks of one name."""
        return [event for event in self.events if event["event"] == name]

    @property
    def sending(self) -> list[int]:
        """The indexes of the chunks in the order in which the client sent them; the browser may change it a little."""
        return [event["index"] for event in self.events_of("sending")]

    def answer(self, file_id: int = 0) -> dict[str, Any]:
        """Return the last response that ``onComplete`` brought for a file."""
        return dict([event for event in self.events_of("complete") if event["id"] == file_id][-1]["response"])

    def uuid(self, file_id: int = 0) -> str:
        """Return the uuid under which the client knows a file."""
        return str(self.call("getUuid", file_id))

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the client's API."""
        return self.page.evaluate("([method, given]) => driver.uploader[method](...given)", [method, list(arguments)])


def hand_written(endpoint: str, token: str) -> dict[str, Any]:
    """Return options as a person writes them who has read the client's documentation."""
    headers = {"X-CSRFToken": token}
    return {
        "request": {"endpoint": endpoint, "customHeaders": headers},
        "deleteFile": {"endpoint": endpoint, "customHeaders": headers},
        "retry": {"autoAttemptDelay": RETRY_DELAY},
    }


def merge(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested options with changes laid over them, the last on top."""
    merged = dict(base)
    for change in changes:
        for key, value in change.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both else value
    return merged
