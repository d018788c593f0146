"""From receipts and errors to HTTP answers (docs/protocol.md, section 2). The one place where an answer is rendered.

Every answer is a JSON object on one line, with a boolean `success`; `&`, `<` and `>` are escaped, so that a browser
which shows the answer in a frame neither interprets nor alters it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import conditional_escape

from ..exceptions import UploadError
from .messages import Receipt

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"

FRAME_SCRIPT = "fineuploader_receiver/iframe.xss.response.js"

_ESCAPES = {ord("&"): "\\u0026", ord("<"): "\\u003c", ord(">"): "\\u003e"}


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str).translate(_ESCAPES)


def render_receipt(receipt: Receipt, *, wire_uuid: str) -> dict[str, Any]:
    return {"success": True, "uuid": wire_uuid, "complete": receipt.complete}


def render_error(error: UploadError, *, wire_uuid: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = {"success": False, "error": str(error.message), "code": error.code}
    if error.prevent_retry:
        answer["preventRetry"] = True
    if error.reset:
        answer["reset"] = True
    if wire_uuid:
        answer["uuid"] = wire_uuid
    return answer


def answer(payload: Any, *, status: int = 200, content_type: str = PLAIN) -> HttpResponse:
    """`text/plain`, because the client's docs ask for it and old browsers offer JSON for download."""
    return _finish(HttpResponse(dumps(payload), status=status, content_type=content_type))


def frame_answer(request: HttpRequest, payload: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """The answer to a form upload in a frame: readable text for the page's own origin, and for another origin HTML with
    the script that posts it to the page (docs/protocol.md, section 3.4). Never subject to X-Frame-Options."""
    if _is_cross_origin(request):
        body = f'{dumps(payload)}<script src="{conditional_escape(_frame_script())}"></script>'
        response = _finish(HttpResponse(body, status=status, content_type=HTML))
    else:
        response = answer(payload, status=status)
    response.xframe_options_exempt = True
    return response


def allow(response: HttpResponse, methods: Iterable[str]) -> HttpResponse:
    """Say which methods the route answers."""
    response["Allow"] = ", ".join((*methods, "OPTIONS"))
    return response


def _finish(response: HttpResponse) -> HttpResponse:
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _is_cross_origin(request: HttpRequest) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin != f"{request.scheme}://{request.get_host()}"
    referer = request.headers.get("Referer", "")
    return bool(referer) and not referer.startswith(f"{request.scheme}://{request.get_host()}/")


def _frame_script() -> str:
    try:
        return static(FRAME_SCRIPT)
    except (ImproperlyConfigured, ValueError):
        # Without a STATIC_URL, or before collectstatic, the file keeps its plain place.
        return f"/static/{FRAME_SCRIPT}"
