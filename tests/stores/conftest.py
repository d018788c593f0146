"""Tests that keep files in servers which stand in for object stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores.leftovers import FORGIVEN

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder has the marker."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.stores)
            item.add_marker(FORGIVEN)
