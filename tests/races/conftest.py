"""A live site with several processes and threads, on the database under test; SQLite in both of its journal modes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from livesite.server import LiveSite, serve
from livesite.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOURNALS = ("delete", "wal") if os.environ.get("TEST_DATABASE", "sqlite") == "sqlite" else ("",)
WORKERS, THREADS = 3, 16


@pytest.fixture(scope="module", params=JOURNALS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The site. In the end none of its processes may have been surprised."""
    changes = {"LIVESITE_JOURNAL": request.param}
    folder = tmp_path_factory.mktemp("races")
    with serve(folder, Path("/nowhere"), workers=WORKERS, threads=THREADS, changes=changes) as site:
        yield site
    surprises = [record for record in site.records("requests") if record["status"] == 500]
    assert len(surprises) == len(list(folder.glob("faltered-*"))), site.log.read_text()[-5000:]


@pytest.fixture
def newcomer(site: LiveSite) -> Callable[[], Visitor]:
    """A maker of people."""
    return lambda: Visitor.log_in(site, site.ports[0])


@pytest.fixture
def visitor(newcomer: Callable[[], Visitor]) -> Visitor:
    """Somebody new."""
    return newcomer()
