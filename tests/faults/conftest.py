"""Faults of storages and disks are met on a database that commits for real, and on an empty storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from flowtools import strict_client

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture(autouse=True)
def clean_site(transactional_db: None, media_root: Path) -> None:
    """An empty database and an empty MEDIA_ROOT."""


@pytest.fixture
def client(user: User) -> Client:
    """The browser of ``user``, with strict CSRF checks."""
    browser = strict_client()
    browser.force_login(user)
    return browser
