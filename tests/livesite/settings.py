"""Settings of the site that the real client uploads into: a plain Django site, with one receiver per thing to try."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from livesite.databases import database_settings
from livesite.renamed import RENAMED

FOLDER = Path(os.environ["LIVESITE_FOLDER"])
CLIENT_FOLDER = Path(os.environ["LIVESITE_CLIENT"])
HOSTS = ("127.0.0.1", "localhost")
ORIGINS = [f"http://{host}:{port}" for host in HOSTS for port in os.environ["LIVESITE_PORTS"].split(",")]

DEBUG = False
SECRET_KEY = "a key that guards nothing"
ALLOWED_HOSTS = list(HOSTS)
ROOT_URLCONF = "livesite.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database_settings(os.environ["LIVESITE_DATABASE"])}
MEDIA_ROOT = FOLDER / "media"
MEDIA_URL = "/media/"
STATIC_URL = "/static/"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "corsheaders",
    "fineuploader_receiver",
]
MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

CORS_ALLOWED_ORIGINS = ORIGINS
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = ["cache-control", "content-type", "x-csrftoken", "x-mime-type", "x-requested-with", "x-token"]
CSRF_TRUSTED_ORIGINS = ORIGINS

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    **{
        alias: {"BACKEND": "livesite.storages.SlowStorage", "OPTIONS": seconds}
        for alias, seconds in {
            "slow": {"file_seconds": 12},
            "sluggish": {"chunk_seconds": 12, "file_seconds": 12},
            "glacial": {"file_seconds": 40},
        }.items()
    },
    **json.loads(os.environ.get("LIVESITE_STORAGES", "{}")),
    "cramped": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(FOLDER / "cramped")},
    },
}
OBJECTS = "fineuploader_receiver.backends.storage.StorageBackend"

FINEUPLOADER_RECEIVERS: dict[str, dict[str, Any]] = {
    "default": {},
    "anonymous": {"ALLOW_ANONYMOUS": True},
    "with_done": {"DONE_REQUEST": True},
    "without_done": {"DONE_REQUEST": False},
    "limited": {"MAX_FILE_SIZE": 1000, "ALLOWED_EXTENSIONS": ["txt", "png"]},
    "pictures": {"ALLOWED_CONTENT_TYPES": ["image/png"]},
    "renamed": {"PARAM_NAMES": RENAMED},
    "objects": {"BACKEND": OBJECTS},
    **{alias: {"STORAGE": alias, "BACKEND": OBJECTS} for alias in ("slow", "sluggish", "glacial")},
    "tokens": {"RECEIVER": "livesite.receivers.TokenReceiver"},
    "faltering": {"RECEIVER": "livesite.receivers.FalteringReceiver"},
    "faltering_objects": {"RECEIVER": "livesite.receivers.FalteringReceiver", "BACKEND": OBJECTS},
    "few": {"MAX_ACTIVE_UPLOADS": 5},
    "narrow": {"MAX_STAGED_BYTES": 1000},
    "small": {"MAX_FILE_SIZE": 2**20},
    "short": {"MAX_CHUNK_SIZE": 100, "MAX_CHUNKS": 10},
    "cramped": {"STORAGE": "cramped", "BACKEND": "livesite.storages.SmallDisk", "MIN_FREE_SPACE": 1000},
    "fleeting": {"UNCLAIMED_AFTER": timedelta(microseconds=1)},
    "lasting": {"UNCLAIMED_AFTER": timedelta(days=1)},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
