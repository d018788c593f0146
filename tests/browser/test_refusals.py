"""What the server refuses, and what the person at the page gets to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import File, make_file
from browser.person import complete
from browser.uploader import Outcome

if TYPE_CHECKING:
    from browser.conftest import NewPerson
    from browser.person import Person
    from browser.uploader import Uploader

TENS = {"chunking": {"enabled": True, "partSize": 500}}
CONCURRENT = {"chunking": {"enabled": True, "partSize": 500, "concurrent": {"enabled": True}}}
RAW = {"request": {"paramsInBody": False, "forceMultipart": False}}
RETRY = {"retry": {"enableAuto": True, "autoAttemptDelay": 0.02}}
LARGE = 3_000_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


def assert_refused(uploader: Uploader, outcome: Outcome, *, status: int, code: str) -> None:
    """The person reads the server's text, and the program finds the code and the status."""
    event = uploader.events_of("complete")[-1]
    assert (event["status"], event["response"]["code"]) == (status, code)
    assert outcome.succeeded == []
    assert outcome.errors[-1] == event["response"]["error"]
    assert outcome.errors[-1].strip()


@pytest.mark.parametrize("mode", [{}, RAW], ids=["multipart", "raw"])
def test_refused_extension_is_told_in_words_and_not_retried(person: Person, mode: dict[str, Any]) -> None:
    uploader = person.start("limited", mode, RETRY)
    outcome = uploader.upload(make_file(25, "program.exe"))
    assert_refused(uploader, outcome, status=415, code="extension_not_allowed")
    assert uploader.answer()["preventRetry"] is True
    assert not uploader.call("retry", 0)
    assert len(person.wire.messages) == 1
    assert person.site_is_clean()


@pytest.mark.parametrize("mode", [{}, TENS, CONCURRENT], ids=["simple", "sequential", "concurrent"])
def test_refused_type_is_found_in_the_bytes(person: Person, mode: dict[str, Any]) -> None:
    """The name and the type that the browser gives say PNG. A concurrent client shows status 0 for any failed chunk."""
    uploader = person.start("pictures", mode)
    outcome = uploader.upload(File(name="picture.png", content=b"<html>" + make_file(1200).content, type="image/png"))
    assert_refused(uploader, outcome, status=0 if mode is CONCURRENT else 415, code="type_not_allowed")
    assert person.site_is_clean()


def test_allowed_type_passes(person: Person) -> None:
    file = File(name="picture.png", content=PNG, type="image/png")
    assert person.start("pictures").upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_file_at_the_size_limit_passes(person: Person) -> None:
    file = make_file(1000, "fits.txt")
    assert person.start("limited").upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


@pytest.mark.parametrize("mode", [{}, RAW], ids=["multipart", "raw"])
@pytest.mark.parametrize("size", [1001, LARGE])
def test_oversize_file_is_told_in_words_and_leaves_nothing(person: Person, mode: dict[str, Any], size: int) -> None:
    """A server that closes while the body still comes shows the person "response code 0"."""
    uploader = person.start("limited", mode, RETRY)
    outcome = uploader.upload(make_file(size, "large.txt"))
    assert_refused(uploader, outcome, status=413, code="file_too_large")
    assert len(person.wire.messages) == 1
    assert person.site_is_clean()


@pytest.mark.parametrize("mode", [TENS, CONCURRENT], ids=["sequential", "concurrent"])
def test_oversize_chunked_file_is_told_in_words_and_leaves_nothing(person: Person, mode: dict[str, Any]) -> None:
    uploader = person.start("limited", mode, RETRY)
    outcome = uploader.upload(make_file(2100, "large.txt"))
    assert outcome.succeeded == []
    assert outcome.errors[-1] == uploader.answer()["error"]
    assert uploader.answer()["code"] == "file_too_large"
    assert person.site_is_clean()


def test_refusal_of_one_file_leaves_the_others_alone(person: Person) -> None:
    good, bad = make_file(100, "good.txt"), make_file(1001, "bad.txt")
    outcome = person.start("limited").upload(bad, good)
    assert (outcome.succeeded, outcome.failed) == ([1], [0])
    assert person.stored() == complete(good)


@pytest.mark.parametrize("size", [25, LARGE])
@pytest.mark.parametrize("mode", [{}, RAW], ids=["multipart", "raw"])
def test_logged_out_person_reads_so_and_is_not_redirected(
    new_person: NewPerson, mode: dict[str, Any], size: int
) -> None:
    person = new_person(logged_in=False)
    uploader = person.start("default", mode)
    outcome = uploader.upload(make_file(size))
    assert_refused(uploader, outcome, status=403, code="login_required")
    assert len(person.wire.messages) == 1
    assert person.site_is_clean()


