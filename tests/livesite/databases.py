"""The live site's own database: its settings, and ``python -m`` commands that create and drop it."""

from __future__ import annotations

import os
import sys
from typing import Any


def database_settings(name: str) -> dict[str, Any]:
    """Return the entry of ``DATABASES`` for ``TEST_DATABASE``; SQLite as ``startproject`` writes it, untuned.

    But for its journal, where ``LIVESITE_JOURNAL`` names a mode.
    """
    engine = os.environ.get("TEST_DATABASE", "sqlite")
    if engine == "sqlite":
        journal = os.environ.get("LIVESITE_JOURNAL")
        options = {"init_command": f"PRAGMA journal_mode = {journal}"} if journal else {}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options, "TEST": {"NAME": name}}
    from settings import configure_database

    return {**configure_database(engine), "NAME": name, "TEST": {"NAME": name}}


def main(action: str) -> None:
    """Create the database with its tables, or drop it."""
    import django
    from django.db import connection

    django.setup()
    if action == "create":
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    else:
        connection.creation.destroy_test_db(str(connection.settings_dict["NAME"]), verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1])
