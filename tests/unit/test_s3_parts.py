"""Which part numbers chunks get, how large parts are, and what rows remember of them."""

from __future__ import annotations

import secrets

import pytest

from fineuploader_receiver.backends import s3_parts
from fineuploader_receiver.backends.base import Plan, Staging, StagingLost, StoredChunk
from fineuploader_receiver.backends.s3_parts import (
    LARGEST_PART,
    MOST_PARTS,
    SMALLEST_PART,
    SPOOLED_PARTS,
    Part,
    Place,
    even_parts,
    from_keys,
    parts_per_chunk,
    spooled_size,
    to_key,
)

GIB = 2**30


@pytest.mark.parametrize(("chunks", "parts"), [(1, 1), (3, 1), (3, 2), (7, 1000), (10_000, 1), (5000, 2)])
def test_numbers_keep_the_order_of_the_file_whatever_the_attempts_are(chunks: int, parts: int) -> None:
    place = Place(key="k", upload="u", parts=parts, slots=MOST_PARTS // (chunks * parts))
    numbers = [
        place.number(index=index, piece=piece, token=secrets.token_hex(16))
        for index in range(chunks)
        for piece in range(parts)
    ]
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 1
    assert numbers[-1] <= MOST_PARTS


def test_attempts_at_a_chunk_get_numbers_of_their_own() -> None:
    place = Place(key="k", upload="u", slots=2500)
    assert place.number(index=1, piece=0, token="00000001" + "0" * 24) == 2502
    assert place.number(index=1, piece=0, token="00000002" + "0" * 24) == 2503


@pytest.mark.parametrize(("index", "piece"), [(MOST_PARTS, 0), (0, 1)])
def test_chunk_without_a_place_is_refused(index: int, piece: int) -> None:
    with pytest.raises(StagingLost):
        Place(key="k", upload="u").number(index=index, piece=piece, token="0" * 32)


@pytest.mark.parametrize("size", [1, SMALLEST_PART, LARGEST_PART, LARGEST_PART + 1, 2 * LARGEST_PART + 7, 48 * GIB])
def test_parts_of_a_chunk_are_within_the_limits_and_make_it_up(size: int) -> None:
    parts = even_parts(size)
    assert sum(parts) == size
    assert max(parts) <= LARGEST_PART
    assert len(parts) == 1 or min(parts) >= SMALLEST_PART
    assert len(parts) <= parts_per_chunk(Plan(total_size=size))


def test_empty_chunk_has_no_parts() -> None:
    assert even_parts(0) == []


def test_body_of_unknown_length_may_have_many_parts_of_legal_sizes() -> None:
    sizes = [spooled_size(piece) for piece in range(parts_per_chunk(Plan()))]
    assert len(sizes) == SPOOLED_PARTS
    assert SMALLEST_PART <= min(sizes) <= max(sizes) <= LARGEST_PART
    assert sum(sizes) > 40 * GIB


def test_key_remembers_the_parts() -> None:
    parts = [Part(17, "0" * 32, 5, True), Part(18, "weird", 7, False)]
    assert from_keys([StoredChunk(index=0, offset=0, size=12, key=to_key(parts))]) == parts


@pytest.mark.parametrize("key", ["", "0" * 32, "[[1]]", to_key([Part(1, "e", 11, True)])])
def test_key_that_does_not_make_up_the_chunk_is_a_loss(key: str) -> None:
    with pytest.raises(StagingLost):
        from_keys([StoredChunk(index=0, offset=0, size=12, key=key)])


@pytest.mark.parametrize("handle", ["", "x", "[]", '{"key": "k"}'])
def test_row_that_names_no_multipart_upload_is_a_loss(handle: str) -> None:
    with pytest.raises(StagingLost):
        Place.of(Staging("bucket", "name", handle))


def test_etag_of_parts_is_known_where_theirs_are_digests() -> None:
    parts = [Part(1, "006a88ed7d5826af90d38dba4666fd89", 5, True)] * 2
    assert s3_parts.etag_of(parts).endswith("-2")
    assert s3_parts.etag_of([*parts, Part(3, "0" * 32, 5, False)]) == ""
