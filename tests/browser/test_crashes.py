"""Servers that die while they receive: what was acknowledged stays, and the client's retry brings the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.wire import chunk, is_kind

if TYPE_CHECKING:
    from browser.person import Person

SEQUENTIAL = {"chunking": {"partSize": 1000, "concurrent": {"enabled": False}}}
CONCURRENT = {"chunking": {"partSize": 1000, "concurrent": {"enabled": True}}}
PATIENT = {"retry": {"maxAutoAttempts": 10, "autoAttemptDelay": 0.2}}

every_mode = pytest.mark.parametrize("mode", [SEQUENTIAL, CONCURRENT], ids=["sequential", "concurrent"])


@every_mode
@pytest.mark.parametrize("alias", ["default", "objects"])
def test_workers_killed_in_the_middle_cost_a_retry_and_nothing_else(
    person: Person, mode: dict[str, Any], alias: str
) -> None:
    file = make_file(9500)
    uploader = person.start_generated(alias, PATIENT, mode)
    for index in (3, 6, 9):
        person.wire.before(chunk(index), lambda message: person.site.kill_a_worker())
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


@every_mode
def test_worker_killed_before_done_leaves_a_complete_upload(person: Person, mode: dict[str, Any]) -> None:
    file = make_file(4500)
    uploader = person.start_generated("default", PATIENT, mode)
    person.wire.before(is_kind("done"), lambda message: person.site.kill_a_worker())
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1
