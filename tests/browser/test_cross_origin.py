"""Pages of another origin, with django-cors-headers.

Nothing listens in the browser here: Playwright would then answer the preflights itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete, csrf_token
from browser.uploader import Outcome, hand_written, merge

if TYPE_CHECKING:
    from browser.conftest import NewPerson
    from browser.person import Person
    from browser.uploader import Uploader

TENS = {"chunking": {"enabled": True, "partSize": 10}}
CONCURRENT = {"chunking": {"enabled": True, "partSize": 10, "concurrent": {"enabled": True}}}
RAW = {"request": {"paramsInBody": False, "forceMultipart": False}}
PUT = {"request": {"method": "PUT"}}
MODES = {"simple": {}, "raw": RAW, "put": PUT, "sequential": TENS, "concurrent": CONCURRENT, "chunks, raw": TENS | RAW}

every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def start_with_token(person: Person, *changes: dict[str, Any]) -> Uploader:
    """Open a page on another site, where no cookie goes along; the receiver knows people by a header."""
    api = person.endpoint("tokens")
    uploader = person.open("tokens", origin=person.site.origin(host="localhost"))
    headers = {"X-Token": person.name}
    options = {
        "cors": {"expected": True},
        "request": {"endpoint": api, "customHeaders": headers},
        "deleteFile": {"enabled": True, "endpoint": api, "customHeaders": headers},
        "chunking": {"success": {"endpoint": f"{api}done"}},
        "retry": {"autoAttemptDelay": 0.02},
    }
    uploader.start(merge(options, *changes))
    return uploader


def start_with_cookies(person: Person, *changes: dict[str, Any], alias: str = "default") -> Uploader:
    """Open a page on another port of the same host: another origin, to which cookies go along if asked for."""
    api = person.endpoint(alias, origin=person.site.origin(port=1))
    uploader = person.open()
    options = hand_written(api, csrf_token(uploader.page))
    cors = {
        "cors": {"expected": True, "sendCredentials": True},
        "deleteFile": {"enabled": True},
        "chunking": {"success": {"endpoint": f"{api}done"}},
    }
    uploader.start(merge(options, cors, *changes))
    return uploader


@pytest.fixture
def token_person(new_person: NewPerson) -> Person:
    """Somebody whom the server knows, but whose browser is not logged in."""
    person = new_person(listening=False)
    person.context.clear_cookies()
    return person


@pytest.fixture
def cookie_person(new_person: NewPerson) -> Person:
    """Somebody who is logged in."""
    return new_person(listening=False)


@every_mode
def test_upload_without_cookies_works_from_another_site(token_person: Person, mode: dict[str, Any]) -> None:
    file = make_file(65)
    assert start_with_token(token_person, mode).upload(file) == Outcome(succeeded=[0])
    assert token_person.stored() == complete(file)


@every_mode
def test_upload_with_cookies_works_from_another_origin(cookie_person: Person, mode: dict[str, Any]) -> None:
    file = make_file(65)
    assert start_with_cookies(cookie_person, mode).upload(file) == Outcome(succeeded=[0])
    assert cookie_person.stored() == complete(file)


def test_json_done_is_preflighted_and_works(cookie_person: Person) -> None:
    file = make_file(25)
    uploader = start_with_cookies(cookie_person, TENS, {"chunking": {"success": {"jsonPayload": True}}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert cookie_person.stored() == complete(file)


def test_cookies_are_seen_and_the_exact_origin_is_answered(cookie_person: Person) -> None:
    seen = len(cookie_person.site.records("requests"))
    start_with_cookies(cookie_person, TENS).upload(make_file(25))
    origin = cookie_person.site.url
    records = [record for record in cookie_person.site.records("requests")[seen:] if "origin" in record["headers"]]
    assert {record["method"] for record in records} == {"OPTIONS", "POST"}
    for record in records:
        assert record["answer"]["access-control-allow-origin"] == origin
        assert record["answer"]["access-control-allow-credentials"] == "true"
        assert ("cookie" in record["headers"]) == (record["method"] == "POST")
        assert record["status"] == 200


def test_no_cookie_travels_without_credentials(token_person: Person) -> None:
    seen = len(token_person.site.records("requests"))
    start_with_token(token_person, TENS).upload(make_file(25))
    records = [record for record in token_person.site.records("requests")[seen:] if "origin" in record["headers"]]
    assert any(record["method"] == "OPTIONS" for record in records)
    assert all("cookie" not in record["headers"] for record in records)


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize("start", [start_with_token, start_with_cookies], ids=["token", "cookies"])
def test_delete_works_from_another_origin(new_person: NewPerson, start: Any, method: str) -> None:
    person = new_person(listening=False)
    uploader = start(person, {"deleteFile": {"method": method}})
    uploader.upload(make_file(25))
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert uploader.events_of("delete") == [{"event": "delete", "id": 0, "failed": False, "status": 200}]
    assert person.uploads() == []


def test_session_list_works_without_cookies(token_person: Person) -> None:
    start_with_token(token_person).upload(make_file(25))
    session = {
        "endpoint": token_person.endpoint("tokens") + "session",
        "customHeaders": {"X-Token": token_person.name},
    }
    uploader = start_with_token(token_person, {"session": session})
    uploader.wait_for("session")
    assert [item["name"] for item in uploader.events_of("session")[0]["items"]] == ["numbers.bin"]


def test_session_list_works_with_cookies(cookie_person: Person) -> None:
    start_with_cookies(cookie_person).upload(make_file(25))
    endpoint = cookie_person.endpoint(origin=cookie_person.site.origin(port=1)) + "session"
    uploader = start_with_cookies(cookie_person, {"session": {"endpoint": endpoint}})
    uploader.wait_for("session")
    assert [item["name"] for item in uploader.events_of("session")[0]["items"]] == ["numbers.bin"]


@pytest.mark.parametrize("size", [1001, 3_000_000])
def test_refusal_is_readable_from_another_origin(cookie_person: Person, size: int) -> None:
    uploader = start_with_cookies(cookie_person, alias="limited")
    outcome = uploader.upload(make_file(size, "large.txt"))
    (event,) = uploader.events_of("complete")
    assert (event["status"], event["response"]["code"]) == (413, "file_too_large")
    assert outcome.errors == [event["response"]["error"]]


def test_unknown_token_is_refused_in_words(token_person: Person) -> None:
    uploader = start_with_token(token_person, {"request": {"customHeaders": {"X-Token": "nobody"}}})
    outcome = uploader.upload(make_file(25))
    (event,) = uploader.events_of("complete")
    assert (event["status"], event["response"]["code"]) == (403, "login_required")
    assert outcome.errors == [event["response"]["error"]]


def test_cookies_without_the_csrf_token_are_refused_from_another_origin(cookie_person: Person) -> None:
    uploader = start_with_cookies(cookie_person, {"request": {"customHeaders": {"X-CSRFToken": ""}}})
    uploader.upload(make_file(25))
    (event,) = uploader.events_of("complete")
    assert (event["status"], event["response"]["code"]) == (403, "csrf_failed")
    assert cookie_person.uploads() == []
