"""System checks. Errors are about what cannot work; opinions belong to `check --deploy`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InvalidStorageError
from django.db import DatabaseError, connections

from .conf import SETTING, OptionError, configured
from .models import database
from .receivers import Receiver, get_receiver

CORS_HEADERS = ("x-requested-with", "cache-control", "content-type", "x-mime-type")


@register(Tags.files)
def check_receivers(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """E001: the setting; E002: an option; E003: the storage; E004: the backend; W004: chunks too small for it."""
    try:
        aliases = list(configured())
    except ImproperlyConfigured as error:
        return [Error(str(error), id="fineuploader_receiver.E001")]
    return [message for alias in aliases for message in _check_receiver(alias)]


def _check_receiver(alias: str) -> list[CheckMessage]:
    try:
        receiver = get_receiver(alias)
    except OptionError as error:
        return [Error(str(error), id="fineuploader_receiver.E002")]
    except ImproperlyConfigured as error:
        return [Error(str(error), id="fineuploader_receiver.E001")]
    try:
        receiver.storage  # noqa: B018  (asking for it is the check)
    except (InvalidStorageError, ImproperlyConfigured) as error:
        problem = f'{SETTING}["{alias}"]["STORAGE"] cannot be used: {error}'
        return [Error(problem, id="fineuploader_receiver.E003")]
    try:
        receiver.backend  # noqa: B018
    except (ImportError, TypeError, ImproperlyConfigured) as error:
        problem = f'{SETTING}["{alias}"]["BACKEND"] cannot be used: {error}'
        return [Error(problem, id="fineuploader_receiver.E004")]
    return _check_chunk_size(receiver)


def _check_chunk_size(receiver: Receiver) -> list[CheckMessage]:
    limit, smallest = receiver.options.max_chunk_size, receiver.backend.smallest_chunk
    if limit is None or limit >= smallest:
        return []
    problem = f'{SETTING}["{receiver.alias}"]["MAX_CHUNK_SIZE"] is less than the {smallest} bytes that its store needs.'
    hint = f"Uploads of several chunks go the slow way, through {receiver.backend.fallback}."
    return [Caution(problem, hint=hint, id="fineuploader_receiver.W004")]


@register(Tags.security)
def check_cors(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """W001 to W003: django-cors-headers is installed, but would not let this client through."""
    if not apps.is_installed("corsheaders"):
        return []
    if not any(path.startswith("corsheaders.") for path in settings.MIDDLEWARE):
        problem = "django-cors-headers is installed, but its middleware is not: other origins cannot upload."
        return [Caution(problem, id="fineuploader_receiver.W001")]
    return [*_check_cors_headers(), *_check_trusted_origins()]


def _check_cors_headers() -> list[CheckMessage]:
    allowed = {header.lower() for header in getattr(settings, "CORS_ALLOW_HEADERS", ())}
    if "CORS_ALLOW_HEADERS" not in dir(settings):
        from corsheaders.defaults import default_headers

        allowed = {header.lower() for header in default_headers}
    missing = [header for header in CORS_HEADERS if header not in allowed]
    if not missing or "*" in allowed:
        return []
    hint = "CORS_ALLOW_HEADERS = [*corsheaders.defaults.default_headers, " + ", ".join(map(repr, missing)) + "]"
    problem = f"CORS_ALLOW_HEADERS lacks headers that Fine Uploader sends: {', '.join(missing)}."
    return [Caution(problem, hint=hint, id="fineuploader_receiver.W002")]


def _check_trusted_origins() -> list[CheckMessage]:
    trusted = set(settings.CSRF_TRUSTED_ORIGINS)
    missing = [origin for origin in getattr(settings, "CORS_ALLOWED_ORIGINS", ()) if origin not in trusted]
    if not missing:
        return []
    problem = f"Origins in CORS_ALLOWED_ORIGINS are not in CSRF_TRUSTED_ORIGINS: {', '.join(missing)}."
    hint = "Uploads from there are refused with csrf_failed."
    return [Caution(problem, hint=hint, id="fineuploader_receiver.W003")]


# Not Tags.database: Django runs those only with `--database`, and the readers of `check --deploy` would never see them.
@register(Tags.security, deploy=True)
def check_deployment(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """W010: no size limit; W011: DURABILITY none; W012: SQLite's journal; W013: the backend does not work here."""
    try:
        receivers = [get_receiver(alias) for alias in configured()]
    except ImproperlyConfigured:
        return []
    return [*_check_sqlite(), *(message for receiver in receivers for message in _check_opinions(receiver))]


def _check_opinions(receiver: Receiver) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    where = f'The receiver "{receiver.alias}"'
    if receiver.options.max_file_size is None and receiver.options.max_staged_bytes is None:
        problem = f"{where} has neither MAX_FILE_SIZE nor MAX_STAGED_BYTES: one user can fill the disk."
        messages.append(Caution(problem, id="fineuploader_receiver.W010"))
    if receiver.options.durability == "none":
        problem = f"{where} has DURABILITY none: a power cut can lose finished files."
        messages.append(Caution(problem, id="fineuploader_receiver.W011"))
    try:
        found = receiver.backend.check()
    except (ImportError, TypeError, ImproperlyConfigured):
        # That is E003 or E004.
        found = []
    messages += [Caution(f"{where}: {problem}", id="fineuploader_receiver.W013") for problem in found]
    return messages


def _check_sqlite() -> list[CheckMessage]:
    connection = connections[database()]
    if connection.vendor != "sqlite":
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            (mode,) = cursor.fetchone()
    except DatabaseError:
        # A database that cannot be opened here, when an image is built say, has no mode to speak of.
        return []
    if mode == "wal":
        return []
    problem = "SQLite is not in WAL mode: parallel chunks wait for each other."
    hint = 'DATABASES["default"]["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL;"}'
    return [Caution(problem, hint=hint, id="fineuploader_receiver.W012")]
