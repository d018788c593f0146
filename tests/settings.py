"""Settings of the test site.

``TEST_DATABASE`` is ``sqlite`` (the default), ``postgresql`` or ``mariadb``. ``TEST_DATABASE_HOST``, ``_PORT``,
``_USER`` and ``_PASSWORD`` say where a server is. ``TEST_DATABASE_NAME`` names a database that is there already, by
which a process that a test starts joins that test's database. ``TEST_RUN_FOLDER`` is where the run keeps its files.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any


def make_run_folder() -> Path:
    """Return the folder of this run; the process that made it removes it, its children inherit it."""
    if inherited := os.environ.get("TEST_RUN_FOLDER"):
        return Path(inherited)
    folder = Path(tempfile.mkdtemp(prefix="fineuploader-tests-"))
    os.environ["TEST_RUN_FOLDER"] = str(folder)
    maker = os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # a forked child that ends must not take its parent's files
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


RUN_FOLDER = make_run_folder()


def sqlite() -> dict[str, Any]:
    """Return a database in a file: processes, and threads that wait for each other, cannot share one in memory."""
    file = os.environ.get("TEST_DATABASE_NAME", str(RUN_FOLDER / "db.sqlite3"))
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"},
        "TEST": {"NAME": str(RUN_FOLDER / "test.sqlite3")},
    }


def server(engine: str, *, port: int, user: str, database: str, **options: Any) -> dict[str, Any]:
    """Return a database on a server, by default one on this machine that trusts whoever connects."""
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "HOST": os.environ.get("TEST_DATABASE_HOST", "127.0.0.1"),
        "PORT": os.environ.get("TEST_DATABASE_PORT", str(port)),
        "USER": os.environ.get("TEST_DATABASE_USER", user),
        "PASSWORD": os.environ.get("TEST_DATABASE_PASSWORD", ""),
        "NAME": os.environ.get("TEST_DATABASE_NAME", database),
        "OPTIONS": options,
        "TEST": {"NAME": f"test_fineuploader_{RUN_FOLDER.name.rpartition('-')[2].lower()}"},
    }


def configure_database(name: str) -> dict[str, Any]:
    """Return the entry of ``DATABASES`` for ``TEST_DATABASE``."""
    if name == "postgresql":
        return server("postgresql", port=5432, user="postgres", database="postgres")
    if name == "mariadb":
        import pymysql

        pymysql.install_as_MySQLdb()
        return server("mysql", port=3306, user="root", database="test", charset="utf8mb4")
    if name == "sqlite":
        return sqlite()
    raise ValueError(f"TEST_DATABASE is {name!r}, not sqlite, postgresql or mariadb")


DATABASES = {"default": configure_database(os.environ.get("TEST_DATABASE", "sqlite"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
USE_TZ = True
ROOT_URLCONF = "urls"
LOGIN_URL = "login"
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = str(RUN_FOLDER / "media" / os.environ.get("PYTEST_XDIST_WORKER", "main"))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "fineuploader_receiver",
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
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
