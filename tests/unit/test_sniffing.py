"""What a file is: its first bytes say, and its name only chooses where they leave a choice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.exceptions import TypeNotAllowed
from fineuploader_receiver.lifecycle.sniffing import SNIFF_SIZE, UNKNOWN, check_type, sniff
from fineuploader_receiver.receivers import get_receiver

Options = Callable[..., None]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ZIP = b"PK\x03\x04" + bytes(20)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(20)
HTML = b"<!DOCTYPE html><html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">'
XML = b"<?xml version='1.0'?><note/>"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (PNG, "a.png", "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a.jpg", "image/jpeg"),
        (b"GIF89a" + bytes(20), "a.gif", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a.webp", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "a.wav", "audio/wav"),
        (b"BM" + bytes(20), "a.bmp", "image/bmp"),
        (b"BMW drivers park here", "a.txt", "text/plain"),
        (b"MZ" + bytes(20), "a.exe", "application/x-msdownload"),
        (b"%PDF-1.7\n", "a.pdf", "application/pdf"),
        (MP4, "a.mp4", "video/mp4"),
        (b"\x00\x00\x00\x18ftypqt  ", "a.mov", "video/quicktime"),
        (b"\x1f\x8b\x08" + bytes(20), "a.tar.gz", "application/gzip"),
        (bytes(257) + b"ustar\x00", "a.tar", "application/x-tar"),
        (ZIP, "a.zip", "application/zip"),
        (ZIP, "a.docx", DOCX),
        (OLE, "a.doc", "application/msword"),
        (HTML, "a.html", "text/html"),
        (b"\xef\xbb\xbf \n <HTML>", "a.html", "text/html"),
        (SVG, "a.svg", "image/svg+xml"),
        (XML, "a.xml", "text/xml"),
        (b"<?xml version='1.0'?><svg/>", "a.svg", "image/svg+xml"),
        (b"Hello", "a.txt", "text/plain"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b'{"a": 1}', "a.json", "application/json"),
        ("Grüße".encode(), "a.txt", "text/plain"),
        ("Grüße".encode("latin-1"), "a.txt", UNKNOWN),
        (b"\x00\x01\x02", "a.bin", UNKNOWN),
        (b"", "a.txt", UNKNOWN),
        (b"", "", UNKNOWN),
    ],
)
def test_kinds(head: bytes, name: str, expected: str) -> None:
    assert sniff(head, name) == expected


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (HTML, "a.png", "text/html"),
        (SVG, "a.png", "image/svg+xml"),
        (PNG, "a.html", "image/png"),
        (PNG, "a.txt", "image/png"),
        (b"Hello", "a.png", "text/plain"),
        (b"Hello", "a.html", "text/plain"),
        (b"Hello", "a.svg", "text/plain"),
        (b"Hello", "a.xhtml", "text/plain"),
        (ZIP, "a.html", "application/zip"),
        (ZIP, "a.png", "application/zip"),
        (XML, "a.xhtml", "application/xml"),
        (bytes(20), "a.png", UNKNOWN),
        (bytes(20), "a.html", UNKNOWN),
    ],
)
def test_name_cannot_make_a_file_something_else(head: bytes, name: str, expected: str) -> None:
    assert sniff(head, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.docx", DOCX),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.odt", "application/vnd.oasis.opendocument.text"),
        ("a.EPUB", "application/epub+zip"),
        ("a.jar", "application/java-archive"),
    ],
)
def test_kinds_are_known_on_every_host(monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    """Guards against office files that are refused where the system has no table of types, as in small containers."""
    monkeypatch.setattr("mimetypes.guess_type", lambda *args, **kwargs: (None, None))
    assert sniff(ZIP, name) == expected


@pytest.mark.parametrize("name", ["http://[a.png", "//[::x.txt", "data:text/html,x", "a://b.html", "x.", ".", "..", ""])
def test_name_that_looks_like_an_address_is_a_name(name: str) -> None:
    """Guards against a table of types that takes names for addresses, and chokes on half of one."""
    assert sniff(b"Hello", name) == "text/plain"


@given(
    st.text(
        min_size=SNIFF_SIZE,
        max_size=2 * SNIFF_SIZE,
        alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]),
    )
)
def test_sample_may_end_within_a_character(text: str) -> None:
    kind = sniff(text.encode("utf-8")[:SNIFF_SIZE], "a.unknown")
    assert kind != UNKNOWN


@given(st.binary(max_size=SNIFF_SIZE), st.text(max_size=20))
def test_any_bytes_and_any_name_have_a_kind(head: bytes, name: str) -> None:
    kind = sniff(head, name)
    assert kind.count("/") == 1


@given(st.binary(max_size=SNIFF_SIZE), st.sampled_from(["a.html", "a.svg", "a.xhtml", "a.htm"]))
def test_only_markup_is_what_a_browser_runs(head: bytes, name: str) -> None:
    if b"<" not in head:
        assert sniff(head, name) not in ("text/html", "image/svg+xml", "application/xhtml+xml")


@pytest.mark.parametrize(
    ("allowed", "kind", "expected"),
    [
        (None, "text/html", True),
        (["image/png"], "image/png", True),
        (["Image/PNG"], "image/png", True),
        (["image/*"], "image/png", True),
        (["image/*"], "image/svg+xml", True),
        (["image/png"], "image/jpeg", False),
        (["image/*"], "text/html", False),
        (["image/*"], UNKNOWN, False),
        ([], "image/png", False),
    ],
)
def test_allowed_types(options: Options, allowed: list[str] | None, kind: str, expected: bool) -> None:
    options(ALLOWED_CONTENT_TYPES=allowed)
    if expected:
        check_type(get_receiver("default"), kind)
    else:
        with pytest.raises(TypeNotAllowed):
            check_type(get_receiver("default"), kind)
