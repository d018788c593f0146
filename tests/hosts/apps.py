"""Makes each host believe that it is a machine of its own."""

from __future__ import annotations

import datetime
import os

from django.apps import AppConfig


class HostsConfig(AppConfig):
    """Replaces the id of the boot, which all processes of this machine share, and where told so lets a day pass."""

    name = "hosts"

    def ready(self) -> None:
        from fineuploader_receiver.lifecycle import admission, purge, uploads

        for module in (admission, uploads):
            module.current_boot = lambda: os.environ["HOSTS_BOOT"]  # type: ignore[attr-defined]
        if "HOSTS_A_DAY_LATER" in os.environ:
            purge.ORPHAN_AGE = -datetime.timedelta(hours=1)
