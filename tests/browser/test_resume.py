"""Uploads that go on in a new page, as after a crash of the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.uploader import Outcome
from browser.wire import Message, chunk, is_kind

if TYPE_CHECKING:
    from browser.files import File
    from browser.person import Person
    from browser.uploader import Uploader

SEQUENTIAL = {"chunking": {"enabled": True, "partSize": 10}, "resume": {"enabled": True}}
CONCURRENT = {
    "chunking": {"enabled": True, "partSize": 10, "concurrent": {"enabled": True}},
    "resume": {"enabled": True},
}


def done(person: Person) -> dict[str, Any]:
    """Return options for a page that sends the success request."""
    return {"chunking": {"success": {"endpoint": person.endpoint() + "done"}}}


def leave(person: Person, uploader: Uploader, file: File, index: int) -> str:
    """Close the page while this chunk is on its way, and return the upload's uuid."""
    person.wire.hold(chunk(index))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    uuid = uploader.uuid()
    uploader.leave()
    person.wire.drop_held()
    person.wire.messages.clear()
    return uuid


def resumed(messages: list[Message]) -> list[int | None]:
    """Return the indexes of the chunks that were marked as resuming."""
    return [message.index for message in messages if "qqresume" in message]


@pytest.mark.parametrize("with_done", [False, True], ids=["without done", "with done"])
def test_sequential_upload_resumes_where_it_was_left(person: Person, with_done: bool) -> None:
    file = make_file(65)
    success = done(person) if with_done else {}
    uuid = leave(person, person.start("default", SEQUENTIAL, success), file, 3)
    uploader = person.start("default", SEQUENTIAL, success)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.uuid() == uuid
    assert person.wire.indexes == [3, 4, 5, 6]
    assert resumed(person.wire.messages) == [3]
    assert person.stored() == complete(file)
    assert person.site.signals(uuid).count("upload_completed") == 1


@pytest.mark.parametrize("with_done", [False, True], ids=["without done", "with done"])
def test_concurrent_upload_resumes_with_all_that_was_missing(person: Person, with_done: bool) -> None:
    file = make_file(65)
    success = done(person) if with_done else {}
    uuid = leave(person, person.start("default", CONCURRENT, success), file, 4)
    uploader = person.start("default", CONCURRENT, success)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.uuid() == uuid
    assert 4 in resumed(person.wire.messages)
    assert len(person.wire.indexes) <= 5
    assert person.stored() == complete(file)
    assert person.site.signals(uuid).count("upload_completed") == 1


def test_generated_options_resume(person: Person) -> None:
    file = make_file(65)
    tens = {"chunking": {"partSize": 10}}
    uuid = leave(person, person.start_generated("default", tens), file, 4)
    uploader = person.start_generated("default", tens)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.uuid() == uuid
    assert resumed(person.wire.messages)
    assert person.stored() == complete(file)


def test_two_missing_chunks_that_are_not_neighbours_are_filled_in(person: Person) -> None:
    """After a concurrent session the remaining indexes may be, say, 1 and 4."""
    file = make_file(65)
    uploader = person.start("default", CONCURRENT, done(person))
    person.wire.hold(lambda message: message.index in (1, 4), times=2)
    uploader.add(file)
    person.wire.wait_for_held(uploader.page, 2)
    uploader.wait_for("chunk", 5)
    uploader.leave()
    person.wire.drop_held()
    person.wire.messages.clear()
    uploader = person.start("default", CONCURRENT, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert sorted(person.wire.kinds) == ["1", "4", "done"]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("mode", [SEQUENTIAL, CONCURRENT], ids=["sequential", "concurrent"])
def test_upload_whose_done_was_never_sent_resumes_with_done_alone(person: Person, mode: dict[str, Any]) -> None:
    file = make_file(35)
    uploader = person.start("default", mode, done(person))
    person.wire.hold(is_kind("done"))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    uploader.leave()
    person.wire.drop_held()
    person.wire.messages.clear()
    uploader = person.start("default", mode, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["done"]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_chunk_that_arrived_although_the_page_was_closed_is_not_doubled(person: Person) -> None:
    """The record in the browser is older than what the server has."""
    file = make_file(45)
    uploader = person.start("default", SEQUENTIAL, done(person))
    person.wire.lose_answer(chunk(2))
    uploader.upload(file)
    uploader.leave()
    person.wire.messages.clear()
    uploader = person.start("default", SEQUENTIAL, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.indexes == [2, 3, 4]
    assert person.stored() == complete(file)


def test_resume_that_the_page_declines_starts_again_under_the_same_uuid(person: Person) -> None:
    file = make_file(45)
    uuid = leave(person, person.start("default", SEQUENTIAL, done(person)), file, 2)
    tweak = "options => { options.callbacks = {onResume: () => false}; return options; }"
    uploader = person.start("default", SEQUENTIAL, done(person), tweak=tweak)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert (uploader.uuid(), person.wire.indexes) == (uuid, [0, 1, 2, 3, 4])
    assert person.stored() == complete(file)


@pytest.mark.parametrize("mode", [SEQUENTIAL, CONCURRENT], ids=["sequential", "concurrent"])
def test_two_tabs_with_one_file_share_the_upload_and_both_succeed(person: Person, mode: dict[str, Any]) -> None:
    """The second tab resumes the first one's live upload: same uuid, same chunks, from both."""
    file = make_file(65)
    first = person.start("default", mode, done(person))
    person.wire.hold(chunk(3))
    first.add(file)
    person.wire.wait_for_held(first.page)
    second = person.start("default", mode, done(person))
    assert second.upload(file) == Outcome(succeeded=[0])
    person.wire.release()
    assert first.finish() == Outcome(succeeded=[0])
    assert first.uuid() == second.uuid()
    assert first.answer() == second.answer()
    assert person.stored() == complete(file)
    assert person.site.signals(first.uuid()).count("upload_completed") == 1


def test_upload_goes_on_after_the_login_has_ended_and_begun_again(person: Person) -> None:
    file = make_file(45)
    uploader = person.start("default", SEQUENTIAL, done(person))
    person.wire.before(chunk(2), lambda message: person.log_out())
    assert uploader.upload(file).failed == [0]
    assert uploader.events_of("complete")[0]["status"] == 403
    person.log_in()
    fresh = person.start("default", SEQUENTIAL, done(person))
    person.wire.messages.clear()
    assert fresh.upload(file) == Outcome(succeeded=[0])
    assert person.wire.indexes == [2, 3, 4]
    assert person.stored() == complete(file)
