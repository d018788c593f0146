"""Where chunks lie: every honest schedule fits, and what fits covers the file exactly once, whoever sent it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.exceptions import BadChunk, UploadError
from fineuploader_receiver.lifecycle.geometry import check_chunk, same_totals
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.protocol.messages import UploadMessage
from fineuploader_receiver.protocol.names import ParamNames
from fineuploader_receiver.protocol.requests import _chunk_fields, _Lookup

NUMBER = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@dataclasses.dataclass(frozen=True)
class Sent:
    """A chunk as the client sends it: what it says, and which bytes it cuts out of the file."""

    index: int
    count: int
    offset: float
    size: float
    total: int | None
    first: int
    last: int

    def message(self) -> UploadMessage:
        said = {
            "qqpartindex": str(self.index),
            "qqtotalparts": str(self.count),
            "qqpartbyteoffset": javascript(self.offset),
            "qqchunksize": javascript(self.size),
        }
        fields = _chunk_fields(_Lookup(said), ParamNames(), self.total, None)
        return UploadMessage(uuid=NUMBER, wire_uuid=str(NUMBER), filename="", **fields)


def javascript(number: float) -> str:
    """A number as JavaScript writes it, for the sizes in question: no decimal point in whole ones."""
    return str(int(number)) if number == int(number) else repr(number)


def schedule(size: int, part_size: float, total: int | None) -> list[Sent]:
    """What the client computes (docs/protocol.md, section 1.7).

    ``Blob.slice`` rounds half to even, and stops at the end.
    """
    count = math.ceil(size / part_size)
    chunks = []
    for index in range(count):
        start = part_size * index
        end = min(start + part_size, size)
        chunks.append(Sent(index, count, start, end - start, total, min(round(start), size), min(round(end), size)))
    return chunks


def is_sound(chunks: list[Sent], size: int) -> bool:
    """Whether the client itself cuts the file into pieces that make it up again; rounding can get in its way."""
    ends = [0, *(chunk.last for chunk in chunks)]
    return ends[-1] == size and all(chunk.first == end for chunk, end in zip(chunks, ends, strict=False))


class Site:
    """Admission as far as geometry goes: the first message makes the row, the others must agree with it."""

    def __init__(self) -> None:
        self.row: UploadSession | None = None
        self.ranges: dict[int, tuple[int, int]] = {}

    def admits(self, chunk: Sent) -> bool:
        try:
            message = chunk.message()
            check_chunk(message)
        except UploadError:
            return False
        if self.row is None:
            self.row = upload_of(message)
        elif not same_totals(self.row, message):
            return False
        assert message.size is not None
        self.ranges[message.index] = (message.offset, message.offset + message.size)
        return True

    @property
    def is_whole(self) -> bool:
        return self.row is not None and len(self.ranges) == self.row.total_chunks


def upload_of(message: UploadMessage) -> UploadSession:
    return UploadSession(
        total_chunks=message.total_chunks, total_size=message.total_size, chunk_size=message.chunk_size
    )


def covered(ranges: Iterable[tuple[int, int]], total: int) -> bool:
    """Whether ranges, in the order of their indexes, cover a file without a gap or an overlap."""
    end = 0
    for start, stop in ranges:
        if start != end:
            return False
        end = stop
    return end == total


part_sizes = st.one_of(
    st.integers(1, 400).map(float),
    st.integers(10, 4000).map(lambda tenths: tenths / 10),
    st.integers(3, 1200).map(lambda thirds: thirds / 3),
    st.floats(1, 400, allow_nan=False),
)


@given(size=st.integers(1, 4000), part_size=st.integers(1, 400), known=st.booleans(), order=st.randoms())
def test_every_honest_schedule_is_accepted_in_any_order(
    size: int, part_size: int, known: bool, order: random.Random
) -> None:
    chunks = schedule(size, float(part_size), size if known else None)
    order.shuffle(chunks)
    site = Site()
    assert all(site.admits(chunk) for chunk in chunks)
    assert site.is_whole
    assert covered((site.ranges[index] for index in range(len(chunks))), size)


@given(size=st.integers(1, 4000), part_size=part_sizes, order=st.randoms())
def test_fractional_part_sizes_are_right_or_refused(size: int, part_size: float, order: random.Random) -> None:
    chunks = schedule(size, part_size, size)
    sound = is_sound(chunks, size)
    order.shuffle(chunks)
    site = Site()
    admitted = [site.admits(chunk) for chunk in chunks]
    if all(admitted):
        assert sound
        assert {chunk.index: (chunk.first, chunk.last) for chunk in chunks} == site.ranges


def test_nearly_all_sound_fractional_part_sizes_are_accepted() -> None:
    """Refusing everything would be right, too, by the test above."""
    accepted, sound = 0, 0
    for size, tenths in itertools.product(range(100, 1000, 37), range(103, 900, 17)):
        chunks = schedule(size, tenths / 10, size)
        if is_sound(chunks, size):
            site = Site()
            sound += 1
            accepted += all(site.admits(chunk) for chunk in chunks)
    assert sound > 900
    assert accepted > 0.95 * sound


@pytest.mark.parametrize("index", [0, 1, 2])
def test_part_size_of_ten_thirds(index: int) -> None:
    """The case of docs/protocol.md, section 1.7: parts of 3, 4 and 3 bytes."""
    message = schedule(10, 10 / 3, 10)[index].message()
    assert (message.offset, message.size) == [(0, 3), (3, 4), (7, 3)][index]
    check_chunk(message)


any_chunks = st.builds(
    lambda index, count, offset, size, total: Sent(index % count, count, offset, size, total, 0, 0),
    index=st.integers(0, 5),
    count=st.integers(1, 6),
    offset=st.one_of(st.integers(0, 60).map(float), st.floats(0, 60)),
    size=st.one_of(st.integers(0, 12).map(float), st.floats(0, 12)),
    total=st.one_of(st.none(), st.integers(0, 60)),
)


@given(size=st.integers(1, 60), part_size=st.floats(1, 12), lies=st.lists(any_chunks, max_size=40), order=st.randoms())
def test_what_is_accepted_never_overlaps(size: int, part_size: float, lies: list[Sent], order: random.Random) -> None:
    """Lying requests among honest ones: whatever was let in lies in disjoint ranges, and makes up one whole file."""
    chunks = schedule(size, part_size, order.choice([size, None])) + lies
    order.shuffle(chunks)
    site = Site()
    for chunk in chunks:
        site.admits(chunk)
    ranges = [site.ranges[index] for index in sorted(site.ranges)]
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(ranges))
    if site.is_whole:
        assert covered(ranges, ranges[-1][1])


def test_part_sizes_that_differ_by_a_few_bytes_are_different_uploads() -> None:
    """Guards against a gap and an overlap that cancel out in the sum: 5 000 000 and 5 000 004 once were the same."""
    upload = upload_of(message(index=0, total_chunks=3, offset=0, size=5_000_000, chunk_size=5_000_000.0))
    lie = message(index=1, total_chunks=3, offset=5_000_004, size=5_000_004, chunk_size=5_000_004.0)
    check_chunk(lie)
    assert not same_totals(upload, lie)


def message(**fields: Any) -> UploadMessage:
    return UploadMessage(uuid=NUMBER, wire_uuid=str(NUMBER), filename="", **{"chunked": True, **fields})


WHOLE = {"index": 0, "total_chunks": 1, "offset": 0, "size": 10, "chunk_size": None}
FIRST = {"index": 0, "total_chunks": 3, "offset": 0, "size": 10, "chunk_size": 10.0, "total_size": 25}
LAST = {"index": 2, "total_chunks": 3, "offset": 20, "size": 5, "chunk_size": 10.0, "total_size": 25}


@pytest.mark.parametrize("fields", [WHOLE, {**WHOLE, "total_size": 10}, FIRST, LAST, {**LAST, "total_size": None}])
def test_chunk_in_its_place(fields: dict[str, Any]) -> None:
    check_chunk(message(**fields))


@pytest.mark.parametrize(
    "changes",
    [
        {**WHOLE, "total_size": 11},
        {**WHOLE, "offset": 1},
        {**FIRST, "offset": 1},
        {**FIRST, "size": 9},
        {**FIRST, "chunk_size": 9.0},
        {**FIRST, "chunk_size": 0.0, "size": 0},
        {**FIRST, "chunk_size": None},
        {**FIRST, "size": None},
        {**FIRST, "total_size": 20},
        {**FIRST, "total_size": 31},
        {**LAST, "offset": 19},
        {**LAST, "offset": 21},
        {**LAST, "size": 4},
        {**LAST, "size": 6},
        {**LAST, "size": 11, "total_size": None},
    ],
    ids=str,
)
def test_chunk_out_of_its_place(changes: dict[str, Any]) -> None:
    with pytest.raises(BadChunk):
        check_chunk(message(**changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"total_size": None}, True),
        ({"total_chunks": 4}, False),
        ({"total_size": 26}, False),
        ({"size": 6}, False),
        ({"size": 4, "total_size": None}, False),
        ({"offset": 18, "size": 7, "chunk_size": 9.0}, False),
    ],
)
def test_totals_of_one_upload_stay_the_same(changes: dict[str, Any], expected: bool) -> None:
    assert same_totals(upload_of(message(**FIRST)), message(**{**LAST, **changes})) is expected


def test_simple_uploads_without_a_size_agree_with_any() -> None:
    simple = message(chunked=False, total_chunks=1, total_size=None)
    check_chunk(simple)
    assert same_totals(upload_of(simple), message(chunked=False, total_chunks=1, total_size=7))
    assert same_totals(UploadSession(total_chunks=1, total_size=7), simple)
