"""The live site as one of several hosts: its own folder and boot, and a place for files that all of them reach."""

from __future__ import annotations

import json
import os

from livesite.settings import *  # noqa: F403
from livesite.settings import FINEUPLOADER_RECEIVERS, INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, "hosts.apps.HostsConfig"]
STORAGES = {**STORAGES, "default": json.loads(os.environ["HOSTS_STORAGE"])}
FINEUPLOADER_RECEIVERS = {**FINEUPLOADER_RECEIVERS, "default": {"DURABILITY": "chunk"}}
