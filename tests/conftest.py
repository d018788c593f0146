"""What every test may use: people, a clean media folder, the real client, a browser, a child process's environment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import hypothesis
import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client, TransactionTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from pytest_django import Settings

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

MADE_BY_MIGRATING = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test is skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With --no-skips a run that left something out is a failure, even where all that ran has passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """Empty the tables by DELETE after a test that commits.

    Django's own flush truncates a dozen tables and makes every content type and permission again, which takes a
    database server longer than most of the tests.
    """
    with patch.object(TransactionTestCase, "_fixture_teardown", empty_tables):
        yield


def empty_tables(case: TransactionTestCase) -> None:
    """Delete all rows but those that migrating made."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
    with transaction.atomic(), connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in sorted(tables - MADE_BY_MIGRATING):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@pytest.fixture
def user(db: None) -> User:
    """The person most tests upload as; the password is ``secret``."""
    return get_user_model().objects.create_user("anna", "anna@example.com", "secret")


@pytest.fixture
def other_user(db: None) -> User:
    """Somebody whose uploads must look as if they did not exist."""
    return get_user_model().objects.create_user("boris", "boris@example.com", "secret")


@pytest.fixture
def user_client(user: User) -> Client:
    """A Django test client, logged in as ``user``, which Django's CSRF check lets pass."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def media_root(settings: Settings, tmp_path: Path) -> Path:
    """An empty folder that is MEDIA_ROOT for one test."""
    folder = tmp_path / "media"
    folder.mkdir()
    settings.MEDIA_ROOT = str(folder)
    return folder


@pytest.fixture
def child_environment(transactional_db: None) -> dict[str, str]:
    """The environment for a process that is to see this test's database and run folder with the same settings."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": str(ROOT / "tests"),
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
    }


@pytest.fixture(scope="session")
def fine_uploader_dir() -> Path:
    """The unpacked npm package of the client: ``FINE_UPLOADER_DIR``, or where ``dev.py`` puts it."""
    folder = Path(os.environ.get("FINE_UPLOADER_DIR", ROOT / ".cache" / "fine-uploader"))
    if not (folder / "package.json").is_file():
        pytest.fail(f"the Fine Uploader client is not in {folder}: `python3 dev.py tests` fetches it")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's executable: ``CHROMIUM``, or the first that the PATH knows."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail("no Chromium on the PATH: install one, or name it in CHROMIUM")
    return found


@pytest.fixture(scope="session")
def nginx_program() -> str:
    """The proxy's executable: ``NGINX_PROGRAM``, or the one on the PATH or where Debian keeps it."""
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = os.environ.get("NGINX_PROGRAM") or shutil.which("nginx", path=places)
    if found is None:
        pytest.fail("no nginx on the PATH: install one, or name it in NGINX_PROGRAM")
    return found
