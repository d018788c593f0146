"""Installs the points when Django starts, and makes leases short and boots ours to tell."""

from __future__ import annotations

import datetime

from django.apps import AppConfig


class CrashesConfig(AppConfig):
    """The tests' part of the site."""

    name = "crashes"

    def ready(self) -> None:
        from crashes.injection import inject
        from fineuploader_receiver.lifecycle import admission, completion, removal, uploads
        from livesite import settings

        completion.LEASE = removal.LEASE = datetime.timedelta(seconds=0.5)
        for module in (admission, uploads):
            module.current_boot = (settings.FOLDER / "boot_id").read_text  # type: ignore[attr-defined]
        inject()
