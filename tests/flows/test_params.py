"""Custom parameters end up in ``UploadSession.params``, whichever of their three encodings brought them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from django.test import Client

from fakeuploader import UNDEFINED, BrowserFile
from flowtools import ENCODINGS, FORM_CSRF, answered, chunker, finisher, pattern, refused, row, uploader

NESTED: Mapping[str, Any] = {
    "album": "holiday",
    "nested": {"b": {"c": "d e"}, "n": "1"},
    "arr": ["1", "two"],
    "text": "a, b & c=d",
    "uni": "ä€😀",
    "null": None,
    "missing": UNDEFINED,
    "yes": True,
    "number": 1.5,
    "empty": "",
}
AS_TEXT = {
    "album": "holiday",
    "nested": {"b": {"c": "d e"}, "n": "1"},
    "text": "a, b & c=d",
    "uni": "ä€😀",
    "null": "null",
    "yes": "true",
    "number": "1.5",
    "empty": "",
}


def test_params_of_a_body(client: Client) -> None:
    """The client joins arrays with commas there, so they cannot be told from text."""
    page = uploader(client, params=NESTED)
    upload = page.add(b"x")
    assert page.upload(upload).success
    assert row(upload.uuid).params == {**AS_TEXT, "arr": "1,two", "missing": "undefined"}


@pytest.mark.parametrize("encoding", ["query", "raw"])
def test_params_of_a_query(client: Client, encoding: str) -> None:
    page = uploader(client, params=NESTED, **ENCODINGS[encoding])
    upload = page.add(b"x")
    assert page.upload(upload).success
    assert row(upload.uuid).params == {**AS_TEXT, "arr": ["1", "two"], "missing": "undefined"}


def test_params_of_a_json_success_request_keep_their_types(client: Client) -> None:
    """``JSON.stringify`` leaves undefined out; what the chunks brought under that name stays."""
    page = finisher(client, params=NESTED, success_json=True)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    typed = {key: value for key, value in NESTED.items() if value is not UNDEFINED}
    assert row(upload.uuid).params == {**typed, "missing": "undefined"}


def test_last_request_wins_per_key(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25), params={"first": "1", "both": "chunk"})
    for index in (0, 1):
        page.send(page.chunk_request(upload, index))
    upload.params = {"both": "late", "last": "2"}
    page.send(page.chunk_request(upload, 2))
    upload.params = {"both": "done"}
    assert page.done(upload).success
    assert row(upload.uuid).params["first"] == "1"
    assert row(upload.uuid).params["last"] == "2"
    assert row(upload.uuid).params["both"] in ("late", "done")


def test_own_names_of_the_client_and_tokens_are_not_params(client: Client) -> None:
    page = finisher(client, params={**FORM_CSRF, "qqpartindex": "9", "keep": "1"})
    upload = page.add(pattern(25))
    assert page.upload(page.resume(upload)).success
    assert row(upload.uuid).params == {"keep": "1"}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_folder_and_parent_are_kept_as_data(client: Client, encoding: Mapping[str, Any]) -> None:
    """The parent arrives after its children, or never: nothing may require it."""
    page = uploader(client, **encoding)
    child, _ = page.add_scaled(BrowserFile(b"large", "pic.png"), {"tiny": BrowserFile(b"s", None, "image/png")})
    child.read_only = {**child.read_only, "qqpath": "top/sub/"}
    assert page.upload(child).success
    stored = row(child.uuid)
    assert stored.filename == "pic (tiny).png"
    assert stored.params == {
        "qqparentuuid": child.read_only["qqparentuuid"],
        "qqparentsize": "5",
        "qqpath": "top/sub/",
    }


def test_hostile_folder_is_only_data(client: Client) -> None:
    page = uploader(client)
    upload = page.add(b"x", path="../../../etc/")
    assert page.upload(upload).success
    stored = row(upload.uuid)
    assert stored.params == {"qqpath": "../../../etc/"}
    assert "etc" not in stored.file


def test_scaled_images_and_their_original_are_all_stored(client: Client) -> None:
    page = finisher(client)
    scaled = {"tiny": BrowserFile(b"t", None), "medium": BrowserFile(pattern(25), None)}
    uploads = page.add_scaled(BrowserFile(pattern(45), "pic.png", "image/png"), scaled)
    assert [page.upload(upload).success for upload in uploads] == [True] * 3
    parents = [row(upload.uuid).params.get("qqparentuuid") for upload in uploads]
    assert parents == [uploads[-1].uuid, uploads[-1].uuid, None]


def test_functions_dates_and_empty_objects_do_no_harm(client: Client) -> None:
    """In a query the last two leave an empty segment: ``a=1&&b=2``."""
    moment = datetime(2021, 1, 2, tzinfo=timezone.utc)
    params = {"made": lambda: "by a call", "when": moment, "nothing": {}, "last": "1"}
    page = uploader(client, params=params, params_in_body=False)
    upload = page.add(b"x")
    assert page.upload(upload).success
    assert row(upload.uuid).params == {"made": "by a call", "last": "1"}


@pytest.mark.parametrize("name", ["a]b", "a[", "a[b", "[x]", "a[b]c", "a[0][", "__proto__[x]"])
def test_odd_bracket_names_are_stored_and_break_nothing(client: Client, name: str) -> None:
    page = uploader(client, params={name: "odd", "plain": "1"})
    upload = page.add(b"x")
    assert page.upload(upload).success
    assert row(upload.uuid).params["plain"] == "1"
    assert "odd" in str(row(upload.uuid).params)


def test_name_that_is_both_a_text_and_a_branch_breaks_nothing(client: Client) -> None:
    page = uploader(client, params={"a": "text", "a[b]": "branch"})
    upload = page.add(b"x")
    assert page.upload(upload).success


@pytest.mark.parametrize("value", ["a\x00b", "a\ud800b"], ids=["NUL", "lone surrogate"])
def test_characters_that_some_databases_refuse_are_replaced(client: Client, value: str) -> None:
    page = finisher(client, params={"odd": value}, success_json=True)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert row(upload.uuid).params == {"odd": "a\ufffdb"}


def test_json_numbers_that_some_databases_refuse_do_no_harm(client: Client) -> None:
    page = finisher(client)
    upload = page.add(pattern(25))
    for index in range(3):
        page.send(page.chunk_request(upload, index))
    request = page.done_request(upload).with_header("Content-Type", "application/json")
    body = '{{"qquuid": "{}", "nan": NaN, "inf": -Infinity, "big": 1{}}}'.format(upload.uuid, "0" * 400)
    assert page.send(request.with_body(body.encode())).status in (200, 400)
    assert row(upload.uuid).state == "complete"


def test_nesting_without_end_is_refused(client: Client) -> None:
    page = uploader(client)
    upload = page.add(b"x", params={"a" + "[b]" * 100: "deep"})
    answer = answered(page.send(page.simple_request(upload)))
    assert answer == refused(400, "bad_parameter", preventRetry=True)


def test_form_fields_of_an_attached_form_are_params(client: Client) -> None:
    page = chunker(client, form_fields={"title": "From the form", **FORM_CSRF}, custom_headers={})
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert row(upload.uuid).params == {"title": "From the form"}
