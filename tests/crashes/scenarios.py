"""Uploads that are played again and again, with a death at one point after the other.

``TEST_CRASHES=all`` tries every kind of upload and a death at every passing of every point; without it the tests choose
some, and the first passing of each point.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crashes.person import DATA, PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crashes.person import Page, Person

EVERY_TIME = os.environ.get("TEST_CRASHES") == "all"

MODES: dict[str, dict[str, Any]] = {
    "simple": {"chunking": False},
    "in order": {},
    "in order, without done": {"success_endpoint": None},
    "concurrent": {"concurrent": True},
}
ALIASES = ("files_none", "files_publish", "files_chunk", "copied_publish", "objects_publish", "objects_chunk")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is there before, and what is done, again and again, with a death at one of its points."""

    person: Person
    prepare: Callable[[], Page]
    act: Callable[[Page], Any]
    #: Whether the points come in the same number each time.
    steady: bool = True
    #: The disk that is full from the point on; without one, the process dies.
    fill: str = ""

    def deaths(self) -> Iterator[tuple[str, int, Page, Any]]:
        """Play the scenario once to learn its points, then once for each of them; yield the point and what came of it.

        A point that was not passed this time, where that is up to chance, is left out.
        """
        self.play()
        counts = Counter(self.person.points())
        for name in counts:
            for count in range(1, (counts[name] if EVERY_TIME and self.steady else 1) + 1):
                page, result = self.play(name, count)
                if self._has_died():
                    yield name, count, page, result

    def play(self, name: str = "", count: int = 0) -> tuple[Page, Any]:
        page = self.prepare()
        self.person.wait_until_quiet()
        self.person.forget_points()
        if name:
            self.person.arm(name, count, fill=self.fill)
        return page, self.act(page)

    def _has_died(self) -> bool:
        """Whether the point was reached; the last ones come after the last answer."""
        deadline = time.monotonic() + (PATIENCE_SECONDS if self.steady else 1)
        while self.person.is_armed():
            if time.monotonic() > deadline:
                assert not self.steady
                return False
            time.sleep(0.01)
        return True


def uploading(person: Person, alias: str, mode: str, act: Callable[[Page], Any]) -> Scenario:
    """Return the scenario of an upload from its first byte on."""
    return Scenario(person=person, prepare=lambda: begin(person, alias, mode), act=act, steady=mode != "concurrent")


def begin(person: Person, alias: str, mode: str = "in order") -> Page:
    """Open a page with a file at an empty site."""
    person.clean()
    (person.site.folder / "expected").write_bytes(DATA)
    return person.open_page(alias, **MODES[mode])


def report(killed: int, *, at_least: int) -> None:
    """Say how many deaths that was, and see that points were found at all."""
    print(f"killed at {killed} points")  # noqa: T201 - for those who run it with -s
    assert killed >= at_least
