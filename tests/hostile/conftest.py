"""A site that is under attack: a database that commits for real, other people's uploads, a folder that is theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from fineuploader_receiver.owners import owner_of
from flowtools import chunker, pattern, strict_client, uploader
from hostile.world import World

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def clean_site(transactional_db: None, media_root: Path, settings: Settings) -> None:
    """An empty database, an empty MEDIA_ROOT and no options."""
    settings.FINEUPLOADER_RECEIVERS = {"videos": {}}


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
def world(client: Client, other_client: Client, user: User, media_root: Path, tmp_path: Path) -> World:
    """Somebody else has a finished and an unfinished upload; beside MEDIA_ROOT and in it lie files of the site."""
    theirs = chunker(other_client)
    uploader(other_client).upload(b"theirs")
    unfinished = theirs.add(pattern(25))
    theirs.send(theirs.chunk_request(unfinished, 0))
    for place in (tmp_path, media_root):
        (place / "secret.txt").write_bytes(b"not to be touched")
    return World(tmp_path, client, owner_of(user).key)
