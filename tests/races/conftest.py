"""One live site per database, with several processes and threads. A database that is not there is a failure.

``TEST_POSTGRESQL_HOST``, ``_PORT``, ``_USER`` and ``_PASSWORD``, and the same for ``MARIADB``, say where a server is
that is not at its usual place on this machine. ``TEST_RACES_ROUNDS`` repeats each race that often.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from livesite.server import LiveSite, serve
from livesite.visitor import Visitor
from races.tidiness import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS, THREADS = 3, 8
SERVERS = {"postgresql": ("5432", "postgres"), "mariadb": ("3306", "root")}
DATABASES = {
    "postgresql": {"TEST_DATABASE": "postgresql"},
    "mariadb": {"TEST_DATABASE": "mariadb"},
    "sqlite": {"TEST_DATABASE": "sqlite", "LIVESITE_JOURNAL": "delete"},
    "sqlite-wal": {"TEST_DATABASE": "sqlite", "LIVESITE_JOURNAL": "wal"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.races)


def address(engine: str) -> dict[str, str]:
    """Return where a server is, whatever server other tests of this run use."""
    port, user = SERVERS[engine]
    usual = {"HOST": "127.0.0.1", "PORT": port, "USER": user, "PASSWORD": ""}
    given = {part: os.environ.get(f"TEST_{engine.upper()}_{part}") or value for part, value in usual.items()}
    return {f"TEST_DATABASE_{part}": value for part, value in given.items()}


@pytest.fixture(scope="session", params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The site. In the end none of its processes may have been surprised."""
    changes = dict(DATABASES[request.param])
    if changes["TEST_DATABASE"] in SERVERS:
        changes |= address(changes["TEST_DATABASE"])
    folder = tmp_path_factory.mktemp("races")
    with serve(folder, Path("/nowhere"), workers=WORKERS, threads=THREADS, changes=changes) as site:
        yield site
    statuses = Counter(record["status"] for record in site.records("requests"))
    print(f"\n{request.param}: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert statuses[500] == len(list(folder.glob("faltered-*"))), site.log.read_text()[-5000:]


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often to repeat a race."""
    return int(os.environ.get("TEST_RACES_ROUNDS", "1"))


@pytest.fixture
def newcomer(site: LiveSite) -> Callable[[], Visitor]:
    """A maker of people."""
    return lambda: Visitor.log_in(site, site.ports[0])


@pytest.fixture
def visitor(newcomer: Callable[[], Visitor]) -> Iterator[Visitor]:
    """Somebody new. Once they are gone the site holds finished files and nothing else, and no request has hung."""
    visitor = newcomer()
    yield visitor
    visitor.abandon()
    assert leftovers(visitor.site) == {}
