"""What the tests of single modules share."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fineuploader_receiver import signals
from fineuploader_receiver.backends.filesystem import FileSystemBackend
from fineuploader_receiver.owners import owner_of
from unittools import Page

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

    from fineuploader_receiver.models import UploadSession

OpenFiles = Callable[[Path], list[str]]
Options = Callable[..., None]


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


@pytest.fixture
def options(settings: Settings) -> Options:
    """Set options of the default receiver, or of another one."""

    def change(alias: str = "default", **values: Any) -> None:
        receivers = getattr(settings, "FINEUPLOADER_RECEIVERS", {})
        settings.FINEUPLOADER_RECEIVERS = {**receivers, alias: {**receivers.get(alias, {}), **values}}

    return change


@pytest.fixture
def page(user: User, media_root: Path, options: Options) -> Page:
    """A page of ``user``, with an empty storage."""
    options("videos")
    return Page(owner_of(user))


@pytest.fixture
def other_page(other_user: User, media_root: Path) -> Page:
    return Page(owner_of(other_user))


@pytest.fixture
def backend(page: Page) -> FileSystemBackend:
    """The default receiver's backend, the very object that the lifecycle uses."""
    backend = page.receiver.backend
    assert isinstance(backend, FileSystemBackend)
    return backend


@pytest.fixture
def number() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str]]]:
    """The signals that were sent, with the state of their upload at that moment."""
    names = ("upload_started", "chunk_received", "upload_completed", "upload_deleted", "upload_expired")
    noted: list[tuple[str, str]] = []
    listeners = {}
    for name in names:

        def note(*, upload: UploadSession, name: str = name, **_: Any) -> None:
            noted.append((name, str(upload.state)))

        listeners[name] = note
        getattr(signals, name).connect(note)
    yield noted
    for name, listener in listeners.items():
        getattr(signals, name).disconnect(listener)
