"""Flows run on a database that commits for real, because answers follow commits, and on an empty storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from flowtools import STORAGES, strict_client
from storages_for_tests import MinimalStorage

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def clean_site(transactional_db: None, media_root: Path, settings: Settings) -> None:
    """An empty database, an empty MEDIA_ROOT, an empty bucket and no options."""
    MinimalStorage.contents.clear()
    settings.FINEUPLOADER_RECEIVERS = {"videos": {}}


@pytest.fixture(params=STORAGES)
def any_storage(request: pytest.FixtureRequest, settings: Settings) -> str:
    """Run the test on every kind of storage."""
    settings.STORAGES = settings.STORAGES | {"default": STORAGES[request.param]}
    return str(request.param)


@pytest.fixture
def client(user: User) -> Client:
    """The browser of ``user``, with strict CSRF checks."""
    browser = strict_client()
    browser.force_login(user)
    return browser


@pytest.fixture
def other_client(other_user: User) -> Client:
    """The browser of somebody else."""
    browser = strict_client()
    browser.force_login(other_user)
    return browser


@pytest.fixture
def stranger() -> Client:
    """A browser that nobody has signed in with."""
    return strict_client()
