"""Disks that are full, at any point: an error that can be read, nothing acknowledged in vain, and then it goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from crashes.conftest import serve_person
from crashes.mounts import FILLER, fill, make_read_only, small_disk
from crashes.person import SETTLED
from crashes.scenarios import EVERY_TIME, Scenario, begin, report
from fakeuploader import WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crashes.person import Page, Person

EXACT = {"state": "complete", "exact": True, "completions": 1}
ONE = {"complete": 1, **SETTLED}
IN_A_FILE = os.environ.get("TEST_DATABASE", "sqlite") == "sqlite"
SIZE = 8 * 2**20
ALIASES = ("files_none", "files_publish", "files_chunk", "copied_publish", "objects_publish", "objects_chunk")
CHOSEN = [("copied_publish", "media"), ("objects_publish", "media"), ("files_publish", "database")]
REFUSED = 10
"""At how many points, at least, there must have been a need for space."""
# What a page is told while a disk is full, by the disk: it may try again.
TOLD = {"media": {(507, "no_space"), (503, "storage_error")}, "database": {(503, "busy"), (503, "storage_error")}}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Iterator[Person]:
    """Somebody at a site whose MEDIA_ROOT is small, and its database too where that is a file."""
    folder, disk = tmp_path_factory.mktemp("tight"), tmp_path_factory.mktemp("database")
    changes = {"LIVESITE_DATABASE": str(disk / "db.sqlite3")} if IN_A_FILE else {}
    with small_disk(disk, size=SIZE), serve_person(folder, elsewhere, changes) as person:
        (folder / "database").symlink_to(disk)
        with small_disk(person.site.media, size=SIZE):
            yield person


def free(person: Person) -> None:
    """Make room again on both disks."""
    for name in ("media", "database"):
        (person.site.folder / name / FILLER).unlink(missing_ok=True)


def tell(page: Page) -> set[tuple[int, str]]:
    """Return every refusal that the page has met: statuses with codes."""
    refusals = [answer for _, answer in page.uploader.log if answer.status != 200]
    return {(answer.status, answer.json()["code"]) for answer in refusals}


def stored(page: Page) -> Any:
    """Ask the server which chunks it has."""
    url = f"{page.uploader.options.endpoint}{page.upload.uuid}"
    answer = page.uploader.transport.send(WireRequest(method="GET", url=url))
    return answer.json()["received"] if answer.status == 200 else answer.status


FULL = [(alias, disk) for alias in ALIASES for disk in ("media", "database")] if EVERY_TIME else CHOSEN


@pytest.mark.parametrize(("alias", "disk"), [(alias, disk) for alias, disk in FULL if IN_A_FILE or disk == "media"])
def test_disk_that_fills_up_at_any_point_costs_a_retry(tight: Person, alias: str, disk: str) -> None:
    def prepare() -> Page:
        free(tight)
        return begin(tight, alias, "in order, without done")

    wrong: dict[Any, Any] = {}
    times = refused = 0
    path = str(tight.site.folder / disk)
    scenario = Scenario(person=tight, prepare=prepare, act=lambda page: page.send(attempts=1), fill=path)
    for name, count, page, sent in scenario.deaths():
        times += 1
        told = tell(page)
        refused += bool(told)
        free(tight)
        found = (sent or page.send(), page.result(), tight.partial() * alias.startswith("files"), tight.settle())
        if found != (True, EXACT, [], ONE) or not told <= TOLD[disk] or bool(told) == sent:
            wrong[name, count] = (told, *found)
    assert wrong == {}
    assert refused >= REFUSED
    report(times, at_least=40)


@pytest.mark.parametrize("alias", ["files_publish", "objects_publish"])
def test_chunk_without_room_is_refused_and_taken_when_there_is_some(tight: Person, alias: str) -> None:
    page = half(tight, alias)
    fill(tight.site.media)
    outcome = page.uploader.upload(page.upload)
    assert (outcome.status, outcome.response["code"], outcome.prevent_retry) == (507, "no_space", False)
    assert stored(page) == [[0, 0]]
    free(tight)
    assert page.send()
    assert (page.result(), tight.settle()) == (EXACT, ONE)


def test_floor_of_free_space_refuses_an_upload_before_its_first_byte(tight: Person) -> None:
    free(tight)
    page = begin(tight, "careful")
    with (tight.site.media / FILLER).open("wb") as file:
        file.write(bytes(SIZE - 2**19 - len(page.data)))
    outcome = page.uploader.upload(page.upload)
    assert (outcome.status, outcome.response["code"], outcome.prevent_retry) == (507, "no_space", False)
    assert stored(page) == 404
    assert [path.name for path in tight.site.media.rglob("*")] == [FILLER]
    free(tight)
    assert page.send()


@pytest.mark.parametrize("alias", ["files_publish", "objects_publish"])
def test_disk_that_turns_read_only_keeps_what_it_has(tight: Person, alias: str) -> None:
    page = half(tight, alias)
    make_read_only(tight.site.media, read_only=True)
    try:
        outcome = page.uploader.upload(page.upload)
        assert (outcome.status, outcome.response["code"], outcome.prevent_retry) == (503, "storage_error", False)
        assert stored(page) == [[0, 0]]
    finally:
        make_read_only(tight.site.media, read_only=False)
    assert page.send()
    assert (page.result(), tight.settle()) == (EXACT, ONE)


def half(person: Person, alias: str) -> Page:
    """Upload the first chunk of a file, and nothing more."""
    free(person)
    page = begin(person, alias)
    assert page.uploader.send_chunk(page.upload, 0).success
    page.upload.remaining = [1, 2]
    return page
