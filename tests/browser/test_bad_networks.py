"""The real client behind a network that cuts, repeats, stalls and dribbles: success, or an error to read and retry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from browser.files import make_file
from browser.person import complete
from browser.uploader import Outcome
from browser.wire import chunk, is_kind
from networks import faults
from networks.faults import Stall, cut_answer, cut_request
from networks.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.conftest import NewPerson
    from browser.files import File
    from browser.person import Person
    from browser.uploader import Uploader
    from browser.wire import Message
    from livesite.server import LiveSite
    from networks.proxy import Fault

TENS: dict[str, Any] = {"chunking": {"enabled": True, "partSize": 10}}
CONCURRENT: dict[str, Any] = {"chunking": {"concurrent": {"enabled": True}}}
RETRY: dict[str, Any] = {"retry": {"enableAuto": True, "autoAttemptDelay": 0.02}}
NO_RETRY: dict[str, Any] = {"retry": {"enableAuto": False}}
DONE: dict[str, Any] = {"chunking": {"success": {"endpoint": "/uploads/done"}}}
GENERATED = "generated"
MODES: dict[str, tuple[dict[str, Any], ...]] = {
    GENERATED: (TENS,),
    "sequential": (TENS,),
    "sequential, done": (TENS, DONE),
    "concurrent": (TENS, CONCURRENT),
    "concurrent, done": (TENS, CONCURRENT, DONE),
    "simple": (),
}
CHUNKED = [mode for mode in MODES if mode != "simple"]
FAULTS: dict[str, Fault] = {
    "cut in the head": cut_request(100, reset=True),
    "cut in the body": cut_request(-30),
    "last byte lost": cut_request(-1, reset=True),
    "answer lost": cut_answer(0),
    "answer cut in the head": cut_answer(40),
    "answer cut in the body": cut_answer(-5),
    "repeated": faults.repeat,
    "repeated at once": faults.repeat_at_once,
    "repeated out of impatience": faults.lose_patience,
    "byte by byte": faults.trickle,
}
UNBEARABLE: dict[str, Fault] = {
    "closed at once": faults.hang_up,
    "cut in the body": cut_request(-30, reset=True),
    "answer reset": cut_answer(0, reset=True),
}

every_mode = pytest.mark.parametrize("mode", MODES)
every_chunked_mode = pytest.mark.parametrize("mode", CHUNKED)


@pytest.fixture
def proxy(live_site: LiveSite) -> Iterator[Proxy]:
    """The network."""
    with Proxy(("127.0.0.1", live_site.ports[0])) as proxy:
        yield proxy


@pytest.fixture
def site(live_site: LiveSite, proxy: Proxy) -> LiveSite:
    """The site at the other end of the network."""
    return replace(live_site, ports=(proxy.port, proxy.port))


@pytest.fixture
def person(new_person: NewPerson) -> Person:
    """Somebody whose requests nothing but the network touches; the server may ask them to come again."""
    person = new_person(listening=False)
    person.tolerated.add(503)
    return person


def start(person: Person, mode: str, *changes: dict[str, Any]) -> Uploader:
    """Open a page of this kind."""
    begin = person.start_generated if mode == GENERATED else person.start
    return begin("default", *MODES[mode], *changes)


def simple_upload(message: Message) -> bool:
    """Match a file that is sent in one piece."""
    return message.path == "/uploads/" and message.kind == "upload"


def disturb(proxy: Proxy, fault: Fault, **how: Any) -> None:
    """Do it to whatever the page sends in the middle, and in the end."""
    for match in (simple_upload, chunk(3), is_kind("done")):
        proxy.on(match, fault, **how)


def assert_whole(person: Person, uploader: Uploader, file: File) -> None:
    """One file, byte for byte, and one committed completion."""
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


@every_mode
@pytest.mark.parametrize("name", FAULTS)
def test_fault_in_the_middle_and_at_the_end_costs_retries_and_no_more(
    person: Person, proxy: Proxy, mode: str, name: str
) -> None:
    file = make_file(65)
    disturb(proxy, FAULTS[name])
    uploader = start(person, mode, RETRY)
    assert uploader.upload(file).succeeded == [0]
    assert proxy.happened
    assert_whole(person, uploader, file)


@every_mode
@pytest.mark.parametrize("name", UNBEARABLE)
def test_fault_that_does_not_pass_is_told_and_the_person_s_retry_succeeds_after_it(
    person: Person, proxy: Proxy, mode: str, name: str
) -> None:
    file = make_file(65)
    disturb(proxy, UNBEARABLE[name], times=None)
    uploader = start(person, mode, NO_RETRY)
    outcome = uploader.upload(file)
    assert outcome.failed == [0]
    assert all(error.strip() for error in outcome.errors)
    assert outcome.errors
    proxy.rules.clear()
    while outcome.failed:
        assert uploader.call("retry", 0)
        outcome = uploader.finish()
    assert_whole(person, uploader, file)


@every_chunked_mode
@pytest.mark.parametrize("fault", [faults.hang_up, cut_answer(0)], ids=["before", "after"])
def test_reused_connection_closed_without_an_answer_is_not_noticed(
    person: Person, proxy: Proxy, mode: str, fault: Fault
) -> None:
    """The browser itself sends the request again, before the server has seen it or after (protocol, section 2.5)."""
    file = make_file(65)
    disturb(proxy, fault, only_reused=True)
    uploader = start(person, mode, NO_RETRY)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert proxy.happened
    assert_whole(person, uploader, file)


@every_mode
@pytest.mark.parametrize("stall", [{"request": -5}, {"answer": 0}], ids=str)
def test_stall_ends_in_success_when_the_network_comes_back(
    person: Person, proxy: Proxy, mode: str, stall: dict[str, int]
) -> None:
    file, middle, end = make_file(65), Stall(**stall), Stall(**stall)
    proxy.on(simple_upload, middle)
    proxy.on(chunk(3), middle)
    proxy.on(is_kind("done"), end)
    uploader = start(person, mode, RETRY)
    uploader.add(file)
    for stalled in (middle, end) if sends_done(mode) else (middle,):
        stalled.wait()
        stalled.release()
    assert uploader.finish() == Outcome(succeeded=[0])
    assert_whole(person, uploader, file)


def sends_done(mode: str) -> bool:
    """Whether such a page sends the success request."""
    return mode == GENERATED or DONE in MODES[mode]


@every_chunked_mode
@pytest.mark.parametrize("stall", [{"request": -5}, {"answer": 0}], ids=str)
def test_stall_for_ever_is_overcome_by_pausing_and_going_on(
    person: Person, proxy: Proxy, mode: str, stall: dict[str, int]
) -> None:
    """The client has no timeout of its own. What the stalled request still brings cannot change the file."""
    file, stalled = make_file(65), Stall(**stall)
    proxy.on(chunk(3), stalled)
    uploader = start(person, mode, RETRY)
    with stalled.released():
        uploader.add(file)
        stalled.wait()
        assert uploader.call("pauseUpload", 0)
        assert uploader.call("continueUpload", 0)
        assert uploader.finish().succeeded == [0]
        assert_whole(person, uploader, file)
    assert_whole(person, uploader, file)


@pytest.mark.parametrize("stall", [{"request": -5}, {"answer": 0}], ids=str)
def test_stall_for_ever_is_overcome_by_a_new_page(person: Person, proxy: Proxy, stall: dict[str, int]) -> None:
    file, stalled = make_file(65), Stall(**stall)
    proxy.on(chunk(3), stalled)
    uploader = start(person, GENERATED, RETRY)
    with stalled.released():
        uploader.add(file)
        stalled.wait()
        uploader.leave()
        uploader = start(person, GENERATED, RETRY)
        # Where every chunk had come through, the page has the file in its list, and would add another one.
        if not uploader.events_of("session")[0]["items"]:
            assert uploader.upload(file).succeeded == [0]
        assert_whole(person, uploader, file)
    assert_whole(person, uploader, file)


@every_chunked_mode
def test_network_that_breaks_after_every_so_many_bytes_passes_the_file_in_pieces(
    person: Person, proxy: Proxy, mode: str
) -> None:
    file = make_file(95)
    uploader = start(person, mode, RETRY)
    proxy.on(lambda message: message.method == "POST", faults.CutEvery(6007), times=None)
    outcome = uploader.upload(file)
    while outcome.failed:
        assert uploader.call("retry", 0)
        outcome = uploader.finish()
    assert proxy.happened
    assert_whole(person, uploader, file)
