"""Workers killed at every point between the first byte and the last answer: what client and purge make of it.

Each test first watches which points its scenario passes, and then plays it again for each of them, with the process
that passes it killed there. ``TEST_CRASHES=all`` kills at every passing of every point, else at the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crashes.person import SETTLED
from crashes.scenarios import ALIASES, EVERY_TIME, MODES, Scenario, begin, report, uploading

if TYPE_CHECKING:
    from crashes.person import Page, Person

EXACT = {"state": "complete", "exact": True, "completions": 1}
ONE, NOTHING = {"complete": 1, **SETTLED}, {"complete": 0, **SETTLED}

# One of each: what is written where, in which order, by which route.
RETRIED = {
    ("files_chunk", "in order"),
    ("files_publish", "concurrent"),
    ("copied_publish", "in order, without done"),
    ("objects_chunk", "simple"),
}
ABANDONED = {("files_publish", "simple")}
DELETED = [("files_publish", "whole"), ("objects_publish", "half")]

pytestmark = pytest.mark.timeout(900)


def uploads(chosen: set[tuple[str, str]]) -> list[Any]:
    """Return the parameters of a test: kinds of uploads, the chosen ones where not everything is to be tried."""
    pairs = [(alias, mode) for alias in ALIASES for mode in MODES if EVERY_TIME or (alias, mode) in chosen]
    return [pytest.param(alias, mode, id=f"{alias}, {mode}") for alias, mode in pairs]


def half(person: Person, alias: str) -> Page:
    """Upload the first chunk of a file, and nothing more."""
    page = begin(person, alias)
    assert page.uploader.send_chunk(page.upload, 0).success
    return page


def whole(person: Person, alias: str) -> Page:
    """Upload a file."""
    page = begin(person, alias)
    assert page.send()
    return page


def untidy(person: Person, alias: str) -> Page:
    """Upload a file whose staged bytes are left, because its worker was killed before it discarded them."""
    page = begin(person, alias)
    person.arm("lifecycle.completion._commit: COMMIT, after", 1)
    assert page.send()
    assert not person.is_armed()
    return page


def orphaned(person: Person, alias: str) -> Page:
    """Let a worker be killed between making a place for an upload and writing down where it is."""
    page = begin(person, alias)
    person.arm("FileSystemBackend.begin, after", 1)
    assert not page.send(attempts=1)
    assert not person.is_armed()
    return page


BEFORE = {"half": half, "whole": whole, "untidy": untidy, "orphaned": orphaned}


@pytest.mark.parametrize(("alias", "mode"), uploads(RETRIED))
def test_worker_killed_anywhere_costs_a_retry_and_nothing_else(person: Person, alias: str, mode: str) -> None:
    wrong, killed = {}, 0
    for name, count, page, sent in uploading(person, alias, mode, lambda page: page.send()).deaths():
        killed += 1
        # Any storage but ours may show a name before the file is whole; the row does not say so then.
        partial = [] if alias.startswith("objects") else person.partial()
        found = (sent, page.result(), partial, person.settle())
        if found != (True, EXACT, [], ONE):
            wrong[name, count] = found
    assert wrong == {}
    report(killed, at_least=40)


@pytest.mark.parametrize(("alias", "mode"), uploads(ABANDONED))
def test_upload_abandoned_when_its_worker_was_killed_is_purged(person: Person, alias: str, mode: str) -> None:
    wrong, killed = {}, 0
    for name, count, page, _ in uploading(person, alias, mode, lambda page: page.send(attempts=1)).deaths():
        killed += 1
        result = page.result()
        left = person.settle()
        if left != (ONE if result == EXACT else NOTHING):
            wrong[name, count] = result, left
    assert wrong == {}
    report(killed, at_least=40)


@pytest.mark.parametrize(
    ("alias", "before"),
    [(alias, before) for alias in ALIASES for before in ("half", "whole") if EVERY_TIME or (alias, before) in DELETED],
)
def test_worker_killed_while_it_deletes_leaves_nothing(person: Person, alias: str, before: str) -> None:
    scenario = Scenario(person=person, prepare=lambda: BEFORE[before](person, alias), act=lambda page: page.delete())
    wrong, killed = {}, 0
    for name, count, _, deleted in scenario.deaths():
        killed += 1
        found = (deleted, person.partial(), person.settle())
        if found != (True, [], NOTHING):
            wrong[name, count] = found
    assert wrong == {}
    report(killed, at_least=12)


@pytest.mark.parametrize("alias", ALIASES if EVERY_TIME else ["files_publish", "objects_publish"])
@pytest.mark.parametrize("before", ["half", "untidy", "orphaned"])
def test_purge_killed_anywhere_is_ended_by_the_next_one(person: Person, alias: str, before: str) -> None:
    if before == "orphaned" and alias.startswith("objects"):
        return  # a store needs no place to be made
    scenario = Scenario(
        person=person, prepare=lambda: BEFORE[before](person, alias), act=lambda page: person.purge_once()
    )
    wrong, killed = {}, 0
    for name, count, _, _ in scenario.deaths():
        killed += 1
        found = person.settle()
        if found != (ONE if before == "untidy" else NOTHING):
            wrong[name, count] = found
    assert wrong == {}
    report(killed, at_least=6)
