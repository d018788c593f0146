"""What each DURABILITY brings to the disk, and before which commit and which answer, as the kernel was asked for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from crashes.conftest import serve_person
from crashes.person import DATA, PART
from crashes.strace import events, tracer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crashes.person import Person

FOLDERS = [
    "fsync uploads/year/month/day/*",
    "fsync uploads/year/month/day",
    "fsync uploads/year/month",
    "fsync uploads/year",
    "fsync uploads",
    "fsync media",
]
STAGING = ["fsync .fineuploader/*", "fsync .fineuploader", "fsync media"]
DATA_FILE, FINAL, PARTIAL = (
    ".fineuploader/*/data",
    "uploads/year/month/day/*/file.bin",
    "uploads/year/month/day/*/.partial",
)
BEGIN, LEASE = "commit in admission._begin", "commit in completion._take_lease"
COMPLETE = ["commit in completion._publish", "commit in completion._commit"]


def chunk(*flushes: str) -> list[str]:
    """Return the steps of a chunk, with what is flushed before it counts."""
    return ["commit in claims._insert", *flushes, "commit in receiving._commit"]


# A file in two chunks, the second of which completes it.
PROMISED = {
    "files_none": [
        *(BEGIN, *chunk(), "answer", *chunk()),
        *(LEASE, f"link {FINAL}", *COMPLETE),
        *(f"unlink {DATA_FILE}", "answer"),
    ],
    "files_publish": [
        *(BEGIN, *chunk(), "answer", *chunk()),
        *(LEASE, f"fsync {DATA_FILE}", f"link {FINAL}", *FOLDERS, *COMPLETE),
        *(f"unlink {DATA_FILE}", "answer"),
    ],
    "files_chunk": [
        *(*STAGING, BEGIN, *chunk(f"fsync {DATA_FILE}"), "answer", *chunk(f"fsync {DATA_FILE}")),
        *(LEASE, f"fsync {DATA_FILE}", f"link {FINAL}", *FOLDERS, *COMPLETE),
        *(f"unlink {DATA_FILE}", "answer"),
    ],
    # The link is refused, since it would cross devices; so the bytes are copied to a name beside the final one.
    "copied_publish": [
        *(BEGIN, *chunk(), "answer", *chunk()),
        *(LEASE, f"link {FINAL}", f"fsync {PARTIAL}", f"rename {FINAL}", *FOLDERS, *COMPLETE),
        "answer",
    ],
    "objects_publish": [
        *(BEGIN, *chunk(), "answer", *chunk()),
        *(LEASE, f"fsync {FINAL}", *FOLDERS, *COMPLETE),
        *(*["unlink .fineuploader/*/chunk"] * 2, "answer"),
    ],
    "objects_chunk": [
        *(BEGIN, *chunk("fsync .fineuploader/*/chunk", *STAGING), "answer"),
        *chunk("fsync .fineuploader/*/chunk", *STAGING),
        *(LEASE, f"fsync {FINAL}", *FOLDERS, *COMPLETE),
        *(*["unlink .fineuploader/*/chunk"] * 2, "answer"),
    ],
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Iterator[Person]:
    """Somebody at a site that strace watches."""
    if shutil.which("strace") is None:
        pytest.fail("there is no strace on the PATH")
    folder = tmp_path_factory.mktemp("watched")
    with serve_person(folder, elsewhere, workers=1, tracer=tracer(folder / "strace.log")) as person:
        yield person


@pytest.mark.parametrize("alias", PROMISED)
def test_bytes_are_flushed_before_the_commit_and_the_answer_that_rely_on_them(watched: Person, alias: str) -> None:
    watched.clean()
    log, media = watched.site.folder / "strace.log", watched.site.media
    page = watched.open_page(alias, data=DATA[: PART + 1000], success_endpoint=None)
    before = len(list(events(log, media)))
    assert page.send(attempts=1)
    watched.wait_until_quiet()
    assert list(events(log, media))[before:] == PROMISED[alias]


def test_points_lie_between_the_pieces_of_a_chunk(watched: Person) -> None:
    """What the other tests call the middle of a chunk must be one: nothing else would notice."""
    watched.clean()
    assert watched.open_page("files_publish").send(attempts=1)
    points = watched.points()
    first, middle = (points.index(f"FileChunkWriter.write, {name}") for name in ("first, after", "middle, before"))
    assert first < middle
