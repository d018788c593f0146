"""Where each chunk lies. Ranges follow from three totals alone, so no two chunks of an upload can overlap."""

from __future__ import annotations

from ..exceptions import BadChunk
from ..models import UploadSession
from ..protocol.messages import UploadMessage

# Two spellings of one fractional part size differ in their last digits only: the client computes end minus start.
_TOLERANCE = 1e-6


def check_chunk(message: UploadMessage) -> None:
    """Raise BadChunk unless the chunk lies where an upload of its own totals has it."""
    if not message.chunked:
        return
    if not _totals_agree(message) or not _in_its_place(message):
        raise BadChunk


def same_totals(upload: UploadSession, message: UploadMessage) -> bool:
    """Whether the message speaks of the same file; what one of them leaves open agrees with anything."""
    return (
        upload.total_chunks == message.total_chunks
        and (message.total_size is None or upload.total_size in (None, message.total_size))
        and (
            upload.chunk_size is None
            or message.chunk_size is None
            or abs(upload.chunk_size - message.chunk_size) <= _TOLERANCE * upload.chunk_size
        )
    )


def _totals_agree(message: UploadMessage) -> bool:
    size, total, count = message.chunk_size, message.total_size, message.total_chunks
    if count == 1:
        return total is None or total == message.size
    if size is None or size <= 0:
        return False
    return total is None or round(size * (count - 1)) < total <= round(size * count)


def _in_its_place(message: UploadMessage) -> bool:
    size, index = message.chunk_size, message.index
    last = index == message.total_chunks - 1
    start = round((size or 0) * index)
    if message.offset != start or message.size is None:
        return False
    if not last:
        return message.offset + message.size == round((size or 0) * (index + 1))
    fits = message.total_size is None or message.offset + message.size == message.total_size
    return fits and (size is None or message.size <= round(size * (index + 1)) - start)
