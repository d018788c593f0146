"""The routes below the prefix of the include.

Each route answers with and without a trailing slash, and with a doubled slash in front: the client glues "/" and the
uuid to whatever endpoint the page gave it (docs/protocol.md, section 1.17).
"""

from __future__ import annotations

from django.urls import URLPattern, re_path

from . import views
from .conf import DEFAULT_ALIAS

app_name = "fineuploader_receiver"


def receiver_urls(alias: str) -> tuple[list[URLPattern], str]:
    """The routes of one receiver, for `include()`; the alias is application and instance namespace."""
    return _patterns(alias), alias


def _patterns(alias: str) -> list[URLPattern]:
    where = {"alias": alias}
    return [
        re_path(r"^(?:/)?\Z", views.upload, where, name="upload"),
        re_path(r"^(?:/)?done/?\Z", views.done, where, name="done"),
        re_path(r"^(?:/)?session/?\Z", views.session, where, name="session"),
        re_path(r"^(?:/)?config/?\Z", views.config, where, name="config"),
        re_path(r"^(?:/)?(?P<uuid>[^/]+)/?\Z", views.file, where, name="file"),
        # No end: a pattern's dot stops at a line break, which an address may hold.
        re_path(r"^", views.nothing, where),
    ]


urlpatterns = _patterns(DEFAULT_ALIAS)
