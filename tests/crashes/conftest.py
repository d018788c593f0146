"""The site with its points, in processes of its own, and somebody who uploads into it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crashes.person import Person
from livesite.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent
SHARED_MEMORY = Path("/dev/shm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what this folder holds."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.crashes)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY))
    assert folder.stat().st_dev != tmp_path_factory.getbasetemp().stat().st_dev
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def serve_person(
    folder: Path, elsewhere: Path, changes: dict[str, str] | None = None, **arguments: Any
) -> Iterator[Person]:
    """Run the site for somebody. Workers are forked, so that a killed one is replaced at once."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "crashes.settings",
        "CRASHES_STAGING": str(elsewhere),
        "GUNICORN_CMD_ARGS": "--preload",
        **(changes or {}),
    }
    with serve(folder, Path("/nowhere"), changes=environment, **arguments) as site:
        (folder / "boot_id").write_text("first boot")
        yield Person.log_in(site)


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Iterator[Person]:
    """Somebody at the site."""
    with serve_person(tmp_path_factory.mktemp("crashes"), elsewhere) as person:
        yield person


@pytest.fixture(scope="session")
def lone_worker(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Iterator[Person]:
    """Somebody at a site of one process: when that dies, nothing is left running."""
    with serve_person(tmp_path_factory.mktemp("lone"), elsewhere, workers=1) as person:
        yield person
