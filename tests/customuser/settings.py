"""The test site with the model above, on a database in memory."""

from settings import *  # noqa: F403

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "customuser",
    "fineuploader_receiver",
]
AUTH_USER_MODEL = "customuser.Person"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "fineuploader_receiver.urls"
