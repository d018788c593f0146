"""Uploads that the server loses: purged, deleted, forgotten with an old database, or with their bytes gone.

No page may be told success for a file that is not complete, and no page that tells the server about itself may hang.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.wire import chunk, is_kind, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.files import File
    from browser.person import Person
    from browser.uploader import Uploader

TENS: dict[str, Any] = {"chunking": {"enabled": True, "partSize": 10}, "resume": {"enabled": True}}
SEQUENTIAL: dict[str, Any] = {"chunking": {"concurrent": {"enabled": False}}}
CONCURRENT: dict[str, Any] = {"chunking": {"concurrent": {"enabled": True}}}
RETRY: dict[str, Any] = {"retry": {"enableAuto": True, "autoAttemptDelay": 0.02}}
LOSSES: dict[str, Callable[[Person, str, str], None]] = {
    "purged": lambda person, uuid, alias: person.site.purge(uuid),
    "deleted": lambda person, uuid, alias: person.delete(uuid, alias),
    "forgotten": lambda person, uuid, alias: person.site.forget(uuid),
    "emptied": lambda person, uuid, alias: person.site.empty_media(),
}

REMEMBERED = ["purged", "deleted", "emptied"]

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_mode = pytest.mark.parametrize("mode", [SEQUENTIAL, CONCURRENT], ids=["sequential", "concurrent"])
every_backend = pytest.mark.parametrize("alias", ["default", "objects"])


@pytest.fixture(autouse=True)
def busy_answers(person: Person) -> None:
    """A chunk that is on its way while its upload vanishes may be told to come again: its body has been read."""
    person.tolerated.add(503)


def done(person: Person, alias: str) -> dict[str, Any]:
    """Return options for a page that sends the success request."""
    return {"chunking": {"success": {"endpoint": person.endpoint(alias) + "done"}}}


def lose_in_the_middle(person: Person, uploader: Uploader, file: File, loss: str, alias: str) -> None:
    """Lose the upload just before chunk 3 is sent, and let the client go on."""
    person.wire.before(chunk(3), lambda message: LOSSES[loss](person, message["qquuid"], alias))
    assert uploader.upload(file).succeeded == [0]


def lose_between_pages(person: Person, uploader: Uploader, file: File, loss: str, alias: str) -> None:
    """Close the page while chunk 3 is on its way, and lose the upload."""
    person.wire.hold(chunk(3))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    uuid = uploader.uuid()
    uploader.leave()
    person.wire.drop_held()
    LOSSES[loss](person, uuid, alias)


# Pages built on the generated options.


@every_backend
@every_loss
@every_mode
def test_generated_page_recovers_from_a_loss_in_the_middle(
    person: Person, mode: dict[str, Any], loss: str, alias: str
) -> None:
    file = make_file(65)
    lose_in_the_middle(person, person.start_generated(alias, TENS, RETRY, mode), file, loss, alias)
    assert person.stored() == complete(file)


@every_backend
@every_loss
@every_mode
def test_generated_page_recovers_from_a_loss_between_pages(
    person: Person, mode: dict[str, Any], loss: str, alias: str
) -> None:
    file = make_file(65)
    lose_between_pages(person, person.start_generated(alias, TENS, RETRY, mode), file, loss, alias)
    uploader = person.start_generated(alias, TENS, RETRY, mode)
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


@every_loss
@every_mode
def test_generated_page_recovers_when_only_the_last_chunk_was_left(
    person: Person, mode: dict[str, Any], loss: str
) -> None:
    """The resumed chunk is alone in flight: a reset in its answer would hang a concurrent page for ever."""
    file = make_file(65)
    uploader = person.start_generated("default", TENS, RETRY, mode)
    person.wire.hold(chunk(6))
    uploader.add(file)
    person.wire.wait_for_held(uploader.page)
    uploader.wait_for("chunk", 6)
    uuid = uploader.uuid()
    uploader.leave()
    person.wire.drop_held()
    LOSSES[loss](person, uuid, "default")
    person.wire.messages.clear()
    uploader = person.start_generated("default", TENS, RETRY, mode)
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds[:2] == ["6", "done"]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("loss", ["deleted", "forgotten"])
@every_mode
def test_generated_page_recovers_from_a_loss_before_done(person: Person, mode: dict[str, Any], loss: str) -> None:
    file = make_file(65)
    uploader = person.start_generated("default", TENS, RETRY, mode)
    person.wire.before(is_kind("done"), lambda message: LOSSES[loss](person, message["qquuid"], "default"))
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


@every_mode
def test_purge_of_a_complete_upload_before_done_loses_nothing(person: Person, mode: dict[str, Any]) -> None:
    file = make_file(65)
    uploader = person.start_generated("default", TENS, RETRY, mode)
    person.wire.before(is_kind("done"), lambda message: person.site.purge(message["qquuid"]))
    assert uploader.upload(file).errors == []
    assert person.stored() == complete(file)


# Hand-written pages with the success request.


# The docs ask a concurrent page for DONE_REQUEST or the marker. Without them the server goes by what it has seen.
told_or_sequential = pytest.mark.parametrize(
    ("alias", "mode"),
    [("with_done", SEQUENTIAL), ("with_done", CONCURRENT), ("default", SEQUENTIAL)],
    ids=["told, sequential", "told, concurrent", "untold, sequential"],
)


@told_or_sequential
@every_loss
def test_page_with_done_recovers_from_a_loss_in_the_middle(
    person: Person, mode: dict[str, Any], loss: str, alias: str
) -> None:
    file = make_file(65)
    lose_in_the_middle(person, person.start(alias, TENS, RETRY, mode, done(person, alias)), file, loss, alias)
    assert person.stored() == complete(file)


@told_or_sequential
@every_loss
def test_page_with_done_recovers_from_a_loss_between_pages(
    person: Person, mode: dict[str, Any], loss: str, alias: str
) -> None:
    file = make_file(65)
    lose_between_pages(person, person.start(alias, TENS, RETRY, mode, done(person, alias)), file, loss, alias)
    uploader = person.start(alias, TENS, RETRY, mode, done(person, alias))
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


def show_concurrency(person: Person, file: File) -> Uploader:
    """Start an upload whose chunks 1 and 2 are stored before chunk 0, and keep all others back."""
    uploader = person.start("default", TENS, RETRY, CONCURRENT, done(person, "default"))
    person.wire.hold(lambda message: message.index not in (1, 2), times=len(file.content))
    uploader.add(file)
    uploader.wait_for("chunk", 2)
    person.wire.wait_for_held(uploader.page, 3)
    person.wire.take_held(chunk(0)).continue_()
    uploader.wait_for("chunk", 3)
    person.wire.wait_for_held(uploader.page, 3)
    person.wire.rules.clear()
    return uploader


@every_loss
def test_page_that_was_seen_to_be_concurrent_recovers_from_a_loss_in_the_middle(person: Person, loss: str) -> None:
    file = make_file(65)
    uploader = show_concurrency(person, file)
    LOSSES[loss](person, uploader.uuid(), "default")
    person.wire.release()
    assert uploader.finish().succeeded == [0]
    assert person.stored() == complete(file)


@every_loss
def test_page_that_was_seen_to_be_concurrent_recovers_from_a_loss_between_pages(person: Person, loss: str) -> None:
    file = make_file(65)
    uploader = show_concurrency(person, file)
    uuid = uploader.uuid()
    uploader.leave()
    person.wire.drop_held()
    LOSSES[loss](person, uuid, "default")
    uploader = person.start("default", TENS, RETRY, CONCURRENT, done(person, "default"))
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


@every_loss
@every_mode
def test_done_with_a_chunk_missing_is_409_with_reset_and_starts_again(
    person: Person, mode: dict[str, Any], loss: str
) -> None:
    file = make_file(65)
    uploader = person.start("with_done", TENS, RETRY, mode, done(person, "with_done"))
    person.wire.hold(chunk(6))
    answers: list[tuple[int, dict[str, Any]]] = []
    uploader.page.on(
        "response",
        lambda response: answers.append((response.status, response.json())) if response.url.endswith("/done") else None,
    )
    uploader.add(file)
    uploader.wait_for("chunk", 6)
    LOSSES[loss](person, uploader.uuid(), "with_done")
    person.wire.release()
    assert uploader.finish().succeeded == [0]
    assert [(status, answer.get("reset", False)) for status, answer in answers] == [(409, True), (200, False)]
    assert isinstance(answers[0][1]["error"], str)
    assert person.wire.indexes.count(0) == 2
    assert person.stored() == complete(file)


# Hand-written pages without the success request.


# The docs name the case that no server can tell from a fresh concurrent page: the rows of an upload that a sequential
# page goes on with are gone without a trace, and it is at one of the chunks 1 to 15.


@pytest.mark.parametrize("alias", ["default", "without_done"])
@pytest.mark.parametrize("loss", REMEMBERED)
def test_sequential_page_without_done_is_reset_in_the_middle(person: Person, alias: str, loss: str) -> None:
    file = make_file(65)
    lose_in_the_middle(person, person.start(alias, TENS, RETRY, SEQUENTIAL), file, loss, alias)
    assert person.stored() == complete(file)


@pytest.mark.parametrize("alias", ["default", "without_done"])
@every_loss
def test_sequential_page_without_done_is_reset_when_it_resumes(person: Person, alias: str, loss: str) -> None:
    file = make_file(65)
    lose_between_pages(person, person.start(alias, TENS, RETRY, SEQUENTIAL), file, loss, alias)
    uploader = person.start(alias, TENS, RETRY, SEQUENTIAL)
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("alias", ["default", "without_done"])
def test_sequential_page_without_done_is_reset_far_into_an_upload_without_a_trace(person: Person, alias: str) -> None:
    file = make_file(195)
    uploader = person.start(alias, TENS, RETRY, SEQUENTIAL)
    person.wire.before(chunk(17), lambda message: person.site.forget(message["qquuid"]))
    assert uploader.upload(file).succeeded == [0]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("alias", ["default", "without_done"])
@pytest.mark.parametrize("loss", REMEMBERED)
def test_sequential_page_without_done_and_retry_fails_in_words(person: Person, alias: str, loss: str) -> None:
    """Without a retry the client cannot start again by itself; it must not believe that all is well."""
    file = make_file(65)
    uploader = person.start(alias, TENS, SEQUENTIAL)
    person.wire.before(chunk(3), lambda message: LOSSES[loss](person, message["qquuid"], alias))
    outcome = uploader.upload(file)
    assert outcome.failed == [0]
    assert len(outcome.errors) == 1
    assert uploader.call("retry", 0)
    assert uploader.finish().succeeded == [0]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("loss", REMEMBERED)
def test_concurrent_page_without_done_is_never_told_success_for_an_incomplete_file(person: Person, loss: str) -> None:
    """The reset throws inside such a client, which may then hang; the docs say so. What it must not do is succeed."""
    person.may_throw = True
    file = make_file(65)
    uploader = person.start("without_done", TENS, RETRY, CONCURRENT)
    person.wire.before(chunk(5), lambda message: LOSSES[loss](person, message["qquuid"], "without_done"))
    uploader.add(file)
    wait_until(uploader.page, lambda: bool(person.page_errors or uploader.events_of("all_complete")))
    successes = [event for event in uploader.events_of("complete") if event["response"]["success"]]
    assert not successes or person.stored() == complete(file)
