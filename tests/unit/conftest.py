"""What the tests of single modules share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("backend_contract")

OpenFiles = Callable[[Path], list[str]]


@pytest.fixture
def open_files() -> OpenFiles:
    """What descriptors this process has open below a folder, by a name or, as temporary files are, without one."""

    def below(folder: Path) -> list[str]:
        links = []
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(str(entry.readlink()))
        return sorted(link for link in links if link.startswith(f"{folder}/"))

    return below