@pytest.mark.parametrize("size", [25, LARGE])
@pytest.mark.parametrize("mode", [{}, RAW, TENS], ids=["multipart", "raw", "chunked"])
def test_missing_csrf_token_is_refused_in_words(person: Person, mode: dict[str, Any], size: int) -> None:
    uploader = person.start("default", mode, {"chunking": {"partSize": 1_000_000}}, without_token())
    outcome = uploader.upload(make_file(size))
    assert_refused(uploader, outcome, status=403, code="csrf_failed")
    assert person.site_is_clean()


def without_token() -> dict[str, Any]:
    """Return changes that take the CSRF header out of the options."""
    return {"request": {"customHeaders": {"X-CSRFToken": ""}}}


def test_wrong_csrf_token_is_refused(person: Person) -> None:
    uploader = person.start("default", {"request": {"customHeaders": {"X-CSRFToken": "x" * 64}}})
    outcome = uploader.upload(make_file(25))
    assert_refused(uploader, outcome, status=403, code="csrf_failed")


@pytest.mark.parametrize("mode", [{}, TENS], ids=["simple", "chunked"])
def test_csrf_token_as_a_form_field_is_enough(person: Person, mode: dict[str, Any]) -> None:
    file = make_file(1200)
    tweak = "options => { options.request.params = {csrfmiddlewaretoken: csrfToken}; return options; }"
    uploader = person.start("default", mode, without_token(), tweak=tweak)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)
    assert person.upload()["params"] == {}


def test_csrf_token_in_the_query_is_not_enough(person: Person) -> None:
    """A query is logged and sent on as a referrer; Django does not read tokens from it either."""
    tweak = "options => { options.request.params = {csrfmiddlewaretoken: csrfToken}; return options; }"
    uploader = person.start("default", RAW, without_token(), tweak=tweak)
    outcome = uploader.upload(make_file(25))
    assert_refused(uploader, outcome, status=403, code="csrf_failed")


def test_done_without_the_csrf_token_is_refused_in_words(person: Person) -> None:
    tweak = "options => { options.chunking.success.headers = () => ({A: 'b'}); return options; }"
    success = {"chunking": {"enabled": True, "partSize": 10, "success": {"endpoint": person.endpoint() + "done"}}}
    uploader = person.start("default", success, tweak=tweak)
    outcome = uploader.upload(make_file(25))
    assert_refused(uploader, outcome, status=403, code="csrf_failed")


def test_visitor_without_a_session_is_told_so(new_person: NewPerson) -> None:
    """A hand-written page that never asked for a session: three parallel chunks would make three owners."""
    person = new_person(logged_in=False)
    uploader = person.start("anonymous")
    outcome = uploader.upload(make_file(25))
    assert_refused(uploader, outcome, status=403, code="no_session")


@pytest.mark.parametrize("uuid", ["..", "../../etc", "not-a-uuid", "a/b", "?x=1"])
def test_uuid_that_is_none_is_refused(person: Person, uuid: str) -> None:
    uploader = person.start("default", {"autoUpload": False})
    uploader.add(make_file(25))
    uploader.call("setUuid", 0, uuid)
    uploader.call("uploadStoredFiles")
    assert_refused(uploader, uploader.finish(), status=400, code="bad_uuid")
    assert person.site_is_clean()


def test_uuid_of_someone_else_is_a_new_upload_and_touches_nothing(new_person: NewPerson) -> None:
    victim, intruder = new_person(), new_person()
    hers, his = make_file(25, "hers.bin", seed=1), make_file(45, "his.bin", seed=2)
    uploader = victim.start()
    uploader.upload(hers)
    other = intruder.start("default", {"autoUpload": False})
    other.add(his)
    other.call("setUuid", 0, uploader.uuid())
    other.call("uploadStoredFiles")
    assert other.finish() == Outcome(succeeded=[0])
    assert victim.stored() == complete(hers)
    assert intruder.stored() == complete(his)


def test_get_of_the_upload_route_is_405_in_json(person: Person) -> None:
    """A redirect turns a POST into a GET, and a GET that says success is a lost file."""
    uploader = person.open()
    for suffix in ("", "/"):
        answer = uploader.page.request.get(person.endpoint() + suffix, max_redirects=0)
        assert (answer.status, answer.json()["success"], answer.json()["code"]) == (405, False, "method_not_allowed")
