"""Faults that were found once run on a database that commits for real, and on an empty storage."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from fineuploader_receiver.owners import owner_of
from flowtools import STORAGES, strict_client
from storages_for_tests import MinimalStorage
from unittools import Page

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

Options = Callable[..., None]


@pytest.fixture(autouse=True)
def clean_site(transactional_db: None, media_root: Path, settings: Settings) -> None:
    """An empty database, an empty MEDIA_ROOT, an empty bucket and no options."""
    MinimalStorage.contents.clear()
    settings.FINEUPLOADER_RECEIVERS = {"videos": {}}


@pytest.fixture
def options(settings: Settings) -> Options:
    """Set options of the default receiver."""

    def change(**values: Any) -> None:
        settings.FINEUPLOADER_RECEIVERS = {"default": values, "videos": {}}

    return change


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
def stranger() -> Client:
    """A browser that nobody has signed in with."""
    return strict_client()


@pytest.fixture
def page(user: User) -> Page:
    """A page of ``user`` that speaks to the rules directly."""
    return Page(owner_of(user))


@pytest.fixture
def number() -> uuid.UUID:
    return uuid.uuid4()
