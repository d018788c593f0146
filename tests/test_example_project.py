"""The example project, from its set-up to a file's removal, over HTTP."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

import pytest

from examplesite import PASSWORDS, Project, Visitor, visit
from fakeuploader import BrowserFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 100
PART_SIZE = 10_000
PICTURE = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")  # a GIF of one dot


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after its set-up, with an empty folder where the client belongs."""
    project = Project(folder=tmp_path_factory.mktemp("data"), client=tmp_path_factory.mktemp("client"))
    project.manage("setup_demo")
    return project


@pytest.fixture(scope="module")
def url(project: Project) -> Iterator[str]:
    """The address of the running site."""
    with project.serve() as address:
        yield address


@pytest.fixture(scope="module")
def people(url: str) -> dict[str, Visitor]:
    """Everybody, signed in once: checking a password takes its time."""
    return {name: visit(url, name) for name in PASSWORDS}


@pytest.fixture
def alice(people: dict[str, Visitor]) -> Iterator[Visitor]:
    """Somebody who is signed in and leaves no files behind."""
    alice = people["alice"]
    yield alice
    for page in ("/", "/pictures/"):
        uploader = alice.uploader(page)
        for item in uploader.session():
            assert uploader.delete(item["uuid"]).success
    assert alice.downloads() == {}


def test_set_up_run_again_changes_nothing(project: Project) -> None:
    before = project.manage("dumpdata", "auth.user").stdout
    again = project.manage("setup_demo")
    assert (again.stdout, project.manage("dumpdata", "auth.user").stdout) == ("", before)


def test_set_up_makes_the_data_folder_and_says_which_accounts_it_made(tmp_path: Path) -> None:
    made = Project(folder=tmp_path / "new" / "data", client=tmp_path).manage("setup_demo")
    assert made.stdout.splitlines() == [
        f"Made the account {name}, password {password}" for name, password in PASSWORDS.items()
    ]


def test_set_up_without_the_client_says_where_it_belongs(project: Project) -> None:
    message = f"Fine Uploader is missing: unpack its npm package at {project.client}\n"
    assert project.manage("setup_demo").stderr == message


def test_checks_are_silent(project: Project) -> None:
    done = project.manage("check", "--fail-level", "WARNING")
    assert (done.stdout, done.stderr) == ("System check identified no issues (0 silenced).\n", "")


@pytest.mark.parametrize("path", ["/", "/pictures/", "/files/", "/files/1/"])
def test_a_stranger_is_sent_to_the_login_page(url: str, path: str) -> None:
    answer = Visitor(url).request(path)
    assert (answer.status, answer.headers["Location"]) == (302, f"/login/?next={path}")


def test_login_page_says_the_demo_accounts(url: str) -> None:
    page = Visitor(url).request("/login/").text
    assert re.findall(r"<code>(.+?)</code>", page) == list(PASSWORDS.values())


def test_wrong_password_is_refused_with_a_reason(url: str) -> None:
    stranger = Visitor(url)
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', stranger.request("/login/").text)
    form = {"username": "alice", "password": "wrong", "csrfmiddlewaretoken": token}
    answer = stranger.request("/login/", form)
    assert answer.status == 200
    assert '<p class="notice error" role="alert">' in answer.text


@pytest.mark.parametrize(("name", "links"), [("alice", ["/", "/files/"]), ("admin", ["/", "/files/", "/admin/"])])
def test_header_names_the_person_and_links_what_they_may_see(
    people: dict[str, Visitor], name: str, links: list[str]
) -> None:
    page = people[name].request("/").text
    (navigation,) = re.findall(r'<nav class="site-nav".*?</nav>', page, re.DOTALL)
    assert re.findall(r'href="([^"]+)"', navigation) == links
    assert f"</span>{name}</span>" in page


def test_signing_out_needs_the_header_s_form_and_ends_the_visit(url: str) -> None:
    bob = visit(url, "bob")
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', bob.request("/").text)
    assert bob.request("/logout/", {}).status == 403
    assert bob.request("/logout/", {"csrfmiddlewaretoken": token}).status == 302
    assert bob.request("/").status == 302


def test_admin_lists_the_uploads(people: dict[str, Visitor]) -> None:
    assert people["admin"].request("/admin/fineuploader_receiver/uploadsession/").status == 200


def test_pages_ask_for_chunks_resuming_removal_and_the_list(alice: Visitor) -> None:
    options = alice.options()
    assert {
        "chunking": options["chunking"]["enabled"],
        "concurrent": options["chunking"]["concurrent"]["enabled"],
        "done": options["chunking"]["success"]["endpoint"],
        "resume": options["resume"]["enabled"],
        "retry": options["retry"]["enableAuto"],
        "delete": options["deleteFile"]["enabled"],
        "session": options["session"]["endpoint"],
    } == {
        "chunking": True,
        "concurrent": True,
        "done": "/uploads/done",
        "resume": True,
        "retry": True,
        "delete": True,
        "session": "/uploads/session",
    }


