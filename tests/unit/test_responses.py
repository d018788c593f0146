"""Answers: one JSON object on one line, that no frame interprets and no page misreads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver import exceptions
from fineuploader_receiver.exceptions import BY_CODE, QuotaExceeded, UploadError, UploadLost
from fineuploader_receiver.protocol import responses
from fineuploader_receiver.protocol.messages import Receipt

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SCRIPT = '<script src="/static/fineuploader_receiver/iframe.xss.response.js"></script>'


def request(**headers: str) -> HttpRequest:
    return RequestFactory().post("/uploads/", headers=headers)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_json_is_one_line_without_markup_and_says_the_same(value: Any) -> None:
    text = responses.dumps(value)
    assert not set(text) & set("&<>\n\r\u2028\u2029")
    assert text.isascii()
    assert json.loads(text) == value


@pytest.mark.parametrize("complete", [True, False])
def test_receipt(complete: bool) -> None:
    payload = responses.render_receipt(Receipt(complete=complete), wire_uuid=UUID)
    assert payload == {"success": True, "uuid": UUID, "complete": complete}


@pytest.mark.parametrize("code", BY_CODE)
def test_error(code: str) -> None:
    error = BY_CODE[code]()
    flags = {key: True for key, set_ in (("preventRetry", error.prevent_retry), ("reset", error.reset)) if set_}
    assert responses.render_error(error) == {"success": False, "error": error.message, "code": code, **flags}
    assert error.message


def test_error_with_words_of_its_own_and_the_uuid_for_a_frame() -> None:
    error = QuotaExceeded("Not today.")
    error.prevent_retry = True
    assert responses.render_error(error, wire_uuid=UUID) == {
        "success": False,
        "error": "Not today.",
        "code": "quota_exceeded",
        "preventRetry": True,
        "uuid": UUID,
    }
    assert QuotaExceeded().prevent_retry is False


def test_only_a_lost_upload_resets() -> None:
    assert {code for code, error in BY_CODE.items() if error.reset} == {"upload_lost"}
    assert UploadLost().prevent_retry is False


def test_every_code_has_the_status_that_was_promised() -> None:
    assert {code: error.status for code, error in BY_CODE.items()} == {
        "missing_parameter": 400,
        "bad_parameter": 400,
        "bad_uuid": 400,
        "bad_body": 400,
        "truncated_body": 400,
        "missing_file": 400,
        "length_required": 411,
        "size_mismatch": 400,
        "digest_mismatch": 400,
        "bad_chunk": 400,
        "totals_changed": 409,
        "upload_lost": 409,
        "login_required": 403,
        "no_session": 403,
        "csrf_failed": 403,
        "forbidden": 403,
        "claimed": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "file_too_large": 413,
        "chunk_too_large": 413,
        "too_many_chunks": 413,
        "body_too_large": 413,
        "extension_not_allowed": 415,
        "type_not_allowed": 415,
        "invalid_file": 422,
        "hook_failed": 500,
        "storage_error": 503,
        "server_error": 500,
        "busy": 503,
        "assembling": 503,
        "too_many_uploads": 429,
        "quota_exceeded": 413,
        "no_space": 507,
    }


def test_what_can_help_may_be_tried_again() -> None:
    """Guards against a client that gives up over something that passes."""
    assert {code for code, error in BY_CODE.items() if not error.prevent_retry} == {
        "truncated_body",
        "size_mismatch",
        "digest_mismatch",
        "totals_changed",
        "upload_lost",
        "login_required",
        "too_many_uploads",
        "quota_exceeded",
        "no_space",
        "busy",
        "assembling",
        "storage_error",
        "hook_failed",
        "server_error",
    }


def test_every_refusal_is_a_leaf_with_a_code_of_its_own() -> None:
    def leaves(error: type[UploadError]) -> list[type[UploadError]]:
        below = error.__subclasses__()
        return [leaf for child in below for leaf in leaves(child)] if below else [error]

    assert {leaf.code: leaf for leaf in leaves(UploadError)} == BY_CODE
    assert len(leaves(UploadError)) == len(BY_CODE)
    for name in (leaf.__name__ for leaf in BY_CODE.values()):
        assert name in str(exceptions.__doc__)


def test_answer_is_text_that_nothing_sniffs() -> None:
    response = responses.answer({"success": False, "error": "<b> & é"}, status=413)
    assert response.status_code == 413
    assert response.content == rb'{"success":false,"error":"\u003cb\u003e \u0026 \u00e9"}'
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert not hasattr(response, "xframe_options_exempt")


@pytest.mark.parametrize(
    ("headers", "crosses"),
    [
        ({}, False),
        ({"origin": "http://testserver"}, False),
        ({"origin": "https://testserver"}, True),
        ({"origin": "http://testserver:8000"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"referer": "http://testserver/page"}, False),
        ({"referer": "http://testserver.evil.example/page"}, True),
        ({"referer": "http://evil.example/page"}, True),
        ({"origin": "http://testserver", "referer": "http://evil.example/"}, False),
    ],
    ids=str,
)
def test_frame_is_answered_by_where_its_page_is(headers: dict[str, str], crosses: bool) -> None:
    payload = {"success": True, "uuid": UUID, "note": "</script>"}
    response = responses.frame_answer(request(**headers), payload, status=409)
    line = responses.dumps(payload)
    assert response.content.decode() == (line + SCRIPT if crosses else line)
    assert response["Content-Type"] == ("text/html; charset=utf-8" if crosses else "text/plain; charset=utf-8")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.status_code == 409
    assert getattr(response, "xframe_options_exempt", False) is True


def test_frame_s_script_where_static_files_have_no_address(settings: Any) -> None:
    settings.STATIC_URL = None
    response = responses.frame_answer(request(origin="http://evil.example"), {"success": True})
    assert response.content.decode() == '{"success":true}' + SCRIPT


def test_allowed_methods() -> None:
    response = responses.allow(responses.answer({}), ("POST", "PUT"))
    assert response["Allow"] == "POST, PUT, OPTIONS"
