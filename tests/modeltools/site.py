"""A small site with limits, and what must hold of its rows and its bytes after every single step."""

from __future__ import annotations

import datetime
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import call_command
from django.db.models import Count, F, Q, Sum
from django.http import HttpRequest
from django.test import override_settings

from fineuploader_receiver.lifecycle import admission, completion, purge, receiving
from fineuploader_receiver.models import OwnerUsage, UploadChunk, UploadSession, UploadTombstone
from fineuploader_receiver.receivers import Receiver
from flowtools import STORAGES, kept_bytes
from modeltools.attempts import stand_at
from storages_for_tests import MinimalStorage

STAGED = ".fineuploader/"
BACKENDS: Mapping[str, str] = {
    "file system": "modeltools.attempts.StandingFileSystemBackend",
    "memory": "modeltools.attempts.StandingStorageBackend",
    "minimal": "modeltools.attempts.StandingStorageBackend",
}
LARGEST_FILE, LARGEST_CHUNK, MOST_UPLOADS, MOST_BYTES = 64, 40, 3, 120
UNFINISHED = Q(state__in=("receiving", "assembling"))


class CountingReceiver(Receiver):
    """Each committed completion leaves a group behind; looking at a file may take a while."""

    def validate(self, upload: UploadSession, file: IO[Any]) -> None:
        stand_at("validate")

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        Group.objects.create(name=f"{upload.pk}.{secrets.token_hex(8)}")


@contextmanager
def limited_site(storage: str) -> Iterator[Site]:
    """An empty site on this kind of storage, where nobody waits long for anybody; it is empty again afterwards."""
    options = {
        "RECEIVER": "modeltools.site.CountingReceiver",
        "BACKEND": BACKENDS[storage],
        "MAX_FILE_SIZE": LARGEST_FILE,
        "MAX_CHUNK_SIZE": LARGEST_CHUNK,
        "MAX_ACTIVE_UPLOADS": MOST_UPLOADS,
        "MAX_STAGED_BYTES": MOST_BYTES,
    }
    kept = settings.STORAGES | {"default": STORAGES[storage]}
    with ExitStack() as opened:
        opened.enter_context(override_settings(STORAGES=kept, FINEUPLOADER_RECEIVERS={"default": options}))
        opened.enter_context(patch.object(completion, "WAIT_SECONDS", 0.02))
        opened.enter_context(patch.object(admission, "PATIENCE_SECONDS", 0.02))
        opened.enter_context(patch.object(receiving, "HEARTBEAT_SECONDS", 0.0))
        opened.enter_context(patch.object(receiving, "COMPANY_SECONDS", 0.02))
        site = Site()
        try:
            yield site
        finally:
            site.empty()


