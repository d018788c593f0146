"""System checks: silent where all is well, and one message with its own id where something is not."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.db import OperationalError

import fineuploader_receiver.checks as module
from fineuploader_receiver.backends.filesystem import FileSystemBackend

pytestmark = pytest.mark.django_db

HEADERS = ("accept", "x-requested-with", "Cache-Control", "content-type", "x-mime-type")
ORIGIN = "https://app.example.com"


def found(*, deploy: bool = False) -> dict[str, str]:
    """Our own messages by their id, without the part that every id has."""
    messages: list[CheckMessage] = checks.run_checks(include_deployment_checks=deploy, databases=["default"])
    ours = [message for message in messages if str(message.id).startswith("fineuploader_receiver.")]
    return {str(message.id).rpartition(".")[2]: message.msg for message in ours}


@pytest.fixture(autouse=True)
def limited(settings: Any, media_root: Path) -> None:
    """A site that follows the advice of `check --deploy`."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 2**30}}


@pytest.fixture
def cors(settings: Any) -> None:
    """A site with django-cors-headers, set up for this client."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "corsheaders"]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    settings.CORS_ALLOW_HEADERS = HEADERS
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    settings.CSRF_TRUSTED_ORIGINS = [ORIGIN]


def test_silence_by_default(settings: Any) -> None:
    del settings.FINEUPLOADER_RECEIVERS
    assert found() == {}


def test_silence_of_a_site_that_follows_the_advice() -> None:
    assert found(deploy=True) == {}


def test_command_of_a_site_that_has_just_installed_the_app(settings: Any) -> None:
    del settings.FINEUPLOADER_RECEIVERS
    call_command("check", fail_level="DEBUG")


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ([], "E001", "must be a dictionary"),
        ({"videos": []}, "E001", '"videos"'),
        ({"": {}}, "E001", "alias"),
        ({5: {}}, "E001", "alias"),
        ({"videos": {"MAX_SIZE": 1}}, "E002", '["videos"]["MAX_SIZE"] is not an option'),
        ({"videos": {"MAX_CHUNKS": 0}}, "E002", '["videos"]["MAX_CHUNKS"] must be'),
        ({"videos": {"RECEIVER": "nowhere.Receiver"}}, "E002", '["videos"]["RECEIVER"]'),
        ({"videos": {"RECEIVER": "uuid.UUID"}}, "E002", '["videos"]["RECEIVER"]'),
        ({"videos": {"STORAGE": "nowhere"}}, "E003", '["videos"]["STORAGE"]'),
        ({"videos": {"BACKEND": "nowhere.Backend"}}, "E004", '["videos"]["BACKEND"]'),
        ({"videos": {"BACKEND": "uuid.UUID"}}, "E004", '["videos"]["BACKEND"]'),
    ],
    ids=str,
)
def test_settings_that_cannot_work(settings: Any, setting: Any, code: str, words: str) -> None:
    settings.FINEUPLOADER_RECEIVERS = setting
    (message,) = (messages := found()).values()
    assert list(messages) == [code]
    assert words in message
    assert found(deploy=True).keys() >= {code}


@pytest.mark.parametrize(("limit", "expected"), [(9, ["W004"]), (10, []), (None, [])])
def test_chunks_that_are_too_small_for_the_store(settings: Any, limit: int | None, expected: list[str]) -> None:
    backend = "backends_for_tests.NamedBackend"
    settings.FINEUPLOADER_RECEIVERS = {"default": {"BACKEND": backend, "MAX_CHUNK_SIZE": limit}}
    assert list(found()) == expected


def test_every_broken_receiver_is_named(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"a": {"MAX_CHUNKS": 0}, "b": {"MAX_CHUNKS": 0}}
    messages = [message.msg for message in module.check_receivers(app_configs=None)]
    assert [re.findall(r'\["(.)"\]', message) for message in messages] == [["a"], ["b"]]


# Other origins.


@pytest.mark.usefixtures("cors")
def test_silence_of_a_site_that_lets_other_origins_in() -> None:
    assert found() == {}


@pytest.mark.usefixtures("cors")
def test_middleware_that_is_missing(settings: Any) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    assert list(found()) == ["W001"]


@pytest.mark.usefixtures("cors")
@pytest.mark.parametrize("header", ["x-requested-with", "cache-control", "content-type", "x-mime-type"])
def test_header_that_is_not_allowed(settings: Any, header: str) -> None:
    settings.CORS_ALLOW_HEADERS = [name for name in HEADERS if name.lower() != header]
    messages = found()
    assert list(messages) == ["W002"]
    assert messages["W002"].endswith(f": {header}.")


@pytest.mark.usefixtures("cors")
def test_headers_by_default(settings: Any) -> None:
    del settings.CORS_ALLOW_HEADERS
    messages = found()
    assert list(messages) == ["W002"]
    assert messages["W002"].endswith(": cache-control, x-mime-type.")


@pytest.mark.usefixtures("cors")
def test_all_headers_allowed(settings: Any) -> None:
    settings.CORS_ALLOW_HEADERS = ["*"]
    assert found() == {}


@pytest.mark.usefixtures("cors")
def test_origin_that_csrf_does_not_trust(settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = []
    messages = found()
    assert list(messages) == ["W003"]
    assert ORIGIN in messages["W003"]


# Opinions.


def test_receiver_without_a_limit(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {}
    assert found() == {}
    assert list(found(deploy=True)) == ["W010"]


def test_limit_of_staged_bytes_is_a_limit(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_STAGED_BYTES": 2**30}}
    assert found(deploy=True) == {}


def test_files_that_a_power_cut_can_lose(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 1, "DURABILITY": "none"}}
    assert found() == {}
    assert list(found(deploy=True)) == ["W011"]


class FakeConnection:
    """A database of a vendor, whose journal is in a mode."""

    def __init__(self, vendor: str, answer: str | Exception) -> None:
        self.vendor = vendor
        self._answer = answer

    def cursor(self) -> contextlib.AbstractContextManager[FakeConnection]:
        return contextlib.nullcontext(self)

    def execute(self, sql: str) -> None:
        assert sql == "PRAGMA journal_mode"
        if isinstance(self._answer, Exception):
            raise self._answer

    def fetchone(self) -> tuple[Any]:
        return (self._answer,)


@pytest.mark.parametrize(
    ("vendor", "answer", "expected"),
    [
        ("sqlite", "wal", []),
        ("sqlite", "delete", ["W012"]),
        ("sqlite", "memory", ["W012"]),
        ("sqlite", OperationalError("unable to open database file"), []),
        ("postgresql", AssertionError("this is nothing to ask here"), []),
    ],
    ids=str,
)
def test_sqlite_whose_readers_wait_for_its_writers(
    monkeypatch: pytest.MonkeyPatch, vendor: str, answer: Any, expected: list[str]
) -> None:
    monkeypatch.setattr(module, "connections", {"default": FakeConnection(vendor, answer)})
    messages = module.check_deployment(app_configs=None)
    assert [str(message.id).rpartition(".")[2] for message in messages] == expected


def test_folder_that_nothing_can_be_staged_in(settings: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 1, "STAGING_DIR": blocked}}
    assert found() == {}
    messages = found(deploy=True)
    assert list(messages) == ["W013"]
    assert 'The receiver "default"' in messages["W013"]


def test_checks_leave_nothing_behind(media_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[FileSystemBackend] = []
    check = FileSystemBackend.check

    def watched(backend: FileSystemBackend) -> list[str]:
        asked.append(backend)
        return check(backend)

    monkeypatch.setattr(FileSystemBackend, "check", watched)
    found(deploy=True)
    assert len(asked) == 1
    assert [path for path in media_root.rglob("*") if path.name != ".fineuploader"] == []
