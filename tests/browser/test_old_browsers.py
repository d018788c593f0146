"""Browsers without the File API: a form is sent from a frame, and the answer is read out of that frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete, csrf_token
from browser.uploader import Outcome, merge

if TYPE_CHECKING:
    from browser.conftest import NewPerson
    from browser.files import File
    from browser.person import Person
    from browser.uploader import Uploader

CROSS_ORIGIN = pytest.mark.parametrize("cross_origin", [False, True], ids=["same origin", "another origin"])


@pytest.fixture
def old_person(new_person: NewPerson) -> Person:
    """Somebody who is logged in; the wire is left alone."""
    return new_person(listening=False)


def start(person: Person, *changes: dict[str, Any], alias: str = "default", cross_origin: bool = False) -> Uploader:
    """Open a page whose client believes that the browser is an old one."""
    uploader = person.open()
    uploader.page.evaluate("qq.supportedFeatures.ajaxUploading = qq.supportedFeatures.chunking = false")
    api = person.endpoint(alias, origin=person.site.origin(port=1) if cross_origin else None)
    params = {"csrfmiddlewaretoken": csrf_token(uploader.page)}
    options = {"request": {"endpoint": api, "params": params}, "cors": {"expected": cross_origin}}
    uploader.start(merge(options, *changes))
    return uploader


def pick(uploader: Uploader, file: File) -> Outcome:
    """Choose a file in the picker, the only way in for an old browser."""
    picked = {"name": file.name, "mimeType": file.type, "buffer": file.content}
    uploader.page.locator("#button input[type=file]").set_input_files(picked)  # type: ignore[arg-type]
    return uploader.finish()


@CROSS_ORIGIN
def test_form_upload_is_stored_and_its_answer_read_from_the_frame(old_person: Person, cross_origin: bool) -> None:
    file = make_file(1000)
    uploader = start(old_person, cross_origin=cross_origin)
    assert pick(uploader, file) == Outcome(succeeded=[0])
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}
    assert old_person.stored() == complete(file)


@CROSS_ORIGIN
def test_form_upload_keeps_its_parameters_and_a_hostile_name(old_person: Person, cross_origin: bool) -> None:
    file = make_file(1000, "a&b <i>'x'<i> Größe.bin")
    uploader = start(old_person, {"request": {"params": {"album": {"title": "Été"}}}}, cross_origin=cross_origin)
    assert pick(uploader, file) == Outcome(succeeded=[0])
    assert old_person.stored() == complete(file)
    assert old_person.upload()["params"] == {"album": {"title": "Été"}}


@CROSS_ORIGIN
@pytest.mark.parametrize("size", [1001, 3_000_000])
def test_refused_form_upload_is_told_in_words(old_person: Person, cross_origin: bool, size: int) -> None:
    uploader = start(old_person, alias="limited", cross_origin=cross_origin)
    outcome = pick(uploader, make_file(size, "large.txt"))
    assert outcome.failed == [0]
    assert outcome.errors == [uploader.answer()["error"]]
    assert uploader.answer()["code"] == "file_too_large"
    assert old_person.site_is_clean()


@CROSS_ORIGIN
def test_form_upload_of_a_logged_out_visitor_is_told_in_words(new_person: NewPerson, cross_origin: bool) -> None:
    person = new_person(logged_in=False, listening=False)
    uploader = start(person, cross_origin=cross_origin)
    outcome = pick(uploader, make_file(25))
    assert outcome.errors == [uploader.answer()["error"]]
    assert uploader.answer()["code"] == "login_required"


@CROSS_ORIGIN
def test_form_upload_without_the_token_is_told_in_words(old_person: Person, cross_origin: bool) -> None:
    changes = {"request": {"params": {"csrfmiddlewaretoken": ""}}}
    uploader = start(old_person, changes, cross_origin=cross_origin)
    outcome = pick(uploader, make_file(25))
    assert outcome.errors == [uploader.answer()["error"]]
    assert uploader.answer()["code"] == "csrf_failed"
    assert old_person.site_is_clean()


def test_empty_form_upload_is_stored(old_person: Person) -> None:
    file = make_file(0)
    assert pick(start(old_person, {"validation": {"allowEmpty": True}}), file) == Outcome(succeeded=[0])
    assert old_person.stored() == complete(file)
