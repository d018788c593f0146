"""One Azurite for all tests of a process, and a container for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stores.azure.azurite import Azurite, find_node, find_program, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    program, node = find_program(), find_node()
    if program is None or node is None:
        pytest.fail("Azurite is not here: `python3 dev.py tests` fetches it")
    with running(node, program, tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def container(azurite: Azurite) -> str:
    return azurite.make_container()
