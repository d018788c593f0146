"""Files that travel in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.uploader import Outcome
from browser.wire import chunk, is_kind

if TYPE_CHECKING:
    from browser.person import Person

TENS = {"chunking": {"enabled": True, "partSize": 10}}
CONCURRENT = {"chunking": {"enabled": True, "partSize": 10, "concurrent": {"enabled": True}}}
RETRY = {"retry": {"enableAuto": True}}
RAW = {"request": {"paramsInBody": False, "forceMultipart": False}}
IN_QUERY = {"request": {"paramsInBody": False, "forceMultipart": True}}


def done(person: Person, alias: str = "default", **more: Any) -> dict[str, Any]:
    """Return options for a page that sends the success request."""
    return {"chunking": {"success": {"endpoint": person.endpoint(alias) + "done", **more}}}


def test_without_done_the_last_chunk_completes_the_upload(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["0", "1", "2"]
    assert person.stored() == complete(file)
    assert [event["response"]["complete"] for event in uploader.events_of("chunk")] == [False, False, True]
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}


def test_with_done_the_upload_is_complete_when_done_is_answered(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["0", "1", "2", "done"]
    assert person.stored() == complete(file)
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


@pytest.mark.parametrize(("size", "kinds"), [(20, ["0", "1", "done"]), (10, ["upload"]), (11, ["0", "1", "done"])])
def test_size_at_the_edge_of_the_part_size_is_stored(person: Person, size: int, kinds: list[str]) -> None:
    file = make_file(size)
    assert person.start("default", TENS, done(person)).upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == kinds
    assert person.stored() == complete(file)


def test_mandatory_chunking_of_a_small_file_is_one_chunk_and_done(person: Person) -> None:
    file = make_file(4)
    uploader = person.start("default", TENS, {"chunking": {"mandatory": True}}, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["0", "done"]
    assert person.stored() == complete(file)


def test_mandatory_chunking_without_done_completes_with_the_only_chunk(person: Person) -> None:
    file = make_file(4)
    uploader = person.start("default", TENS, {"chunking": {"mandatory": True}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["0"]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("json_payload", [False, True], ids=["form", "json"])
@pytest.mark.parametrize("mode", [TENS, CONCURRENT], ids=["sequential", "concurrent"])
def test_empty_mandatory_file_is_only_a_done_request(person: Person, mode: dict[str, Any], json_payload: bool) -> None:
    file = make_file(0)
    options = {"chunking": {"mandatory": True}, "validation": {"allowEmpty": True}}
    uploader = person.start("default", mode, options, done(person, jsonPayload=json_payload))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["done"]
    assert person.stored() == complete(file)


def test_empty_mandatory_file_without_done_sends_nothing_and_stores_nothing(person: Person) -> None:
    """The client's own gap, which the docs name: if it starts to send something, the docs must change."""
    options = {"chunking": {"mandatory": True}, "validation": {"allowEmpty": True}}
    assert person.start("default", TENS, options).upload(make_file(0)) == Outcome(succeeded=[0])
    assert person.wire.kinds == []
    assert person.uploads() == []


