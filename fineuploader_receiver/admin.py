"""The models in the admin, for looking: nothing here may be changed, since rows and bytes belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from .models import UploadSession

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[UploadSession]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnly:
    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UploadSession)
class UploadSessionAdmin(ReadOnly, _ModelAdmin):
    list_display = ("filename", "owner", "receiver", "state", "progress", "age", "expires_at")
    list_filter = ("state", "receiver", "created_at")
    search_fields = ("=uuid", "filename")
    list_select_related = ("owner",)
    show_full_result_count = False
    fields = (
        "uuid",
        "filename",
        "owner",
        "receiver",
        "state",
        "progress",
        "content_type",
        "total_size",
        "total_chunks",
        "received_bytes",
        "storage",
        "file",
        "digest",
        "params",
        "created_at",
        "updated_at",
        "expires_at",
        "completed_at",
        "claimed_at",
    )

    @admin.display(description=_("progress"))
    def progress(self, upload: UploadSession) -> str:
        if upload.is_complete:
            return "100 %"
        if not upload.total_size:
            return "?"
        return f"{100 * upload.received_bytes // upload.total_size} %"

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, upload: UploadSession) -> str:
        return timesince(upload.created_at)
