from __future__ import annotations

from django.apps import AppConfig


class FineUploaderReceiverConfig(AppConfig):
    name = "fineuploader_receiver"
    verbose_name = "Fine Uploader receiver"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, logins  # noqa: F401  (importing registers the checks)

        logins.connect()
