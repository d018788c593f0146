"""Settings of the benchmark's site: the middleware of ``startproject``, one receiver, a database as the docs advise."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["BENCHMARK_FOLDER"])

DEBUG = False
SECRET_KEY = "a key that guards nothing"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
MEDIA_ROOT = FOLDER / "media"

if os.environ["BENCHMARK_DATABASE"] == "sqlite":
    _DATABASE: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
    }
else:
    _DATABASE = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("TEST_DATABASE_HOST", "127.0.0.1"),
        "PORT": os.environ.get("TEST_DATABASE_PORT", "5432"),
        "USER": os.environ.get("TEST_DATABASE_USER", "postgres"),
        "PASSWORD": os.environ.get("TEST_DATABASE_PASSWORD", ""),
        "NAME": os.environ["BENCHMARK_DATABASE"],
    }
DATABASES = {"default": {**_DATABASE, "CONN_MAX_AGE": 600}}

HAS_PEER = importlib.util.find_spec("chunked_upload") is not None
"""Where the other Django app is installed, this one need not be."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "chunked_upload" if HAS_PEER else "fineuploader_receiver",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if os.environ.get("BENCHMARK_COUNTER"):
    MIDDLEWARE.insert(0, "benchmarks.site.counter.counter")
FINEUPLOADER_RECEIVERS: dict[str, dict[str, Any]] = {
    "default": {},
    "without_fsync": {"DURABILITY": "none"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = None if HAS_PEER else 2_621_440
"""The other app reads its form's body in whole."""
