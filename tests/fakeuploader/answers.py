"""What the client makes of an answer: its own rules, however odd (docs/protocol.md, section 2)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakeuploader.wire import WireResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "Upload failure reason unknown"
GOOD_STATUS = (200, 201, 202, 203, 204)
AJAX_STATUS = {"GET": (200,), "DELETE": (200, 202, 204)}
UNREADABLE = object()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the page sees one request: ``error`` is the text given to ``onError``; ``hangs`` means that it never ends."""

    success: bool
    status: int = 0
    error: str | None = None
    reset: bool = False
    prevent_retry: bool = False
    hangs: bool = False
    response: dict[str, Any] = field(default_factory=dict)


NO_ANSWER = Outcome(success=False, error="XHR returned response code 0")


def upload_outcome(answer: WireResponse, *, require_success_json: bool = True, concurrent: bool = False) -> Outcome:
    """Judge the answer to a simple upload or to a chunk.

    A JSON ``null`` throws inside the client. So does ``reset`` for a chunk of a concurrent page, and the upload hangs
    where no other chunk is in flight (``concurrent`` is that case).
    """
    parsed = _parse(answer.body)
    if parsed is None and answer.status in GOOD_STATUS:
        return Outcome(success=False, status=answer.status, hangs=True)
    response = _object(parsed)
    reset = bool(response.get("reset"))
    failed = answer.status not in GOOD_STATUS or (require_success_json and not response.get("success")) or reset
    if not failed:
        return Outcome(success=True, status=answer.status, response=response | {"success": True})
    return _failure(answer, response, hangs=reset and concurrent)


def done_outcome(answer: WireResponse, *, method: str = "POST", reset_on_status: Sequence[int] = ()) -> Outcome:
    """Judge the answer to the success request: only the status counts."""
    parsed = _parse(answer.body)
    if answer.status in AJAX_STATUS.get(method, GOOD_STATUS):
        response = parsed if isinstance(parsed, dict) else {}
        return Outcome(success=True, status=answer.status, response=response | {"success": True})
    response = _object(parsed)
    if answer.status in reset_on_status:
        response["reset"] = True
    return _failure(answer, response)


def delete_outcome(answer: WireResponse, *, method: str = "DELETE") -> Outcome:
    """Judge the answer to a delete: only the status counts, and the body's error is not shown."""
    if answer.status in AJAX_STATUS.get(method, GOOD_STATUS):
        return Outcome(success=True, status=answer.status)
    error = f"Delete request failed with response code {answer.status}"
    return Outcome(success=False, status=answer.status, error=error)


def session_items(answer: WireResponse) -> list[dict[str, Any]]:
    """Return the items that the client takes over: none but for a 200 with an array, and none from a bad item on."""
    items = _parse(answer.body)
    if answer.status != 200 or not isinstance(items, list):
        return []
    taken: list[dict[str, Any]] = []
    for item in items:
        if item.get("uuid") is None or item.get("name") is None:
            break
        taken.append(item)
    return taken


def form_outcome(answer: WireResponse) -> Outcome:
    """Judge the answer that a form upload finds in its frame; the status is invisible there."""
    if answer.headers.get("x-frame-options", "").upper() == "DENY":
        return Outcome(success=False, error=UNKNOWN)
    return _frame_outcome(_parse(_frame_text(answer)))


def cors_form_outcome(answer: WireResponse, uuid: str) -> Outcome:
    """Judge the answer of a form upload across origins, which the helper script posts to the page."""
    body = answer.text.partition("<script")
    posted = re.search(r"(\{.*\})", body[0].replace("&", "&amp;"))
    parsed = _parse(posted.group(1).encode()) if posted and "iframe.xss.response" in body[2] else UNREADABLE
    if not isinstance(parsed, dict) or parsed.get("uuid") != uuid or "x-frame-options" in answer.headers:
        return Outcome(success=False, error="No valid message received from loaded iframe")
    return _frame_outcome(parsed)


def _frame_outcome(parsed: Any) -> Outcome:
    response = parsed if isinstance(parsed, dict) else {}
    if response.get("success"):
        return Outcome(success=True, status=200, response=response | {"success": True})
    return _failure(WireResponse(status=200), response)


def _frame_text(answer: WireResponse) -> bytes:
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if media_type in ("text/plain", "application/json"):
        return answer.body
    return answer.body.replace(b"&", b"&amp;")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError:
        return UNREADABLE


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON.parse() refuses {name}")


def _object(parsed: Any) -> dict[str, Any]:
    if isinstance(parsed, str):
        return {"error": parsed}
    return dict(parsed) if isinstance(parsed, dict) else {}


def _failure(answer: WireResponse, response: dict[str, Any], *, hangs: bool = False) -> Outcome:
    shown = response.get("error") or (
        UNKNOWN if answer.status == 200 else f"XHR returned response code {answer.status}"
    )
    return Outcome(
        success=False,
        status=answer.status,
        error=shown,
        reset=bool(response.get("reset")),
        prevent_retry=bool(response.get("preventRetry")),
        hangs=hangs,
        response=response | {"success": False},
    )
