"""The live site with points at which the tests kill its processes, and short leases; one receiver per way of storing.

``CRASHES_STAGING`` is a folder on another file system than MEDIA_ROOT.
"""

from __future__ import annotations

import os
from typing import Any

from livesite.settings import *  # noqa: F403
from livesite.settings import DATABASES, FOLDER, INSTALLED_APPS

ROOT_URLCONF = "crashes.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "crashes.apps.CrashesConfig"]

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
    }

STORED: dict[str, dict[str, Any]] = {
    "files": {},
    "copied": {"STAGING_DIR": os.environ.get("CRASHES_STAGING", str(FOLDER / "staging"))},
    "objects": {"BACKEND": "fineuploader_receiver.backends.storage.StorageBackend"},
}
DURABILITIES = ("none", "publish", "chunk")
FINEUPLOADER_RECEIVERS = {
    "default": {},
    **{
        f"{kind}_{durability}": {
            "RECEIVER": "crashes.receivers.CountingReceiver",
            "DURABILITY": durability,
            "MIN_FREE_SPACE": 0,
            **options,
        }
        for kind, options in STORED.items()
        for durability in DURABILITIES
    },
    "careful": {"MIN_FREE_SPACE": 2**19},
}