@pytest.mark.parametrize("size", [0, 1, PART_SIZE, PART_SIZE + 1, len(CONTENT)])
def test_upload_is_listed_downloaded_and_deleted(alice: Visitor, size: int) -> None:
    content = CONTENT[:size]
    uploader = alice.uploader(part_size=PART_SIZE)
    upload = uploader.add(content, name="numbers.bin")
    assert uploader.upload(upload).success
    path = alice.downloads()["numbers.bin"]
    answer = alice.request(path)
    assert (answer.status, answer.body) == (200, content)
    assert uploader.delete(upload.uuid).success
    assert alice.downloads() == {}
    assert alice.request(path).status == 404


def test_download_is_an_attachment_that_no_browser_runs(alice: Visitor) -> None:
    uploader = alice.uploader()
    page = BrowserFile(b"<!doctype html><script>alert(1)</script>", "page.html", "text/html")
    assert uploader.upload(page).success
    headers = alice.request(alice.downloads()["page.html"]).headers
    wanted = ("Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy", "Content-Length")
    assert {name: headers[name] for name in wanted} == {
        "Content-Disposition": 'attachment; filename="page.html"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Content-Length": "40",
    }


def test_download_of_a_file_that_is_gone_from_the_storage_is_a_404(alice: Visitor, project: Project) -> None:
    assert alice.uploader().upload(BrowserFile(b"content", "lost.txt")).success
    (stored,) = (path for path in project.folder.rglob("lost.txt"))
    stored.unlink()
    assert alice.request(alice.downloads()["lost.txt"]).status == 404


# A name with the marks of a header's end, of HTML, and of a path: each has broken somebody's list or download.
HOSTILE_NAME = 'a\r\nSet-Cookie: b="c" <b> ../é日本.txt'


def test_file_with_a_hostile_name_is_listed_and_downloaded(alice: Visitor) -> None:
    assert alice.uploader().upload(BrowserFile(b"content", HOSTILE_NAME)).success
    ((name, path),) = alice.downloads().items()
    answer = alice.request(path)
    assert (answer.status, answer.body, answer.headers["Set-Cookie"]) == (200, b"content", None)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename")
    assert escape("<b>") in name


def test_somebody_else_finds_nothing(alice: Visitor, people: dict[str, Visitor]) -> None:
    uploader = alice.uploader()
    upload = uploader.add(CONTENT, name="secret.bin")
    assert uploader.upload(upload).success
    path = alice.downloads()["secret.bin"]
    for other in (people["bob"], people["admin"]):
        assert (other.downloads(), other.uploader().session(), other.request(path).status) == ({}, [], 404)
        assert other.uploader().delete(upload.uuid).success, "a stranger's uuid gets the same answer as an unknown one"
    assert alice.request(path).body == CONTENT


def test_upload_without_the_token_is_refused_and_stores_nothing(alice: Visitor) -> None:
    outcome = alice.uploader(custom_headers={}).upload(CONTENT)
    assert (outcome.success, outcome.status, outcome.response["code"]) == (False, 403, "csrf_failed")
    assert alice.downloads() == {}


def test_pictures_page_refuses_what_only_claims_to_be_a_picture(alice: Visitor) -> None:
    outcome = alice.uploader("/pictures/").upload(BrowserFile(b"no picture at all", "fake.png", "image/png"))
    assert (outcome.success, outcome.status, outcome.response["code"]) == (False, 415, "type_not_allowed")
    assert alice.downloads() == {}


def test_stored_picture_is_its_own_thumbnail_in_the_initial_list(alice: Visitor) -> None:
    uploader = alice.uploader("/pictures/")
    upload = uploader.add(BrowserFile(PICTURE, "dot.gif", "image/gif"))
    assert uploader.upload(upload).success
    path = alice.downloads()["dot.gif"]
    assert uploader.session() == [
        {"uuid": upload.uuid, "name": "dot.gif", "size": len(PICTURE), "thumbnailUrl": path},
    ]
    assert alice.request(path).headers["Content-Type"] == "image/gif"


def test_long_list_has_pages(alice: Visitor) -> None:
    uploader = alice.uploader()
    for number in range(26):
        assert uploader.upload(BrowserFile(b"x", f"file-{number:02}.txt")).success
    assert list(alice.downloads()) == [f"file-{number:02}.txt" for number in range(25, 0, -1)]
    assert 'title="file-00.txt"' in alice.request("/files/?page=2").text
