"""Bringing to an end what nobody will finish: in batches, one conditional claim per upload, safe beside all else.

An upload is touched only if the row still says, at the moment of the claim, that it is due. Interrupted anywhere, the
next run goes on; two runs at once share the work.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Exists, OuterRef, Q, QuerySet

from ..backends.base import Backend, BackendFailed, Staging
from ..conf import configured
from ..database import database_now, in_transaction
from ..exceptions import StorageFailed
from ..logs import get_logger
from ..models import OwnerUsage, UploadSession, UploadTombstone, database
from ..receivers import Receiver, get_receiver
from ..signals import upload_expired
from .notify import notify
from .removal import IDLE, lapsed, remove
from .uploads import State, chunk_rows, rows, staging_of, stored_chunks

logger = get_logger(__name__)

ORPHAN_AGE = datetime.timedelta(days=1)

Progress = Callable[[int], None]


@dataclasses.dataclass
class Summary:
    """How many of each were removed (or, in a dry run, would be), and what had to be left."""

    expired: int = 0
    unclaimed: int = 0
    tidied: int = 0
    orphans: int = 0
    tombstones: int = 0
    bytes: int = 0
    skipped: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Purge:
    """One run. `aliases` None means every receiver that has rows; those no longer configured are skipped."""

    aliases: list[str] | None = None
    dry_run: bool = False
    batch_size: int = 500
    progress: Progress = lambda count: None
    summary: Summary = dataclasses.field(default_factory=Summary)

    def expired(self) -> None:
        """Remove uploads whose last byte is longer ago than EXPIRE_AFTER, and finish removals that were interrupted."""
        now = database_now(database())
        self._remove(Q(expires_at__lte=now) & (IDLE | lapsed(now)), "expired")

    def unclaimed(self) -> None:
        """Remove complete uploads that nothing claimed within UNCLAIMED_AFTER, for receivers that have that option."""
        for alias in self._aliases():
            receiver = self._receiver(alias)
            if receiver is None or receiver.options.unclaimed_after is None:
                continue
            oldest = database_now(database()) - receiver.options.unclaimed_after
            due = Q(receiver=alias, state=State.COMPLETE, claimed_at=None, completed_at__lte=oldest)
            self._remove(due, "unclaimed")

    def tidy(self) -> None:
        """Drop chunk rows and staged bytes that complete uploads have left behind."""
        complete = self._mine(rows().filter(state=State.COMPLETE, staged_name__gt="").defer("params"))
        for upload in self._batches(complete):
            receiver = self._receiver(upload.receiver)
            if receiver is not None and (self.dry_run or self._tidy(receiver, upload)):
                self.summary.tidied += 1

    def tombstones(self) -> None:
        """Forget what was remembered of vanished uploads for long enough."""
        using = database()
        now = database_now(using)
        due = UploadTombstone.objects.using(using).filter(expires_at__lte=now)
        if self.aliases is not None:
            due = due.filter(receiver__in=self.aliases)
        if self.dry_run:
            self.summary.tombstones += due.count()
            return
        while keys := list(due.order_by("expires_at").values_list("pk", flat=True)[: self.batch_size]):
            doomed = UploadTombstone.objects.using(using).filter(pk__in=keys, expires_at__lte=now)
            count, _ = in_transaction(using, lambda doomed=doomed: doomed.delete())  # type: ignore[misc]
            self.summary.tombstones += count

    def forget_owners(self) -> None:
        """Drop the turn-taking rows of owners who have no uploads any more."""
        if self.dry_run:
            return
        using = database()
        theirs = UploadSession.objects.filter(receiver=OuterRef("receiver"), owner_key=OuterRef("owner_key"))
        idle = OwnerUsage.objects.using(using).filter(~Exists(theirs))
        if self.aliases is not None:
            idle = idle.filter(receiver__in=self.aliases)
        while keys := list(idle.values_list("pk", flat=True)[: self.batch_size]):
            doomed = OwnerUsage.objects.using(using).filter(pk__in=keys)
            in_transaction(using, doomed.delete)

    def orphans(self) -> None:
        """Remove staged bytes, over a day old and of our own naming pattern, that no upload has a row for."""
        before = database_now(database()) - ORPHAN_AGE
        seen: set[Staging] = set()
        for alias in self._aliases(with_rows=False):
            receiver = self._receiver(alias)
            if receiver is not None:
                self._attempt(functools.partial(self._clear_orphans, receiver, before, seen))

    def _clear_orphans(self, receiver: Receiver, before: datetime.datetime, seen: set[Staging]) -> bool:
        for backend in receiver.backends:
            for staging in list(backend.orphans(before=before)):
                # Receivers may share a place, and a dry run would find everything there again.
                if staging in seen or rows().filter(staged_name=staging.name).exists():
                    continue
                seen.add(staging)
                if self.dry_run or self._attempt(functools.partial(backend.discard, staging, (), published=False)):
                    self.summary.orphans += 1
        return True

    def _remove(self, due: Q, counter: str) -> None:
        for upload in self._batches(self._mine(rows().filter(due))):
            receiver = self._receiver(upload.receiver)
            if receiver is None:
                continue
            if receiver.backend_of(upload) is None:
                self._skip(f"The storage or backend of upload {upload.uuid} is gone.")
                continue
            if not self.dry_run and not self._expire(receiver, upload, due):
                continue
            setattr(self.summary, counter, getattr(self.summary, counter) + 1)
            self.summary.bytes += upload.received_bytes

    def _expire(self, receiver: Receiver, upload: UploadSession, due: Q) -> bool:
        """Remove an upload that is still due. False when it is not, or its bytes could not be deleted."""
        try:
            removed = remove(receiver, upload, only=due)
        except StorageFailed:
            self._skip(f"The bytes of upload {upload.uuid} could not be deleted.")
            return False
        if removed:
            notify(upload_expired, upload=upload)
        return removed

    def _tidy(self, receiver: Receiver, upload: UploadSession) -> bool:
        backend = receiver.backend_of(upload)
        if backend is None:
            self._skip(f"The storage or backend of upload {upload.uuid} is gone.")
            return False
        if not self._attempt(lambda: backend.discard(staging_of(upload), stored_chunks(upload), published=True)):
            return False
        if upload.leftover and not self._attempt(lambda: _retract(backend, upload.leftover)):
            return False
        using = database()
        in_transaction(using, lambda: chunk_rows(upload).delete())
        in_transaction(
            using, lambda: rows().filter(pk=upload.pk, state=State.COMPLETE).update(staged_name="", leftover="")
        )
        return True

    def _attempt(self, call: Callable[[], bool]) -> bool:
        try:
            return call()
        except (BackendFailed, ImportError, ImproperlyConfigured) as error:
            self._skip(str(error))
            return False

    def _mine(self, queryset: QuerySet[UploadSession]) -> QuerySet[UploadSession]:
        return queryset if self.aliases is None else queryset.filter(receiver__in=self.aliases)

    def _batches(self, queryset: QuerySet[UploadSession]) -> Iterator[UploadSession]:
        """Walk a queryset by primary key, a batch at a time: constant memory, and no cursor stays open."""
        last, seen = 0, 0
        while batch := list(queryset.filter(pk__gt=last).order_by("pk")[: self.batch_size]):
            yield from batch
            last = batch[-1].pk
            seen += len(batch)
            self.progress(seen)

    def _aliases(self, *, with_rows: bool = True) -> list[str]:
        if self.aliases is not None:
            return self.aliases
        if not with_rows:
            return list(configured())
        return sorted(set(rows().order_by().values_list("receiver", flat=True).distinct()))

    def _receiver(self, alias: str) -> Receiver | None:
        try:
            return get_receiver(alias)
        except ImproperlyConfigured as error:
            self._skip(str(error))
            return None

    def _skip(self, problem: str) -> None:
        self.summary.skipped += 1
        if problem not in self.summary.problems and len(self.summary.problems) < 100:
            logger.warning("The purge skips something: %s", problem)
            self.summary.problems.append(problem)


def _retract(backend: Backend, name: str) -> bool:
    """Delete what a completion that stood still, and was overtaken, may have published after all."""
    backend.retract(name)
    return True
