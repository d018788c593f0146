"""Settings of the example site: SQLite, local files, no other service. Made for one machine, not for production."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EXAMPLE_DATA_DIR", BASE_DIR))

DEBUG = True
SECRET_KEY = "example-only-make-your-own-for-a-real-site"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "gallery",
    "fineuploader_receiver",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
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

ROOT_URLCONF = "example.urls"

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

# SQLite serves readers while one connection writes (WAL), and a writer waits for its turn instead of failing.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    },
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "upload"
LOGOUT_REDIRECT_URL = "login"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"

STATIC_URL = "static/"
# The client's npm package, unpacked: the set-up puts it here, or the environment says where it is.
FINE_UPLOADER_DIR = Path(os.environ.get("FINE_UPLOADER_DIR", BASE_DIR / "static" / "fine-uploader"))
STATICFILES_DIRS = [("fine-uploader", FINE_UPLOADER_DIR)]

MEDIA_ROOT = DATA_DIR / "media"  # has no URL: gallery.views.download serves the owner's files and nobody else's

FINEUPLOADER_RECEIVERS = {
    "default": {
        "RECEIVER": "gallery.receivers.GalleryReceiver",
        "MAX_FILE_SIZE": 5 * 2**30,
    },
    "pictures": {
        "RECEIVER": "gallery.receivers.GalleryReceiver",
        "UPLOAD_TO": "pictures/%Y/%m/",
        "MAX_FILE_SIZE": 20 * 2**20,
        "ALLOWED_CONTENT_TYPES": ["image/gif", "image/jpeg", "image/png", "image/webp"],
    },
}
