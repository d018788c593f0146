"""The rows: what is known of an upload and of its chunks. Nothing here touches bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db import models, router
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.core.files.base import File


class UploadState(models.TextChoices):
    #: Chunks may still arrive.
    RECEIVING = "receiving", _("receiving")
    #: All chunks are here; one process, the holder of the lease, puts the file together.
    ASSEMBLING = "assembling", _("assembling")
    #: The file is in its storage, whole, and never changes again.
    COMPLETE = "complete", _("complete")
    #: Bytes are being deleted; the row follows them.
    REMOVING = "removing", _("removing")


class UploadSession(models.Model):
    """One upload: a file on its way, or one that has arrived.

    States move only by conditional updates (`lifecycle`). `expires_at` is what the purge reads; it is None once the
    file is complete.
    """

    State = UploadState

    uuid = models.UUIDField(_("uuid"), help_text=_("Chosen by the client; unique per owner and receiver."))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    owner_key = models.CharField(_("owner key"), max_length=128)
    receiver = models.CharField(_("receiver"), max_length=64)
    state = models.CharField(_("state"), max_length=12, choices=UploadState.choices, default=UploadState.RECEIVING)

    filename = models.CharField(_("file name"), max_length=1024, blank=True)
    content_type = models.CharField(_("content type"), max_length=255, blank=True)
    params = models.JSONField(_("parameters"), default=dict, blank=True)

    total_size = models.BigIntegerField(_("total size"), null=True, blank=True)
    total_chunks = models.PositiveIntegerField(_("total chunks"), default=1)
    chunk_size = models.FloatField(_("nominal chunk size"), null=True, blank=True)
    received_bytes = models.BigIntegerField(_("received bytes"), default=0)
    received_chunks = models.PositiveIntegerField(_("received chunks"), default=0)
    reserved_bytes = models.BigIntegerField(_("reserved bytes"), default=0)

    file = models.CharField(_("name in the storage"), max_length=512, blank=True)
    storage = models.CharField(_("storage"), max_length=64)
    digest = models.CharField(_("digest"), max_length=160, blank=True)
    published = models.BooleanField(default=False, editable=False)
    leftover = models.CharField(max_length=512, blank=True, editable=False)

    backend = models.CharField(max_length=255, editable=False)
    staging_root = models.CharField(max_length=512, editable=False)
    staged_name = models.CharField(max_length=64, blank=True, editable=False)
    staged_handle = models.TextField(blank=True, default="", editable=False)
    boot_id = models.CharField(max_length=36, blank=True, editable=False)

    # What was seen of the page, for the rules about `reset` (lifecycle.pages).
    done_request = models.BooleanField(null=True, editable=False)
    first_index = models.PositiveIntegerField(default=0, editable=False)
    highest_index = models.IntegerField(default=-1, editable=False)
    resumed_index = models.PositiveIntegerField(null=True, editable=False)
    out_of_order = models.BooleanField(default=False, editable=False)

    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("last activity"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("claimed"), null=True, blank=True)

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        constraints = [
            models.UniqueConstraint(fields=["receiver", "owner_key", "uuid"], name="fineuploader_upload_uuid"),
            models.CheckConstraint(
                condition=Q(total_size__isnull=True) | Q(total_size__gte=0), name="fineuploader_upload_total"
            ),
            models.CheckConstraint(
                condition=Q(received_bytes__gte=0) & Q(reserved_bytes__gte=0), name="fineuploader_upload_bytes"
            ),
            models.CheckConstraint(condition=Q(state__in=UploadState.values), name="fineuploader_upload_state"),
            models.CheckConstraint(
                condition=~Q(state=UploadState.COMPLETE)
                | (Q(completed_at__isnull=False) & Q(total_size__isnull=False) & ~Q(file="")),
                name="fineuploader_upload_complete",
            ),
        ]
        indexes = [
            # None begins with the state: MariaDB would find rows of conditional updates by it, and miss those that a
            # parallel update has just moved within the index.
            models.Index(fields=["expires_at"], name="fineuploader_expiry"),
            models.Index(fields=["completed_at"], name="fineuploader_completed"),
            models.Index(fields=["staged_name"], name="fineuploader_staged"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid} ({self.get_state_display()})"

    @property
    def is_complete(self) -> bool:
        return self.state == UploadState.COMPLETE

    def get_storage(self) -> Storage:
        """The storage that holds the finished file. Raises InvalidStorageError where its alias is gone."""
        return storages[self.storage]

    def open(self, mode: str = "rb") -> File[Any]:
        """Open the finished file. Raises ValueError while there is none."""
        self._require_complete()
        return self.get_storage().open(self.file, mode)

    @property
    def url(self) -> str:
        """The storage's own address of the finished file. Raises ValueError while there is none."""
        self._require_complete()
        return self.get_storage().url(self.file)

    def claim(self) -> bool:
        """Say that the site has taken this file: it leaves the initial list, and neither purge nor client deletes it.

        True when the file is now claimed, also when it was before; False when it is not complete or no longer exists,
        in which case nothing was claimed. Safe against a purge that runs at the same moment: one of the two wins.
        """
        now = timezone.now()
        rows = UploadSession.objects.using(database()).filter(pk=self.pk, state=UploadState.COMPLETE)
        if rows.filter(claimed_at=None).update(claimed_at=now):
            self.claimed_at = now
            return True
        self.claimed_at = rows.values_list("claimed_at", flat=True).first()
        return self.claimed_at is not None

    def _require_complete(self) -> None:
        if not self.is_complete:
            raise ValueError(f"The upload {self.uuid} has no finished file: it is {self.state}.")


