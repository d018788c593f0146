"""Pictures that the client scales before it sends them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from browser.files import File, pattern
from browser.uploader import Outcome
from browser.wire import chunk

if TYPE_CHECKING:
    from browser.person import Person

WIDTH, HEIGHT = 60, 40
SCALED = {"scaling": {"sizes": [{"name": "small", "maxSize": 20}, {"name": "medium", "maxSize": 40}]}}
CHUNKED = {"chunking": {"enabled": True, "partSize": 1500}}
CONCURRENT = {"chunking": {"enabled": True, "partSize": 1500, "concurrent": {"enabled": True}}}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def block(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture() -> File:
    """Return a PNG of noise."""
    rows = b"".join(b"\0" + pattern(WIDTH * 3, seed=row) for row in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    content = SIGNATURE + block(b"IHDR", header) + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b"")
    return File(name="picture.png", content=content, type="image/png")


def width(person: Person, upload: dict[str, Any]) -> int:
    """Return the width that the stored PNG declares."""
    content = (person.site.media / upload["file"]).read_bytes()
    assert content.startswith(SIGNATURE)
    assert content.endswith(block(b"IEND", b""))
    return int(struct.unpack(">I", content[16:20])[0])


@pytest.mark.parametrize("mode", [{}, CHUNKED, CONCURRENT], ids=["simple", "sequential", "concurrent"])
def test_scaled_pictures_are_three_files_that_name_their_parent(person: Person, mode: dict[str, Any]) -> None:
    file = picture()
    uploader = person.start("default", SCALED, mode)
    uploader.add(file)
    outcome = uploader.finish()
    assert outcome == Outcome(succeeded=[0, 1, 2])
    uploads = {upload["filename"]: upload for upload in person.uploads()}
    assert {name: width(person, upload) for name, upload in uploads.items()} == {
        "picture (small).png": 20,
        "picture (medium).png": 40,
        "picture.png": 60,
    }
    original = uploads.pop("picture.png")
    assert (original["sha256"], original["params"]) == (file.sha256, {})
    family = {"qqparentuuid": original["uuid"], "qqparentsize": str(len(file.content))}
    assert [upload["params"] for upload in uploads.values()] == [family, family]


def test_scaled_pictures_whose_original_is_never_sent_are_stored(person: Person) -> None:
    uploader = person.start("default", SCALED, {"scaling": {"sendOriginal": False}})
    uploader.add(picture())
    assert uploader.finish().failed == []
    assert sorted(upload["filename"] for upload in person.uploads()) == ["picture (medium).png", "picture (small).png"]
    assert {upload["state"] for upload in person.uploads()} == {"complete"}


def test_scaled_picture_that_failed_is_scaled_again_and_starts_at_chunk_0(person: Person) -> None:
    """A manual retry makes new bytes under the old uuid."""
    small = {"scaling": {"sizes": [{"name": "small", "maxSize": 20}], "sendOriginal": False}}
    uploader = person.start("default", small, {"chunking": {"enabled": True, "partSize": 300}})
    person.wire.fail(chunk(1))
    uploader.add(picture())
    assert uploader.finish().failed == [0]
    uploader.call("retry", 0)
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.wire.indexes[:4] == [0, 1, 0, 1]
    assert person.upload()["uuid"] == uploader.uuid()
    assert width(person, person.upload()) == 20
