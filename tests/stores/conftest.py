"""Tests that keep files in servers which stand in for object stores."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder has the marker."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.stores)


@pytest.fixture
def garbage_collected() -> Iterator[None]:
    """Nothing that the test left open is noticed in another one."""
    yield
    gc.collect()
