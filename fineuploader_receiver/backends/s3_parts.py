"""Which S3 parts a chunk becomes, and how a row remembers them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence

from .base import Plan, Staging, StagingLost, StoredChunk

SMALLEST_PART = 5 * 2**20
"""S3 refuses smaller parts, but for the last one, when it completes the file."""

LARGEST_PART = 5 * 2**30
MOST_PARTS = 10_000

SPOOLED_PART = 8 * 2**20
"""The first parts of a body whose length is not known; later ones are larger."""

SPOOLED_PARTS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """One multipart upload: what `Staging.handle` holds, as JSON.

    Every chunk may take `parts` parts, and every part one of `slots` numbers, which the attempt's token picks: a late
    attempt then leaves a part that nobody names, instead of replacing the one that the row names. Gaps between numbers
    are legal. `etags` says whether the store's ETags are MD5 digests.
    """

    key: str
    upload: str
    parts: int = 1
    slots: int = 1
    etags: bool = True

    @classmethod
    def of(cls, staging: Staging) -> Place:
        """Raises StagingLost where the row knows nothing of the kind."""
        try:
            return cls(**json.loads(staging.handle))
        except (ValueError, TypeError) as error:
            raise StagingLost("The row does not say which multipart upload it is.") from error

    @property
    def handle(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    def number(self, *, index: int, piece: int, token: str) -> int:
        """The part number of the piece of a chunk. Raises StagingLost for a chunk that has no place in the upload."""
        number = (index * self.parts + piece) * self.slots + int(token[:8], 16) % self.slots + 1
        if number > MOST_PARTS or piece >= self.parts:
            raise StagingLost("The chunk has no place in the multipart upload.")
        return number


def parts_per_chunk(plan: Plan) -> int:
    """How many parts one chunk may take: more than one where it is too large for a part, or of unknown size."""
    size = plan.total_size if plan.total_chunks == 1 else plan.chunk_size
    if size is None:
        return SPOOLED_PARTS
    return max(1, math.ceil(size / LARGEST_PART))


def even_parts(size: int) -> list[int]:
    """The sizes of the parts of one chunk: about the same, so that none is too small."""
    count = max(1, -(-size // LARGEST_PART))
    length = -(-size // count)
    return [min(length, size - start) for start in range(0, size, length)] if size else []


def spooled_size(piece: int) -> int:
    """The size of a part of a body whose length is not known: a thousand of them hold 44 GB."""
    return SPOOLED_PART * (1 + piece // 100)


@dataclasses.dataclass(frozen=True)
class Part:
    """A stored part, with the ETag that the store answered, and whether that is the MD5 digest of its bytes."""

    number: int
    etag: str
    size: int
    is_digest: bool


def to_key(parts: Iterable[Part]) -> str:
    """What the chunk's row keeps."""
    rows = [[part.number, part.etag, part.size, int(part.is_digest)] for part in parts]
    return json.dumps(rows, separators=(",", ":"))


def from_keys(chunks: Sequence[StoredChunk]) -> list[Part]:
    """The parts of an upload in order. Raises StagingLost where a row does not name parts that make up its chunk."""
    found: list[Part] = []
    for chunk in chunks:
        try:
            parts = [Part(*values) for values in json.loads(chunk.key)]
        except (ValueError, TypeError) as error:
            raise StagingLost("A chunk's row does not name its parts.") from error
        if sum(part.size for part in parts) != chunk.size:
            raise StagingLost("The parts of a chunk do not add up to it.")
        found += parts
    return found


def etag_of(parts: Sequence[Part]) -> str:
    """The ETag of the object that these parts make, where theirs are MD5 digests; else empty."""
    if not all(part.is_digest for part in parts):
        return ""
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
