"""Files over an object that is read by ranges."""

from __future__ import annotations

import io
import random

import pytest
from django.core.files.base import File

from fineuploader_receiver.backends.ranged import FIRST_RANGE, LONGEST_RANGE, open_ranged

DATA = random.Random(4).randbytes(20 * 2**20 + 7)


class Store:
    """Holds one object, and notes which ranges of it were asked for."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def read_range(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.data[start:end]

    def open(self) -> File[bytes]:
        return open_ranged("a/b.bin", size=len(self.data), read_range=self.read_range)


@pytest.fixture
def store() -> Store:
    return Store()


def test_reading_the_head_asks_for_little(store: Store) -> None:
    with store.open() as file:
        assert file.read(512) == DATA[:512]
    assert store.asked == [(0, FIRST_RANGE)]


def test_opening_asks_for_nothing_and_knows_name_and_size(store: Store) -> None:
    with store.open() as file:
        assert (file.name, file.size) == ("a/b.bin", len(DATA))
    assert store.asked == []


def test_whole_file_in_pieces_is_exact_and_asks_for_each_byte_once(store: Store) -> None:
    with store.open() as file:
        assert b"".join(file.chunks()) == DATA
    assert sum(end - start for start, end in store.asked) == len(DATA)
    assert max(end - start for start, end in store.asked) == LONGEST_RANGE
    assert len(store.asked) < 12


def test_jumps_are_exact() -> None:
    choose, plain = random.Random(44), io.BytesIO(DATA)
    with Store().open() as file:
        for _ in range(200):
            position, size = choose.randrange(len(DATA) + 10), choose.choice([0, 1, 100, 70_000])
            plain.seek(position)
            file.seek(position)
            assert file.read(size) == plain.read(size)
            assert file.tell() == plain.tell()


def test_seeks_from_here_and_from_the_end(store: Store) -> None:
    with store.open() as file:
        file.seek(10)
        file.seek(5, io.SEEK_CUR)
        assert file.tell() == 15
        file.seek(-3, io.SEEK_END)
        assert file.read() == DATA[-3:]


def test_lines_and_whole_reads_work_as_in_any_file() -> None:
    with Store(b"one\ntwo\nthree").open() as file:
        assert list(file) == [b"one\n", b"two\n", b"three"]
        file.seek(0)
        assert file.read() == b"one\ntwo\nthree"


def test_empty_object_asks_for_nothing() -> None:
    store = Store(b"")
    with store.open() as file:
        assert file.read() == b""
    assert store.asked == []


def test_answer_that_breaks_off_is_an_error_and_no_end_of_file(store: Store) -> None:
    store.read_range = lambda start, end: DATA[start : end - 1]  # type: ignore[method-assign]
    with store.open() as file, pytest.raises(OSError, match="65535 of 65536 bytes"):
        file.read()
