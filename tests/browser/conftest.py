"""The genuine client in headless Chromium, against the live site in processes of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import pytest
from playwright.sync_api import sync_playwright

from browser.person import Person
from livesite.server import LiveSite, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FOLDER = Path(__file__).parent


class NewPerson(Protocol):
    """Makes people; they listen to their wire unless told otherwise."""

    def __call__(self, *, logged_in: bool = True, listening: bool = True) -> Person: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what this folder holds."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory, fine_uploader_dir: Path) -> Iterator[LiveSite]:
    """The live site, one for all tests of this folder: each has a person of its own."""
    with serve(tmp_path_factory.mktemp("livesite"), fine_uploader_dir) as site:
        yield site


@pytest.fixture
def site(live_site: LiveSite) -> LiveSite:
    """The site as people reach it; modules that put something in between override this."""
    return live_site


@pytest.fixture(scope="module")
def chromium_browser(chromium: str) -> Iterator[Browser]:
    """A browser for one module: Playwright's event loop in this thread would bar the ORM from other folders' tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_person(site: LiveSite, chromium_browser: Browser) -> Iterator[NewPerson]:
    """A maker of people. In the end no page may have thrown, and the server must not have failed unasked."""
    people: list[Person] = []
    served, logged = len(site.records("requests")), site.log.stat().st_size

    def make(*, logged_in: bool = True, listening: bool = True) -> Person:
        person = Person(site=site, context=chromium_browser.new_context(), name=f"person-{uuid4().hex[:12]}")
        people.append(person)
        if logged_in:
            person.log_in()
        if listening:
            person.listen()
        return person

    yield make
    for person in people:
        person.context.close()
    print(site.log.read_text(errors="replace")[logged:])  # noqa: T201 - pytest shows it with a failure
    tolerated = {status for person in people for status in person.tolerated}
    failures = [record for record in site.records("requests")[served:] if record["status"] >= 500]
    assert [record for record in failures if record["status"] not in tolerated] == []
    assert [error for person in people if not person.may_throw for error in person.page_errors] == []


@pytest.fixture
def person(new_person: NewPerson) -> Person:
    """Somebody who is logged in and whose requests can be seen and disturbed."""
    return new_person()