class UploadChunk(models.Model):
    """One chunk of an upload: claimed by an attempt (`token`), and `stored` once its bytes are all kept."""

    session = models.ForeignKey(UploadSession, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    index = models.PositiveIntegerField(_("index"))
    offset = models.BigIntegerField(_("offset"))
    size = models.BigIntegerField(_("size"))
    stored = models.BooleanField(_("stored"), default=False)
    token = models.CharField(max_length=32, editable=False)
    key = models.TextField(blank=True, editable=False)
    claimed_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = _("chunk")
        verbose_name_plural = _("chunks")
        constraints = [
            models.UniqueConstraint(fields=["session", "index"], name="fineuploader_chunk_index"),
            models.CheckConstraint(condition=Q(offset__gte=0) & Q(size__gte=0), name="fineuploader_chunk_range"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.index} of upload {self.session_id}"


class UploadTombstone(models.Model):
    """What is remembered, for EXPIRE_AFTER, of an upload that is gone: enough to answer its late chunks truthfully.

    `refusal` is the code of a final refusal and `message` its text; both are empty where the upload was only purged,
    deleted or lost.
    """

    receiver = models.CharField(max_length=64)
    owner_key = models.CharField(max_length=128)
    uuid = models.UUIDField()
    out_of_order = models.BooleanField(default=False)
    done_request = models.BooleanField(null=True)
    refusal = models.CharField(max_length=32, blank=True)
    message = models.CharField(max_length=500, blank=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("tombstone")
        verbose_name_plural = _("tombstones")
        constraints = [
            models.UniqueConstraint(fields=["receiver", "owner_key", "uuid"], name="fineuploader_tombstone_uuid"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class OwnerUsage(models.Model):
    """The row that requests of one owner update first, so that quota checks of one owner run one after another."""

    receiver = models.CharField(max_length=64)
    owner_key = models.CharField(max_length=128)
    checks = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["receiver", "owner_key"], name="fineuploader_usage_owner"),
        ]

    def __str__(self) -> str:
        return self.owner_key


def database() -> str:
    """The alias all our queries use: a lagging replica would make live uploads look unknown."""
    return router.db_for_write(UploadSession)
