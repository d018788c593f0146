"""The example project's pages in a real browser: a large file that is interrupted, resumed, listed and deleted."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from examplesite import PASSWORDS, Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page, Route

LARGE = 100 * 2**20
DOT = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")  # a GIF of one dot
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, fine_uploader_dir: Path) -> Iterator[str]:
    """The running example project."""
    project = Project(folder=tmp_path_factory.mktemp("data"), client=fine_uploader_dir)
    project.manage("setup_demo")
    with project.serve() as address:
        yield address


@pytest.fixture
def context(chromium_browser: Browser, example: str) -> Iterator[BrowserContext]:
    """A browser whose pages are those of the example, and must not throw."""
    context = chromium_browser.new_context(base_url=example)
    context.set_default_timeout(PATIENCE)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """The upload page, opened by the login form."""
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill(PASSWORDS["alice"])
    page.get_by_role("button", name="Sign in").click()
    page.locator(".drop-zone").wait_for()
    return page


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in which no two blocks are alike, so that a chunk in the wrong place changes the digest."""
    path = tmp_path_factory.mktemp("files") / "film.bin"
    with path.open("wb") as file:
        for block in range(LARGE // 2**20):
            file.write(hashlib.sha256(bytes([block])).digest() * 2**15)
    return path


def choose(page: Page, *paths: Path) -> None:
    """Give files to the page through its file picker."""
    page.locator("input[type=file]").set_input_files(paths)


def drop(page: Page, context: BrowserContext, path: Path) -> None:
    """Drag a file from the desktop onto the drop zone; while it hovers there, the zone shows that it would take it."""
    zone = page.locator(".drop-zone")
    box = zone.bounding_box()
    assert box is not None
    devtools = context.new_cdp_session(page)
    event = {
        "x": box["x"] + box["width"] / 2,
        "y": box["y"] + 10,
        "data": {"items": [], "files": [str(path)], "dragOperationsMask": 1},
    }
    devtools.send("Input.dispatchDragEvent", {"type": "dragEnter", **event})
    page.locator(".drop-zone.qq-upload-drop-area-active").wait_for()
    devtools.send("Input.dispatchDragEvent", {"type": "dragOver", **event})
    devtools.send("Input.dispatchDragEvent", {"type": "drop", **event})


def make_file(folder: Path, name: str, content: bytes) -> Path:
    """Return a small file to choose."""
    path = folder / name
    path.write_bytes(content)
    return path


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def delete_card(page: Page, name: str) -> None:
    """Delete a stored file by its card, and confirm."""
    card = page.locator(".card", has_text=name)
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")


@dataclass
class Gate:
    """Lets so many chunks through to the server, and leaves all later ones hanging."""

    limit: int
    passed: int = 0

    def handle(self, route: Route) -> None:
        if self.passed < self.limit:
            self.passed += 1
            route.continue_()


def wait_for_chunks(page: Page, count: int) -> None:
    """Wait until the client has noted, for a later page, that so many chunks are stored."""
    page.wait_for_function(
        """count => Object.values(localStorage).some(record => {
            const {parts, remaining, inProgress} = JSON.parse(record).chunking;
            return parts - remaining.length - inProgress.length === count;
        })""",
        arg=count,
    )


def test_large_file_goes_on_in_a_new_page_where_the_closed_one_stopped(
    page: Page, context: BrowserContext, large_file: Path, tmp_path: Path
) -> None:
    part_size = page.evaluate("options.chunking.partSize")
    parts = math.ceil(LARGE / part_size)
    page.route("**/uploads/", Gate(limit=parts // 2).handle)
    choose(page, large_file)
    wait_for_chunks(page, parts // 2)
    page.close()

    sent: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/")
    choose(page, large_file)
    page.locator(".card.qq-upload-success", has_text=large_file.name).wait_for()
    endpoint = page.url + "uploads/"
    assert sent == [endpoint] * (parts - parts // 2) + [f"{endpoint}done"]

    page.goto("/files/")
    assert page.locator("tbody tr").count() == 1
    with page.expect_download() as download:
        page.get_by_role("link", name=large_file.name).first.click()
    assert download.value.suggested_filename == large_file.name
    download.value.save_as(tmp_path / "copy")
    assert sha256(tmp_path / "copy") == sha256(large_file)

    page.goto("/")
    delete_card(page, large_file.name)
    page.goto("/files/")
    assert page.get_by_text("No files yet").is_visible()


def test_refused_file_shows_the_server_s_words_and_no_retry(page: Page, tmp_path: Path) -> None:
    page.goto("/pictures/")
    with page.expect_response("**/picture-uploads/") as response:
        choose(page, make_file(tmp_path, "fake.png", b"no picture at all"))
    card = page.locator(".card.qq-upload-fail")
    card.wait_for()
    assert card.locator(".status").inner_text() == response.value.json()["error"]
    assert card.get_by_role("button", name="Try again").is_hidden()
    assert page.locator("#upload-summary").inner_text() == "1 failed"


def test_dropped_picture_is_listed_with_its_thumbnail_when_the_page_opens_again(
    page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    drop(page, context, make_file(tmp_path, "dot.gif", DOT))
    page.locator(".card.qq-upload-success").wait_for()
    page.reload()
    page.locator(".card.qq-upload-success", has_text="dot.gif").wait_for()
    page.wait_for_function("document.querySelector('.card img').naturalWidth > 0")
    assert page.locator("#upload-summary").inner_text() == "1 stored"
    delete_card(page, "dot.gif")


def test_file_without_a_picture_shows_its_kind(page: Page, tmp_path: Path) -> None:
    choose(page, make_file(tmp_path, "notes.txt", b"notes"))
    page.locator(".card.qq-upload-success").wait_for()
    assert page.locator(".tile").get_attribute("data-kind") == "txt"
    page.reload()
    page.locator(".tile[data-kind=txt]").wait_for()
    delete_card(page, "notes.txt")


def test_delete_button_of_my_files_removes_the_file(page: Page, tmp_path: Path) -> None:
    choose(page, make_file(tmp_path, "notes.txt", b"notes"))
    page.locator(".card.qq-upload-success").wait_for()
    page.goto("/files/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete notes.txt").click()
    page.get_by_text("No files yet").wait_for()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_the_screen(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    choose(page, make_file(tmp_path, f"{'long' * 40}.txt", b"notes"))
    page.locator(".card.qq-upload-success").wait_for()
    widths = {}
    for path in ("/files/", "/pictures/", "/"):
        page.goto(path)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")
    page.locator(".card.qq-upload-success").wait_for()
    delete_card(page, "long")
    assert widths == {"/files/": width, "/pictures/": width, "/": width}


def test_page_without_the_client_says_so(page: Page) -> None:
    page.route("**/fine-uploader.min.js", lambda route: route.abort())
    page.reload()
    page.get_by_text("Fine Uploader is not installed").wait_for()
