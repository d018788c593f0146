"""`manage.py purge_expired_uploads`: for cron."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import configured
from ...lifecycle.purge import Purge, Summary
from ...receivers import get_receiver


class Command(BaseCommand):
    help = (
        "Remove partial uploads that nobody has continued for EXPIRE_AFTER. Never touches a live upload, a claimed "
        "file or anything the app did not name itself. Exit code 1 when something had to be skipped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--receiver", metavar="ALIAS", help="only this receiver's uploads")
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
        parser.add_argument("--batch-size", type=_positive, default=500, metavar="N", help="rows read at a time")
        parser.add_argument(
            "--unclaimed", action="store_true", help="also remove finished files that nothing claimed (UNCLAIMED_AFTER)"
        )
        parser.add_argument("--orphans", action="store_true", help="also remove staged bytes that have no row")
        parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print the summary")

    def handle(self, *args: Any, **options: Any) -> None:
        purge = Purge(
            aliases=self._aliases(options["receiver"], unclaimed=options["unclaimed"]),
            dry_run=options["dry_run"],
            batch_size=options["batch_size"],
            progress=self._show_progress,
        )
        purge.expired()
        purge.tidy()
        purge.tombstones()
        purge.forget_owners()
        if options["unclaimed"]:
            purge.unclaimed()
        if options["orphans"]:
            purge.orphans()
        self._print(purge.summary, options["format"], dry_run=options["dry_run"])
        if purge.summary.skipped:
            raise CommandError(f"{purge.summary.skipped} could not be handled: {'; '.join(purge.summary.problems)}")

    def _aliases(self, alias: str | None, *, unclaimed: bool) -> list[str] | None:
        try:
            if alias is None:
                if unclaimed and not any(_unclaimed_after(name) for name in configured()):
                    raise CommandError("--unclaimed needs UNCLAIMED_AFTER, which no receiver has.")
                return None
            if unclaimed and not _unclaimed_after(alias):
                raise CommandError(f'--unclaimed needs UNCLAIMED_AFTER, which the receiver "{alias}" does not have.')
            get_receiver(alias)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        return [alias]

    def _show_progress(self, count: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{count} looked at", ending="\r")

    def _print(self, summary: Summary, form: str, *, dry_run: bool) -> None:
        if form == "json":
            self.stdout.write(json.dumps({**dataclasses.asdict(summary), "dry_run": dry_run}))
            return
        verb = "Would remove" if dry_run else "Removed"
        self.stdout.write(
            f"{verb} {summary.expired} expired and {summary.unclaimed} unclaimed uploads ({summary.bytes} bytes), "
            f"{summary.orphans} orphans and {summary.tombstones} tombstones; tidied {summary.tidied} complete uploads."
        )


def _unclaimed_after(alias: str) -> bool:
    return get_receiver(alias).options.unclaimed_after is not None


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return number