@pytest.mark.parametrize("encoding", [{}, IN_QUERY, RAW], ids=["multipart", "query", "raw"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_chunks_in_every_encoding_and_method_are_stored(person: Person, encoding: dict[str, Any], method: str) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS, encoding, {"request": {"method": method}}, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert [message.method for message in person.wire.of_kind("chunk")] == [method] * 3
    assert person.stored() == complete(file)


@pytest.mark.parametrize("json_payload", [False, True], ids=["form", "json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_done_in_every_encoding_and_method_is_answered(person: Person, method: str, json_payload: bool) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS, done(person, method=method, jsonPayload=json_payload))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert [message.method for message in person.wire.of_kind("done")] == [method]
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}
    assert person.stored() == complete(file)


def test_concurrent_chunks_start_in_descending_order_and_complete_once(person: Person) -> None:
    file = make_file(65)
    uploader = person.start("default", CONCURRENT, done(person))
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.sending[:3] == [2, 1, 0]
    assert sorted(person.wire.kinds) == ["0", "1", "2", "3", "4", "5", "6", "done"]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_concurrent_chunks_of_the_generated_options_are_stored(person: Person) -> None:
    file = make_file(65)
    uploader = person.start_generated("default", {"chunking": {"partSize": 10}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.sending[:3] == [2, 1, 0]
    assert person.wire.kinds.count("done") == 1
    assert person.stored() == complete(file)


@pytest.mark.parametrize("alias", ["default", "without_done"])
@pytest.mark.parametrize("size", [25, 65])
def test_fresh_concurrent_page_without_done_is_never_reset(person: Person, alias: str, size: int) -> None:
    """The highest index arrives first: it is neither the end of the file nor a chunk of a lost upload."""
    file = make_file(size)
    uploader = person.start(alias, CONCURRENT)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.sending[:3] == [2, 1, 0]
    assert len(person.wire.messages) == -(-size // 10)
    assert person.stored() == complete(file)


@pytest.mark.parametrize("alias", ["default", "without_done"])
def test_highest_index_alone_does_not_complete_the_upload(person: Person, alias: str) -> None:
    """All but chunk 0 are stored while chunk 0 is on its way."""
    file = make_file(65)
    uploader = person.start(alias, CONCURRENT)
    person.wire.hold(chunk(0))
    uploader.add(file)
    uploader.wait_for("chunk", 6)
    assert person.stored() == [(file.name, "receiving", None)]
    person.wire.release()
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_concurrent_files_wait_for_each_other_and_are_both_stored(person: Person) -> None:
    files = [make_file(65, "first.bin", seed=1), make_file(55, "second.bin", seed=2)]
    assert person.start("default", CONCURRENT, done(person)).upload(*files) == Outcome(succeeded=[0, 1])
    assert person.stored() == complete(*files)


def test_six_chunked_files_at_once_are_stored_and_none_is_mixed_up(person: Person) -> None:
    files = [make_file(45 + seed, f"{seed}.bin", seed=seed) for seed in range(6)]
    assert person.start("default", TENS, done(person)).upload(*files) == Outcome(succeeded=[0, 1, 2, 3, 4, 5])
    assert person.stored() == complete(*files)


@pytest.mark.parametrize("alias", ["default", "objects"])
@pytest.mark.parametrize("mode", [TENS, CONCURRENT], ids=["sequential", "concurrent"])
def test_either_backend_stores_the_file(person: Person, alias: str, mode: dict[str, Any]) -> None:
    file = make_file(95)
    assert person.start(alias, mode, done(person, alias)).upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_chunk_that_fails_once_is_the_only_one_repeated(person: Person) -> None:
    file = make_file(35)
    uploader = person.start("default", TENS, RETRY, done(person))
    person.wire.fail(chunk(2))
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["0", "1", "2", "2", "3", "done"]
    assert person.stored() == complete(file)


def test_chunk_whose_answer_was_lost_is_repeated_into_the_same_upload(person: Person) -> None:
    file = make_file(35)
    uploader = person.start("default", TENS, RETRY, done(person))
    person.wire.lose_answer(chunk(1))
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["0", "1", "1", "2", "3", "done"]
    assert person.stored() == complete(file)


def test_last_chunk_whose_answer_was_lost_completes_once(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS, RETRY)
    person.wire.lose_answer(chunk(2))
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["0", "1", "2", "2"]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_concurrent_failure_with_others_in_flight_repeats_them_into_an_exact_file(person: Person) -> None:
    """The client aborts the other requests of the file, whose bodies may all have arrived."""
    file = make_file(65)
    uploader = person.start("default", CONCURRENT, RETRY, done(person))
    person.wire.hold(lambda message: message.index in (3, 4), times=2)
    person.wire.hold(chunk(2))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page, 3)
    failing = person.wire.take_held(chunk(2))
    person.wire.release()
    failing.fulfill(status=500, body='{"success": false, "error": "a disturbance"}')
    assert uploader.finish().succeeded == [0]
    assert person.wire.indexes.count(2) == 2
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_done_that_fails_once_is_the_only_request_repeated(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", TENS, RETRY, done(person))
    person.wire.fail(is_kind("done"), status=503)
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["0", "1", "2", "done", "done"]
    assert person.stored() == complete(file)


def test_done_whose_answer_was_lost_gets_the_same_answer_again(person: Person) -> None:
    """Completion is repeatable: one file, one completion, the same answer."""
    file = make_file(25)
    uploader = person.start("default", TENS, RETRY, done(person))
    person.wire.lose_answer(is_kind("done"), times=2)
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["0", "1", "2", "done", "done", "done"]
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


@pytest.mark.parametrize("with_done", [False, True], ids=["without done", "with done"])
def test_hook_that_fails_once_keeps_the_file_and_the_retry_completes_it(person: Person, with_done: bool) -> None:
    file = make_file(25)
    person.tolerated.add(500)
    success = done(person, "faltering") if with_done else {}
    uploader = person.start("faltering", TENS, RETRY, success)
    outcome = uploader.upload(file)
    assert outcome.succeeded == [0]
    assert len(outcome.errors) == 1
    assert person.wire.indexes == [0, 1, 2, 2]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_fractional_part_size_is_stored_right_or_refused(person: Person) -> None:
    """Offsets and sizes are fractions then, and the parts are 3, 4 and 3 bytes long."""
    file = make_file(10)
    options = {"chunking": {"enabled": True, "partSize": 10 / 3}}
    outcome = person.start("default", options, done(person)).upload(file)
    assert person.wire.messages[1]["qqpartbyteoffset"] == "3.3333333333333335"
    assert outcome == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


@pytest.mark.parametrize("part_size", ["7.5", "2.5", "100 / 7"])
@pytest.mark.parametrize("mode", [TENS, CONCURRENT], ids=["sequential", "concurrent"])
def test_any_fractional_part_size_never_corrupts(person: Person, mode: dict[str, Any], part_size: str) -> None:
    file = make_file(41)
    tweak = f"options => {{ options.chunking.partSize = () => {part_size}; return options; }}"
    uploader = person.start("default", mode, done(person), tweak=tweak)
    outcome = uploader.upload(file)
    assert outcome == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_name_edited_during_the_upload_is_the_one_that_is_kept(person: Person) -> None:
    file = make_file(25, "before.bin")
    uploader = person.start("default", TENS, done(person))
    person.wire.hold(chunk(1))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    uploader.call("setName", 0, "after.bin")
    person.wire.release()
    assert uploader.finish() == Outcome(succeeded=[0])
    assert [message["qqfilename"] for message in person.wire.messages] == ["before.bin"] * 2 + ["after.bin"] * 2
    assert person.upload()["filename"] == "after.bin"
    assert person.upload()["sha256"] == file.sha256


def test_custom_parameters_travel_with_chunks_and_done(person: Person) -> None:
    file = make_file(25)
    params = {"request": {"params": {"album": {"title": "Été"}, "list": [1, "two"], "text": "a,b"}}}
    assert person.start("default", TENS, params, done(person)).upload(file) == Outcome(succeeded=[0])
    stored = person.upload()["params"]
    assert stored["album"] == {"title": "Été"}
    assert stored["text"] == "a,b"
    assert stored["list"] in ("1,two", ["1", "two"])


def test_custom_parameters_of_an_empty_file_come_from_the_json_done(person: Person) -> None:
    params = {"request": {"params": {"album": {"title": "Été"}, "list": [1, "two"], "yes": True}}}
    options = {"chunking": {"mandatory": True}, "validation": {"allowEmpty": True}}
    uploader = person.start("default", TENS, options, params, done(person, jsonPayload=True))
    assert uploader.upload(make_file(0)) == Outcome(succeeded=[0])
    assert person.upload()["params"] == {"album": {"title": "Été"}, "list": [1, "two"], "yes": True}


def test_done_with_the_pages_own_parameters_lacks_the_uuid_and_is_refused_in_words(person: Person) -> None:
    tweak = "options => { options.chunking.success.params = () => ({only: 'this'}); return options; }"
    uploader = person.start("default", TENS, done(person), tweak=tweak)
    outcome = uploader.upload(make_file(25))
    assert outcome == Outcome(succeeded=[], failed=[0], errors=[uploader.answer()["error"]])
    assert (uploader.answer()["code"], uploader.events_of("complete")[0]["status"]) == ("missing_parameter", 400)


def test_chunk_with_headers_of_its_own_still_needs_the_token(person: Person) -> None:
    """An onUploadChunk that answers with headers drops all others, the CSRF header included."""
    tweak = """options => {
        options.callbacks = {onUploadChunk: () => Promise.resolve({headers: {A: "b"}})};
        return options;
    }"""
    uploader = person.start("default", TENS, tweak=tweak)
    uploader.upload(make_file(25))
    assert uploader.answer()["code"] == "csrf_failed"
    assert person.uploads() == []


def test_paused_upload_continues_into_an_exact_file(person: Person) -> None:
    file = make_file(45)
    uploader = person.start("default", TENS, done(person))
    person.wire.hold(chunk(2))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    assert uploader.call("pauseUpload", 0)
    person.wire.drop_held()
    assert uploader.call("continueUpload", 0)
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.wire.indexes == [0, 1, 2, 2, 3, 4]
    assert person.stored() == complete(file)


def test_cancelled_upload_never_completes_and_its_successor_has_a_new_uuid(person: Person) -> None:
    file = make_file(45)
    uploader = person.start("default", TENS, done(person))
    person.wire.hold(chunk(2))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    cancelled = uploader.uuid()
    uploader.call("cancel", 0)
    uploader.wait_for("cancel")
    person.wire.drop_held()
    assert uploader.upload(file) == Outcome(succeeded=[1])
    states = {upload["uuid"]: upload["state"] for upload in person.uploads()}
    assert states == {cancelled: "receiving", uploader.uuid(1): "complete"}


def test_manual_retry_after_the_last_attempt_sends_only_what_is_missing(person: Person) -> None:
    file = make_file(45)
    uploader = person.start("default", TENS, done(person))
    person.wire.fail(chunk(3))
    assert uploader.upload(file) == Outcome(succeeded=[], failed=[0], errors=["a disturbance"])
    assert uploader.call("retry", 0)
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.wire.kinds == ["0", "1", "2", "3", "3", "4", "done"]
    assert person.stored() == complete(file)
