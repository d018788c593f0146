"""Where each chunk lies. Ranges follow from an upload's totals alone, so no two of its chunks can overlap."""

from __future__ import annotations

from ..exceptions import BadChunk
from ..models import UploadSession
from ..protocol.messages import UploadMessage


def check_chunk(message: UploadMessage) -> None:
    """Raise BadChunk unless the chunk lies where an upload of its own totals has it."""
    if not message.chunked:
        return
    if not _totals_agree(message) or not _in_its_place(message, message.chunk_size, message.total_size):
        raise BadChunk


def same_totals(upload: UploadSession, message: UploadMessage) -> bool:
    """Whether the message speaks of the same file; what one of them leaves open agrees with anything.

    Its chunk must lie where this upload has it, to the byte: a fractional part size is spelled a little differently by
    each chunk, and a lying one could differ by just enough to overlap its neighbour.
    """
    if upload.total_chunks != message.total_chunks:
        return False
    if upload.total_size is not None and message.total_size not in (None, upload.total_size):
        return False
    if not message.chunked or upload.chunk_size is None:
        return True
    total = message.total_size if upload.total_size is None else upload.total_size
    return _in_its_place(message, upload.chunk_size, total)


def _totals_agree(message: UploadMessage) -> bool:
    size, total, count = message.chunk_size, message.total_size, message.total_chunks
    if count == 1:
        return total is None or total == message.size
    if size is None or size <= 0:
        return False
    # Unrounded below: where the last chunk is less than half a byte, the client sends it without any.
    return total is None or size * (count - 1) < total <= round(size * count)


def _in_its_place(message: UploadMessage, chunk_size: float | None, total_size: int | None) -> bool:
    size, index = chunk_size or 0, message.index
    start = round(size * index)
    if message.offset != start or message.size is None:
        return False
    end = message.offset + message.size
    if index < message.total_chunks - 1:
        return end == round(size * (index + 1))
    fits = total_size is None or end == total_size
    return fits and (chunk_size is None or end <= round(size * (index + 1)))