@dataclass
class Site:
    """What was seen of finished files, and what was lost of the rows, and with them the way to their bytes."""

    finished: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    lost_places: set[str] = field(default_factory=set)
    lost_files: set[str] = field(default_factory=set)

    def check_rows(self) -> None:
        """Counters agree with the rows, chunks lie where they belong, and no limit is passed."""
        stored = Count("chunks", filter=Q(chunks__stored=True)), Sum("chunks__size", filter=Q(chunks__stored=True))
        for upload in UploadSession.objects.filter(UNFINISHED).annotate(count=stored[0], size=stored[1]):
            assert (upload.received_chunks, upload.received_bytes) == (upload.count, upload.size or 0)
            assert upload.received_bytes <= upload.reserved_bytes <= LARGEST_FILE
        for chunk in UploadChunk.objects.filter(stored=True).select_related("session"):
            start = round((chunk.session.chunk_size or 0) * chunk.index)
            assert (chunk.offset, chunk.index < chunk.session.total_chunks) == (start, True)
        owners = UploadSession.objects.filter(UNFINISHED).order_by().values("owner_key")
        for owner in owners.annotate(count=Count("pk"), reserved=Sum("reserved_bytes")):
            assert owner["count"] <= MOST_UPLOADS
            assert owner["reserved"] <= MOST_BYTES

    def check_completions(self) -> None:
        """Every finished file was completed once, no other was, and its bytes are what they were when it was new."""
        counted = [int(name.partition(".")[0]) for name in Group.objects.values_list("name", flat=True)]
        assert len(counted) == len(set(counted))
        complete = {upload.pk: upload for upload in UploadSession.objects.filter(state="complete")}
        assert set(complete) <= set(counted)
        names = [upload.file for upload in complete.values()]
        assert len(names) == len(set(names))
        for pk, upload in complete.items():
            with upload.open() as file:
                now = (upload.file, file.read())
            assert self.finished.setdefault(pk, now) == now

    def check_bytes(self) -> None:
        """Nothing is kept that no row names, while no request is under way."""
        fields = ("file", "leftover", "staged_name")
        files: set[str] = set()
        places: set[str] = set()
        for file, leftover, place in UploadSession.objects.values_list(*fields):
            files |= {file, leftover}
            places.add(place)
        for name in kept_bytes():
            if name.startswith(STAGED):
                assert name.split("/")[1] in places | self.lost_places, name
            else:
                assert name in files | self.lost_files, name

    def lose_rows(self, which: Q) -> None:
        """Restore the database from a backup that knows nothing of these uploads."""
        for upload in UploadSession.objects.filter(which):
            self.lost_places.add(upload.staged_name)
            self.lost_files |= {upload.file, upload.leftover}
        UploadSession.objects.filter(which).delete()

    def lose_bytes(self, which: Q) -> None:
        """Lose what is staged of these uploads."""
        lost = set(UploadSession.objects.filter(which).values_list("staged_name", flat=True))
        for name in kept_bytes():
            if name.startswith(STAGED) and name.split("/")[1] in lost:
                storages["default"].delete(name)

    def expire(self, which: Q) -> None:
        """Let the purge take these uploads, if they are unfinished."""
        past = datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(seconds=1)
        UploadSession.objects.filter(which, state="receiving").update(expires_at=past)
        self.purge()

    def purge(self) -> None:
        """Nothing that is not due goes."""
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        due = Q(expires_at__lte=now) | Q(state="removing")
        alive = set(UploadSession.objects.exclude(due).values_list("pk", flat=True))
        call_command("purge_expired_uploads", "--orphans", verbosity=0)
        assert alive <= set(UploadSession.objects.values_list("pk", flat=True))

    def forget_tombstones(self) -> None:
        UploadTombstone.objects.update(expires_at=F("expires_at") - datetime.timedelta(days=400))
        self.purge()

    def lapse(self) -> None:
        """Everybody who is at work has shown no sign of life for longer than anybody is patient."""
        past = datetime.timedelta(minutes=10)
        UploadSession.objects.exclude(lease_until=None).update(lease_until=F("lease_until") - past)
        UploadChunk.objects.filter(stored=False).update(claimed_at=F("claimed_at") - past)

    def check_tidy(self) -> None:
        """The purge leaves nothing but finished files, and of those that were lost it finds what it can list."""
        with patch.object(purge, "ORPHAN_AGE", datetime.timedelta(seconds=-5)):
            self.purge()
        if not isinstance(storages["default"], MinimalStorage):
            self.lost_places.clear()
        complete = UploadSession.objects.filter(state="complete")
        assert not complete.exclude(staged_name="", leftover="").exists()
        assert not UploadChunk.objects.filter(session__in=complete).exists()
        self.check_bytes()

    def check_empty(self) -> None:
        """Nothing is left of uploads that are all gone."""
        assert not UploadSession.objects.exists()
        assert not UploadChunk.objects.exists()
        self.check_bytes()
        storage = storages["default"]
        if isinstance(storage, FileSystemStorage):
            assert list(Path(storage.path(STAGED)).glob("*")) == []
            lost = {str(Path(name).parent) for name in self.lost_files}
            folders = {
                str(path.relative_to(storage.location)) for path in Path(storage.location).glob("uploads/*/*/*/*")
            }
            assert folders <= lost

    def empty(self) -> None:
        for model in (UploadChunk, UploadSession, UploadTombstone, OwnerUsage, Group):
            model.objects.all().delete()
        for name in kept_bytes():
            storages["default"].delete(name)
        if isinstance(storages["default"], FileSystemStorage):
            # A folder that one example leaves must not be held against the next.
            shutil.rmtree(storages["default"].path("uploads"), ignore_errors=True)
