"""Names of finished files: safe whatever a stranger called the file, and used by one attempt only."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.exceptions import ExtensionNotAllowed, HookFailed
from fineuploader_receiver.lifecycle.naming import MAX_BYTES, MAX_NAME, check_extension, clean, final_name
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import get_receiver

Options = Callable[..., None]

# Each once was, somewhere, the name of an uploaded file.
HOSTILE = {
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/etc/passwd": "passwd",
    "C:\\temp\\x.txt": "x.txt",
    "..": "file",
    ".": "file",
    "...": "file",
    "": "file",
    "   ": "file",
    "/": "file",
    "a/": "file",
    "-rf": "rf",
    "--help": "help",
    ".htaccess": "htaccess",
    "._x": "x",
    "x.": "x",
    "x..txt": "x.txt",
    "x....": "x",
    "a\0b.txt": "a_b.txt",
    "a\r\nb: c.txt": "a_b_c.txt",
    'say "hi" & <b>\'s.txt': "say_hi_b_s.txt",
    "a;rm -rf *.txt": "a_rm_-rf_.txt",
    "$(x)`y`.txt": "x_y_.txt",
    "%2e%2e%2fx.txt": "2e_2e_2fx.txt",
    "x.txt:stream": "x.txt_stream",
    "x.php\0.jpg": "x.php_.jpg",
    "x.php\ufffd.jpg": "x.php_.jpg",
    "\u202egpj.exe": "gpj.exe",
    "\ud800.txt": "txt",
    "日本語.txt": "日本語.txt",
    "ä.TXT": "ä.TXT",
    "a\u0308.txt": "ä.txt",
    "no extension": "no_extension",
    "archive.tar.gz": "archive.tar.gz",
    "pasted_image.svg+xml": "pasted_image.svg_xml",
    "x" * 300: "x" * MAX_BYTES,
    "x" * 300 + ".txt": "x" * (MAX_BYTES - 4) + ".txt",
    "x." + "y" * 300: "x." + "y" * 30,
    "ä" * 300 + ".txt": "ä" * ((MAX_BYTES - 4) // 2) + ".txt",
    "." * 300 + "txt": "txt",
    "x" * (MAX_BYTES - 1) + "_y": "x" * (MAX_BYTES - 1),
}


@pytest.mark.parametrize(("name", "expected"), HOSTILE.items(), ids=lambda value: ascii(value)[:30])
def test_hostile_name_becomes_a_harmless_one(name: str, expected: str) -> None:
    assert clean(name) == expected


@given(
    st.text(st.characters(exclude_categories=[]), max_size=300) | st.text(st.sampled_from("./\\\0 _-äa~"), max_size=300)
)
def test_any_name_becomes_one_path_component(name: str) -> None:
    cleaned = clean(name)
    assert re.fullmatch(r"[\w.\-]+", cleaned)
    assert not cleaned.startswith((".", "-"))
    assert ".." not in cleaned
    assert 0 < len(cleaned.encode("utf-8")) <= MAX_BYTES
    assert posixpath.basename(cleaned) == cleaned
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=[]), max_size=40), st.sampled_from(["php", "html", "exe"]))
def test_name_that_passes_for_a_picture_is_stored_as_no_other_kind(base: str, kind: str) -> None:
    """An allowed extension must be the extension that the stored file has."""
    for name in (f"{base}.{kind}.jpg", f"{base}.{kind}/.jpg", f"{base}.{kind}\\.jpg", f"{base}.{kind}\0.jpg"):
        if posixpath.splitext(name.strip().lower())[1] == ".jpg":
            assert clean(name).rpartition(".")[2] == "jpg"


def upload(filename: str = "a.txt") -> UploadSession:
    return UploadSession(filename=filename)


@pytest.mark.parametrize("upload_to", ["", "plain", "plain/", "a/b/", lambda upload, name: f"made/{name}"])
def test_final_name_has_a_folder_that_nobody_can_guess(options: Options, upload_to: Any) -> None:
    options(UPLOAD_TO=upload_to)
    names = {final_name(get_receiver("default"), upload()) for _ in range(20)}
    folder = "made" if callable(upload_to) else upload_to.strip("/")
    pattern = re.escape(f"{folder}/" if folder else "") + r"[0-9a-f]{32}/a\.txt"
    assert len(names) == 20
    assert all(re.fullmatch(pattern, name) for name in names)


def test_final_name_by_date(options: Options) -> None:
    name = final_name(get_receiver("default"), upload())
    assert re.fullmatch(r"uploads/\d{4}/\d\d/\d\d/[0-9a-f]{32}/a\.txt", name)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda upload, name: "folder/", "folder/{}/a.txt"),
        (lambda upload, name: "other.bin", "{}/other.bin"),
        (lambda upload, name: "f/.hidden", "f/{}/hidden"),
        (lambda upload, name: f"f\\{name}", "f/{}/a.txt"),
        (lambda upload, name: upload.filename, "{}/a.txt"),
    ],
)
def test_last_component_is_cleaned_whatever_the_site_makes(options: Options, made: Any, expected: str) -> None:
    options(UPLOAD_TO=made)
    name = final_name(get_receiver("default"), upload())
    assert re.fullmatch(expected.format("[0-9a-f]{32}"), name)


@pytest.mark.parametrize("made", ["../x", "a/../../x", "/etc/x", "a\\..\\..\\x", "x" * MAX_NAME + "/y"])
def test_place_outside_the_storage_and_one_that_is_too_long_are_refused(options: Options, made: str) -> None:
    options(UPLOAD_TO=lambda upload, name: made)
    with pytest.raises(HookFailed) as caught:
        final_name(get_receiver("default"), upload())
    assert isinstance(caught.value.__cause__, SuspiciousFileOperation)


def test_hook_that_raises_is_a_hook_that_failed(options: Options) -> None:
    options(UPLOAD_TO=lambda upload, name: 1 / 0)
    with pytest.raises(HookFailed):
        final_name(get_receiver("default"), upload())


def test_longest_final_name_fits(options: Options, tmp_path: Any) -> None:
    options(UPLOAD_TO=lambda upload, name: f"{'f' * 100}/{name}")
    name = final_name(get_receiver("default"), upload("x" * 5000 + ".txt"))
    assert len(name) <= MAX_NAME
    storage = FileSystemStorage(tmp_path)
    assert storage.generate_filename(name) == name


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPG", "A.b.jPg", "  a.jpg  ", ".x.jpg", "jpg.jpg", "a b.jpg", "dir/a.jpg"]
)
def test_allowed_extension(options: Options, name: str) -> None:
    options(ALLOWED_EXTENSIONS=[".JPG", "png"])
    check_extension(get_receiver("default"), name)


@pytest.mark.parametrize(
    "name", ["a.txt", "a", "", "jpg", ".jpg", "a.jpg.exe", "a.jpgx", "a.", "a.jpg.", "a.jpg/", "a.jpg/x", "a.jp g"]
)
def test_other_extension(options: Options, name: str) -> None:
    options(ALLOWED_EXTENSIONS=["jpg", "png"])
    with pytest.raises(ExtensionNotAllowed, match=r"jpg, png"):
        check_extension(get_receiver("default"), name)


def test_any_extension_where_none_is_asked_for(options: Options) -> None:
    options()
    check_extension(get_receiver("default"), "a.exe")


def test_no_extension_where_none_is_allowed(options: Options) -> None:
    options(ALLOWED_EXTENSIONS=[])
    with pytest.raises(ExtensionNotAllowed):
        check_extension(get_receiver("default"), "a.txt")
