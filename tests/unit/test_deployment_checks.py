"""The opinions of `manage.py check --deploy`."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connections

from fineuploader_receiver.models import database

if TYPE_CHECKING:
    from pytest_django import Settings


def ids_of(*arguments: str) -> list[str]:
    """Run `manage.py check` and return the ids of the app's messages."""
    output = StringIO()
    call_command("check", *arguments, stdout=output, stderr=output)
    return sorted(re.findall(r"fineuploader_receiver\.([EW]\d+)", output.getvalue()))


@pytest.mark.django_db
def test_deploy_check_without_further_options_has_opinions(settings: Settings) -> None:
    """Guards against checks that Django runs only with `--database`, which nobody passes."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"DURABILITY": "none"}}

    assert ids_of("--deploy") == ["W010", "W011"]


@pytest.mark.django_db
def test_plain_check_has_no_opinions(settings: Settings) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"DURABILITY": "none"}}

    assert ids_of() == []


@pytest.mark.django_db
def test_deploy_check_is_silent_about_a_database_that_cannot_be_opened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseError("unable to open database file")

    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": 1000}}
    connection = connections[database()]
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setattr(connection, "cursor", fail)

    assert ids_of("--deploy") == []
