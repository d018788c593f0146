"""The power fails at every point of an upload: rows survive, and of the disk only what was flushed.

The client goes on when the machine is up again. It may have to begin anew, but for chunks that DURABILITY has flushed,
and never is there a file with a hole.
"""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from crashes.disk import HISTORY, PowerCut
from crashes.person import SETTLED
from crashes.scenarios import EVERY_TIME, MODES, Scenario, begin, report

if TYPE_CHECKING:
    from pathlib import Path

    from crashes.person import Page, Person

EXACT = {"state": "complete", "exact": True, "completions": 1}
SEED = 2026
KINDS = ("files", "copied", "objects")
DURABILITIES = ("none", "publish", "chunk")
LOSSES = ("bytes", "everything", "by chance")
# One of each in the quick run.
CHOSEN = {
    ("files", "none", "bytes", "simple"),
    ("files", "publish", "bytes", "in order, without done"),
    ("files", "chunk", "everything", "in order"),
    ("objects", "chunk", "everything", "simple"),
}
CASES = [
    pytest.param(f"{kind}_{durability}", loss, mode, id=f"{kind}_{durability}, {loss}, {mode}")
    for kind in KINDS
    for durability in DURABILITIES
    for loss in LOSSES
    for mode in MODES
    if mode != "concurrent" and (EVERY_TIME or (kind, durability, loss, mode) in CHOSEN)
]

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("alias", "loss", "mode"), CASES)
def test_power_cut_anywhere_leaves_an_exact_file_or_none(
    lone_worker: Person, elsewhere: Path, alias: str, loss: str, mode: str
) -> None:
    person, durability = lone_worker, alias.partition("_")[2]
    history = person.site.folder / HISTORY
    chance = random.Random(SEED) if loss == "by chance" else None
    power = PowerCut(flushed=history, entries=loss != "bytes", chance=chance)

    def prepare() -> Page:
        shutil.rmtree(history, ignore_errors=True)
        history.mkdir()
        (person.site.folder / "boot_id").write_text("first boot")
        return begin(person, alias, mode)

    wrong: dict[Any, Any] = {}
    cuts = 0
    scenario = Scenario(person=person, prepare=prepare, act=lambda page: page.send(attempts=1))
    for name, count, page, _ in scenario.deaths():
        cuts += 1
        for place in (person.site.media, elsewhere):
            power.strike(place)
        (person.site.folder / "boot_id").write_text("second boot")
        (person.site.folder / "expected").unlink()
        if found := go_on(page, durability):
            wrong[name, count] = found
    assert wrong == {}
    report(cuts, at_least=30)


def go_on(page: Page, durability: str) -> dict[str, Any]:
    """Upload on after the power cut, and return what is wrong about it."""
    before, asked = page.result(), len(page.uploader.log)
    if before["state"] == "complete":
        # Nobody has promised anything of files that are never flushed.
        return {} if before == EXACT or durability == "none" else {"finished before": before}
    sent, after, left = page.send(), page.result(), page.person.settle()
    resets = [answer.text for _, answer in page.uploader.log[asked:] if answer.json().get("reset")]
    right = sent and after == EXACT and left == {"complete": 1, **SETTLED} and not (durability == "chunk" and resets)
    return {} if right else {"sent": sent, "result": after, "left": left, "resets": resets}
