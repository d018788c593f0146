"""Deleting what was uploaded, and the list of what is there when a page opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.wire import chunk

if TYPE_CHECKING:
    from browser.conftest import NewPerson
    from browser.person import Person

DELETE = {"deleteFile": {"enabled": True, "method": "DELETE"}}
POST = {"deleteFile": {"enabled": True, "method": "POST"}}
TENS = {"chunking": {"enabled": True, "partSize": 10}}

every_method = pytest.mark.parametrize("method", [DELETE, POST], ids=["DELETE", "POST"])


def session(person: Person, suffix: str = "") -> dict[str, Any]:
    """Return options for a page that asks for the initial list."""
    return {"session": {"endpoint": f"{person.endpoint()}session{suffix}"}}


@every_method
def test_click_on_delete_removes_row_and_file(person: Person, method: dict[str, Any]) -> None:
    uploader = person.start("default", method, ui=True)
    uploader.upload(make_file(25))
    uploader.page.locator(".qq-upload-delete").click()
    uploader.wait_for("delete")
    assert uploader.events_of("delete") == [{"event": "delete", "id": 0, "failed": False, "status": 200}]
    assert uploader.page.locator(".qq-upload-list li").count() == 0
    assert person.site_is_clean()


@every_method
def test_delete_is_signalled_once_however_often_it_is_asked_for(person: Person, method: dict[str, Any]) -> None:
    uploader = person.start("default", method)
    uploader.upload(make_file(25))
    for count in (1, 2):
        uploader.call("deleteFile", 0)
        uploader.wait_for("delete", count)
    assert [event["failed"] for event in uploader.events_of("delete")] == [False, False]
    assert person.site.signals(uploader.uuid()).count("upload_deleted") == 1


@pytest.mark.parametrize(("endpoint", "slashes"), [("/uploads", 2), ("/uploads/", 3)])
def test_delete_works_however_the_endpoint_ends(person: Person, endpoint: str, slashes: int) -> None:
    """The client glues "/" and the uuid to whatever the page gave."""
    uploader = person.start("default", DELETE, {"deleteFile": {"endpoint": endpoint}})
    uploader.upload(make_file(25))
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert person.wire.messages[-1].path.count("/") == slashes
    assert uploader.events_of("delete")[0]["failed"] is False
    assert person.site_is_clean()


@every_method
def test_delete_of_a_failed_upload_drops_its_chunks(person: Person, method: dict[str, Any]) -> None:
    uploader = person.start("default", TENS, method)
    person.wire.fail(chunk(3))
    assert uploader.upload(make_file(45)).failed == [0]
    assert [upload["state"] for upload in person.uploads()] == ["receiving"]
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert uploader.events_of("delete")[0]["failed"] is False
    assert person.site_is_clean()


@every_method
def test_delete_without_the_csrf_token_changes_nothing(person: Person, method: dict[str, Any]) -> None:
    file = make_file(25)
    uploader = person.start("default", method, {"deleteFile": {"customHeaders": {"X-CSRFToken": ""}}})
    uploader.upload(file)
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert uploader.events_of("delete") == [{"event": "delete", "id": 0, "failed": True, "status": 403}]
    assert person.stored() == complete(file)


def test_post_delete_accepts_the_token_as_a_form_field(person: Person) -> None:
    tweak = """options => {
        options.deleteFile.customHeaders = {};
        options.deleteFile.params = {csrfmiddlewaretoken: csrfToken};
        return options;
    }"""
    uploader = person.start("default", POST, tweak=tweak)
    uploader.upload(make_file(25))
    uploader.call("deleteFile", 0)
    uploader.wait_for("delete")
    assert uploader.events_of("delete")[0]["failed"] is False
    assert person.site_is_clean()


@every_method
def test_delete_of_someone_elses_upload_answers_200_and_changes_nothing(
    new_person: NewPerson, method: dict[str, Any]
) -> None:
    victim, intruder = new_person(), new_person()
    file = make_file(25)
    hers = victim.start()
    hers.upload(file)
    his = intruder.start("default", method)
    his.upload(make_file(10, "decoy.bin"))
    his.call("setUuid", 0, hers.uuid())
    his.call("deleteFile", 0)
    his.wait_for("delete")
    assert his.events_of("delete")[0]["failed"] is False
    assert victim.stored() == complete(file)


@pytest.mark.parametrize("suffix", ["", "/"])
def test_page_that_opens_lists_the_owners_complete_uploads(new_person: NewPerson, suffix: str) -> None:
    person, other = new_person(), new_person()
    files = [make_file(25, "one.bin", seed=1), make_file(45, "two.bin", seed=2)]
    person.start().upload(*files)
    other.start().upload(make_file(10, "not-hers.bin"))
    unfinished = person.start("default", TENS)
    person.wire.fail(chunk(2))
    unfinished.upload(make_file(35, "unfinished.bin"))
    uploader = person.start("default", session(person, suffix))
    uploader.wait_for("session")
    (listed,) = uploader.events_of("session")
    assert (listed["success"], listed["status"]) == (True, 200)
    assert sorted((item["name"], item["size"]) for item in listed["items"]) == [("one.bin", 25), ("two.bin", 45)]
    assert all(uploader.call("getUploads", {"uuid": item["uuid"]}) for item in listed["items"])


def test_empty_list_is_a_success(person: Person) -> None:
    uploader = person.start("default", session(person))
    uploader.wait_for("session")
    assert uploader.events_of("session") == [{"event": "session", "items": [], "success": True, "status": 200}]


@every_method
def test_listed_file_can_be_deleted_by_a_click(person: Person, method: dict[str, Any]) -> None:
    person.start().upload(make_file(25))
    uploader = person.start("default", method, session(person), ui=True)
    uploader.wait_for("session")
    uploader.page.locator(".qq-upload-delete").click()
    uploader.wait_for("delete")
    assert uploader.events_of("delete")[0]["failed"] is False
    assert person.site_is_clean()


def test_generated_options_list_and_delete(person: Person) -> None:
    file = make_file(25)
    person.start().upload(file)
    uploader = person.start_generated(ui=True)
    uploader.wait_for("session")
    assert [item["name"] for item in uploader.events_of("session")[0]["items"]] == [file.name]
    uploader.page.locator(".qq-upload-delete").click()
    uploader.wait_for("delete")
    assert uploader.events_of("delete")[0]["failed"] is False
    assert person.site_is_clean()


def test_list_of_a_logged_out_visitor_is_refused_without_a_redirect(new_person: NewPerson) -> None:
    person = new_person(logged_in=False)
    uploader = person.start("default", session(person))
    uploader.wait_for("session")
    (listed,) = uploader.events_of("session")
    assert (listed["success"], listed["status"]) == (False, 403)
