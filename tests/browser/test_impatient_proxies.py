"""nginx that gives up after five seconds and repeats requests, before storages that take twelve or forty to save.

All pages upload at the same time, because they spend it waiting; each test looks at what became of one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from browser.files import make_file
from browser.person import Person, complete
from browser.uploader import Outcome
from livesite.server import serve
from livesite.visitor import Visitor, staged
from networks.nginx import BODY_LIMIT, nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from browser.conftest import NewPerson
    from browser.uploader import Uploader
    from livesite.server import LiveSite

# The first test waits for all pages.
pytestmark = pytest.mark.timeout(600)

WORKERS, THREADS = 2, 24
BUFFERED, STREAMED = 0, 1
PATIENCE = 120_000
TENS: dict[str, Any] = {"chunking": {"enabled": True, "partSize": 10}}
DEFAULT_RETRY: dict[str, Any] = {"retry": {"enableAuto": True, "maxAutoAttempts": 3, "autoAttemptDelay": 5}}
EMPTY: dict[str, Any] = {"chunking": {"mandatory": True}, "validation": {"allowEmpty": True}}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A page, the storage that it uploads to, and the port of nginx in between."""

    port: int
    alias: str
    page: str
    size: int = 25

    def __str__(self) -> str:
        return f"{'streamed' if self.port else 'buffered'}, {self.alias}, {self.page}"

    def open(self, person: Person, ports: tuple[int, int]) -> Uploader:
        """Open the page."""
        origin = origin_of(ports[self.port])
        if self.page == "generated":
            return person.start_generated(self.alias, TENS, origin=origin)
        success = {"chunking": {"success": {"endpoint": person.endpoint(self.alias, origin=origin) + "done"}}}
        changes: dict[str, tuple[dict[str, Any], ...]] = {
            "simple": (),
            "chunks alone": (TENS,),
            "success request alone": (TENS, EMPTY, success),
        }
        return person.start(self.alias, *changes[self.page], DEFAULT_RETRY, origin=origin)


def origin_of(port: int) -> str:
    """Return the origin of pages on this port of nginx."""
    return f"http://127.0.0.1:{port}"


@dataclass(kw_only=True)
class Ending:
    """What became of a page's upload."""

    outcomes: list[Outcome] = field(default_factory=list)
    repeats: int = 0
    stored: list[Any] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    saved: int = 0


CASES = [
    Case(port=port, alias=alias, page=page, size=0 if page == "success request alone" else 25)
    for port in (BUFFERED, STREAMED)
    for alias, page in (
        ("slow", "generated"),
        ("slow", "chunks alone"),
        ("slow", "simple"),
        ("slow", "success request alone"),
        ("sluggish", "generated"),
        ("sluggish", "simple"),
        ("glacial", "generated"),
        ("glacial", "simple"),
    )
]
BEARABLE = [case for case in CASES if case.alias != "glacial"]
every_port = pytest.mark.parametrize("port", [BUFFERED, STREAMED], ids=["buffered", "streamed"])
GLACIAL = [case for case in CASES if case.alias == "glacial"]


@pytest.fixture(scope="module")
def slow_site(tmp_path_factory: pytest.TempPathFactory, fine_uploader_dir: Path) -> Iterator[LiveSite]:
    """The site, with threads enough for many that wait."""
    folder = tmp_path_factory.mktemp("slowsite")
    with serve(folder, fine_uploader_dir, workers=WORKERS, threads=THREADS) as site:
        yield site


@pytest.fixture(scope="module")
def ports(slow_site: LiveSite, nginx_program: str) -> Iterator[tuple[int, int]]:
    """The ports of nginx in front of the site: the first buffers requests, the second does not."""
    folder = slow_site.folder / "nginx"
    folder.mkdir()
    with nginx(nginx_program, folder, slow_site.ports) as ports:
        yield ports


@pytest.fixture
def site(slow_site: LiveSite) -> LiveSite:
    """The site itself, where the tests look behind nginx's back; pages are opened through nginx."""
    return slow_site


@pytest.fixture(scope="module")
def endings(slow_site: LiveSite, ports: tuple[int, int], chromium_browser: Browser) -> Iterator[dict[Case, Ending]]:
    """Every page's upload, brought to an end; a person presses "retry" where the page has given up."""
    people = {case: Person(site=slow_site, context=chromium_browser.new_context(), name=uuid4().hex) for case in CASES}
    pages = {}
    for case, person in people.items():
        person.log_in()
        pages[case] = case.open(person, ports)
        pages[case].patience = PATIENCE
    for case, page in pages.items():
        page.add(make_file(case.size))
    yield {case: bring_to_an_end(people[case], page) for case, page in pages.items()}
    for person in people.values():
        person.context.close()


def bring_to_an_end(person: Person, page: Uploader) -> Ending:
    """Wait for the outcome, and retry by hand until it is a success."""
    ending = Ending(outcomes=[page.finish()])
    while ending.outcomes[-1].failed and len(ending.outcomes) < 5:
        assert page.call("retry", 0)
        ending.outcomes.append(page.finish())
    ending.repeats = len(page.events_of("auto_retry"))
    ending.stored = person.stored()
    ending.signals = person.site.signals(page.uuid())
    names = {upload["file"] for upload in person.uploads()}
    ending.saved = sum(record["name"] in names for record in person.site.records("saves"))
    return ending


