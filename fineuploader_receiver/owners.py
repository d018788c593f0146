"""Whose upload it is: a user's, or that of a Django session where anonymous uploads are switched on."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from .exceptions import LoginRequired, NoSession

if TYPE_CHECKING:
    from .receivers import Receiver

SESSION_KEY = "fineuploader_receiver.owner"
MAX_KEY = 128


@dataclasses.dataclass(frozen=True)
class Owner:
    """`key` is never empty and tells owners apart; `user` is None for an anonymous owner."""

    key: str
    user: AbstractBaseUser | None = None


@dataclasses.dataclass(frozen=True)
class Caller:
    """An owner together with the request that is made in its name, for hooks and signals."""

    owner: Owner
    request: HttpRequest


def owner_of(user: AbstractBaseUser) -> Owner:
    key = f"user:{user.pk}"
    if len(key) > MAX_KEY:
        key = f"user#{hashlib.sha256(key.encode()).hexdigest()}"
    return Owner(key, user)


def identify(receiver: Receiver, request: HttpRequest, *, create: bool = False) -> Owner:
    """The owner that a request speaks for.

    An anonymous owner is a random key in the Django session. Only with `create` is one made (template tag, config and
    session routes): three parallel first chunks would make three. Raises LoginRequired or NoSession.
    """
    user = receiver.get_owner(request)
    if user is not None and user.pk is not None:
        return owner_of(user)
    if not receiver.options.allow_anonymous:
        raise LoginRequired
    session: Any = getattr(request, "session", None)
    if session is None:
        raise NoSession
    key = session.get(SESSION_KEY)
    if key is None:
        if not create:
            raise NoSession
        key = session[SESSION_KEY] = secrets.token_hex(16)
    return Owner(anonymous_key(key))


def anonymous_key(session_key: str) -> str:
    return f"anonymous:{session_key}"
