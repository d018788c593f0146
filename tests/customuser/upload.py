"""Migrates an empty database, uploads a file in chunks as a person, deletes the person, and prints what is left."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from customuser.models import Person  # noqa: E402
from flowtools import content, finisher, pattern, row, strict_client  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
problems = io.StringIO()
call_command("check", stdout=problems, stderr=problems)
person: Any = Person._default_manager.create(email="anna@example.com")
client = strict_client()
client.force_login(person)
page = finisher(client, "")
upload = page.add(pattern(25))
outcome = page.upload(upload)
listed = [item["uuid"] for item in page.session()]
owner = row(upload.uuid).owner
person.delete()
json.dump(
    {
        "check": problems.getvalue().strip(),
        "success": outcome.success,
        "listed": listed == [upload.uuid],
        "owner": str(owner),
        "owner afterwards": row(upload.uuid).owner,
        "exact": content(upload.uuid) == pattern(25),
    },
    sys.stdout,
)