@pytest.mark.parametrize("case", BEARABLE, ids=str)
def test_page_with_auto_retry_at_its_defaults_ends_in_success(endings: dict[Case, Ending], case: Case) -> None:
    """nginx answers 504 meanwhile, an HTML page, and it has sent the request to the site's other port before that."""
    ending = endings[case]
    assert [(outcome.succeeded, outcome.failed) for outcome in ending.outcomes] == [([0], [])]
    assert ending.repeats > 0


@pytest.mark.parametrize("case", GLACIAL, ids=str)
def test_completion_of_forty_seconds_ends_in_success_or_an_error_that_a_retry_overcomes(
    endings: dict[Case, Ending], case: Case
) -> None:
    ending = endings[case]
    assert ending.outcomes[-1].succeeded == [0]
    assert all(error.strip() for outcome in ending.outcomes for error in outcome.errors)
    assert all(outcome.errors for outcome in ending.outcomes[:-1])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_repeated_requests_make_one_file_and_one_committed_completion(endings: dict[Case, Ending], case: Case) -> None:
    ending = endings[case]
    assert ending.stored == complete(make_file(case.size))
    assert ending.signals.count("upload_completed") == 1
    assert ending.saved == 1


@pytest.mark.usefixtures("endings")
def test_nginx_has_repeated_success_requests_and_chunks_on_the_other_server(
    slow_site: LiveSite, ports: tuple[int, int]
) -> None:
    """Or the other tests had nothing to say. Small bodies it has whole also where it does not buffer."""
    log = slow_site.records("nginx/access")
    repeated = {(one["path"], one["port"]) for one in log if "," in one["upstreams"]}
    buffered, streamed = map(str, ports)
    assert {("/slow/done", buffered), ("/slow/", buffered), ("/glacial/", buffered)} <= repeated
    assert ("/slow/done", streamed) in repeated
    given_up = {(one["path"], one["port"]) for one in log if one["status"] == "504"}
    assert {("/slow/done", buffered), ("/slow/done", streamed), ("/slow/", streamed)} <= given_up


def test_storage_was_asked_to_save_each_file_once(endings: dict[Case, Ending], slow_site: LiveSite) -> None:
    """No second completion has begun, whose file would have had a name of its own."""
    assert sum(ending.saved for ending in endings.values()) == len(slow_site.records("saves"))


@every_port
def test_clients_that_go_away_in_the_middle_leave_nothing_and_block_nobody(
    slow_site: LiveSite, ports: tuple[int, int], port: int
) -> None:
    """More of them than the server has threads."""
    visitor = Visitor.log_in(slow_site, ports[port])
    page = visitor.open_page(part_size=300_000)
    uploads = [page.add(bytes(500_000)) for _ in range(WORKERS * THREADS + 8)]
    for upload in uploads:
        request = visitor.transport.open(page.chunk_request(upload, 0))
        request.send_all_but(100_000)
        request.abort()
    last = page.add(bytes(500_000))
    assert page.upload(last, attempts=3).success
    wait_until_only(visitor, last.uuid)
    assert staged(slow_site) == []


def wait_until_only(visitor: Visitor, uuid: str) -> None:
    """Wait until the server has noticed that every other client is gone."""
    deadline = monotonic() + 30
    while list(visitor.kept()) != [uuid]:
        assert monotonic() < deadline, visitor.kept()
        sleep(0.1)


@every_port
def test_body_above_nginx_s_own_limit_is_told_by_its_status_and_never_reaches_the_site(
    new_person: NewPerson, ports: tuple[int, int], port: int
) -> None:
    person = new_person(listening=False)
    uploader = person.start(origin=origin_of(ports[port]))
    outcome = uploader.upload(make_file(BODY_LIMIT))
    assert outcome == Outcome(succeeded=[], failed=[0], errors=["XHR returned response code 413"])
    assert person.site_is_clean()


@every_port
def test_refusal_while_the_body_is_still_being_sent_reaches_the_page(
    new_person: NewPerson, ports: tuple[int, int], port: int
) -> None:
    person = new_person(listening=False)
    uploader = person.start("limited", origin=origin_of(ports[port]))
    outcome = uploader.upload(make_file(BODY_LIMIT - 10_000, "large.txt"))
    answer = uploader.answer()
    assert (answer["code"], answer["preventRetry"], outcome.errors) == ("file_too_large", True, [answer["error"]])
    assert person.site_is_clean()


@every_port
def test_stranger_s_large_body_is_refused_in_words(new_person: NewPerson, ports: tuple[int, int], port: int) -> None:
    person = new_person(logged_in=False, listening=False)
    uploader = person.start(origin=origin_of(ports[port]))
    outcome = uploader.upload(make_file(BODY_LIMIT - 10_000))
    answer = uploader.answer()
    assert (answer["code"], outcome.errors) == ("login_required", [answer["error"]])
    assert person.site_is_clean()
