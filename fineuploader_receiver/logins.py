"""Logging in takes the session's anonymous uploads along."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError
from django.http import HttpRequest

from .lifecycle.ownership import adopt
from .logs import get_logger
from .owners import SESSION_KEY, anonymous_key, owner_of

logger = get_logger(__name__)


def connect() -> None:
    user_logged_in.connect(_adopt, dispatch_uid="fineuploader_receiver.logins")


def _adopt(*, request: HttpRequest | None = None, user: AbstractBaseUser, **_: Any) -> None:
    session: Any = getattr(request, "session", None)
    key = session.pop(SESSION_KEY, None) if session is not None else None
    if key is None:
        return
    try:
        adopt(anonymous_key(key), owner_of(user))
    except DatabaseError:
        # A login must not fail over this; what stays behind expires.
        logger.exception("Anonymous uploads could not be given to the user who logged in.")
