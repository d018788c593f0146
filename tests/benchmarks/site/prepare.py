"""``python -m benchmarks.site.prepare``: make the tables and a user, and print the cookies that log the client in."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Write the request headers of a logged-in client as JSON."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.site.settings"
    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.middleware.csrf import _get_new_csrf_string

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("somebody")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    token = _get_new_csrf_string()
    headers = {"Cookie": f"sessionid={session.session_key}; csrftoken={token}", "X-CSRFToken": token}
    json.dump(headers, sys.stdout)


if __name__ == "__main__":
    main()
