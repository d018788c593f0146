"""Pages that load the genuine client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import render

from livesite import settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def upload_page(request: HttpRequest, alias: str, kind: str) -> HttpResponse:
    """Render a page with the client; only the kind ``generated`` carries the app's own options."""
    context = {
        "alias": alias,
        "generated": kind == "generated",
        "client_template": (settings.CLIENT_FOLDER / "fine-uploader" / "templates" / "default.html").read_text(),
    }
    response = render(request, "page.html", context)
    # What browsers do unasked. With Django's "same-origin" a form that is sent to another origin says "Origin: null",
    # which no CSRF check can trust.
    response["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response
