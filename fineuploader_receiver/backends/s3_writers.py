"""Writers that make S3 parts of a chunk's bytes: as they arrive, or spooled where they cannot be sent at once."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from base64 import b64encode
from typing import IO, Any

from django.conf import settings

from .base import NO_SPACE, BackendFailed, ChunkWriter, OutOfSpace, StagingLost
from .pipe import Pipe, PipeBroken
from .s3_client import Refused, S3Client
from .s3_parts import Part, Place, even_parts, spooled_size, to_key

WANTS_DIGESTS = frozenset({"InvalidRequest", "MissingContentMD5"})
"""What a store says that wants a digest with every part, as Amazon's does for buckets with object lock."""

SPOOL_SIZE = 2**20
"""Bytes of a spooled part that are kept in memory."""


class PartSender:
    """One UploadPart that is fed while it runs, in a thread, because boto3 pulls."""

    def __init__(self, client: S3Client, place: Place, *, number: int, size: int) -> None:
        self._client = client
        self._place = place
        self._number = number
        self._size = size
        self._digest = hashlib.md5(usedforsecurity=False)
        self._pipe = Pipe()
        self._etag = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="fineuploader-part", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises what has ended the call meanwhile."""
        self._digest.update(data)
        try:
            self._pipe.push(data)
        except PipeBroken:
            self._raise()

    def finish(self) -> Part:
        """Wait for the store's answer, and compare its digest with ours."""
        self._pipe.end()
        self._thread.join()
        if self._error is not None:
            self._raise()
        if self._etag != self._digest.hexdigest():
            # Either the bytes changed on the way, or this store's ETags are no digests. From now on it is to check.
            self._client.etags_are_digests = False
            raise BackendFailed(f"upload_part: the store answered with the ETag {self._etag[:40]!r}")
        return Part(self._number, self._etag, self._size, True)

    def abort(self) -> None:
        """End the call. A thread that waits for the store ends when that answers, or its patience does."""
        self._pipe.break_off()

    def _run(self) -> None:
        try:
            self._etag = upload_part(self._client, self._place, number=self._number, body=self._pipe, size=self._size)
        except Exception as error:
            self._error = error
        finally:
            # Also after an answer that came too early: whoever is still writing must not wait for a reader.
            self._pipe.break_off()

    def _raise(self) -> None:
        self._thread.join()
        if isinstance(self._error, (StagingLost, OutOfSpace, BackendFailed)):
            raise self._error
        raise BackendFailed(f"upload_part: {type(self._error).__name__}") from self._error


class StreamingWriter(ChunkWriter):
    """Sends the bytes of a chunk of known size as they arrive."""

    def __init__(self, client: S3Client, place: Place, *, index: int, size: int, token: str) -> None:
        self.key = token
        self._client = client
        self._place = place
        self._index = index
        self._token = token
        self._sizes = even_parts(size)
        self._left = 0
        self._sender: PartSender | None = None
        self._parts: list[Part] = []

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            if self._sender is None:
                self._sender = self._begin_part()
            piece, view = view[: self._left], view[self._left :]
            self._sender.write(bytes(piece))
            self._left -= len(piece)
            if not self._left:
                self._finish_part(self._sender)

    def commit(self) -> str:
        if self._sender is not None or len(self._parts) != len(self._sizes):
            raise BackendFailed("The chunk is shorter than it was announced.")
        self.key = to_key(self._parts)
        return self.key

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if self._sender is not None:
            self._sender.abort()
            self._sender = None

    def _begin_part(self) -> PartSender:
        piece = len(self._parts)
        if piece >= len(self._sizes):
            raise BackendFailed("The chunk is longer than it was announced.")
        self._left = self._sizes[piece]
        number = self._place.number(index=self._index, piece=piece, token=self._token)
        return PartSender(self._client, self._place, number=number, size=self._left)

    def _finish_part(self, sender: PartSender) -> None:
        self._parts.append(sender.finish())
        self._sender = None


class SpoolingWriter(ChunkWriter):
    """Keeps each part in a temporary file until it is whole, and sends it with its digest.

    For bodies whose length is not known (old browsers' forms), and for stores whose ETag is no digest (encryption with
    keys of the site's own).
    """

    def __init__(
        self, client: S3Client, place: Place, *, index: int, size: int | None, token: str, folder: str | None
    ) -> None:
        self.key = token
        self._client = client
        self._place = place
        self._index = index
        self._token = token
        self._sizes = None if size is None else even_parts(size)
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            SPOOL_SIZE, dir=folder or settings.FILE_UPLOAD_TEMP_DIR
        )
        self._digest = hashlib.md5(usedforsecurity=False)
        self._spooled = 0
        self._parts: list[Part] = []

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            room = self._whole() - self._spooled
            if room:
                self._keep(view[:room])
                view = view[room:]
            else:
                self._send()

    def commit(self) -> str:
        if self._spooled:
            self._send()
        self.key = to_key(self._parts)
        return self.key

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # On a full disk closing fails to write what is still buffered.
            self._spool.close()

    def _whole(self) -> int:
        """How large the part is that is being spooled."""
        piece = len(self._parts)
        if self._sizes is None:
            return spooled_size(piece)
        if piece >= len(self._sizes):
            raise BackendFailed("The chunk is longer than it was announced.")
        return self._sizes[piece]

    def _keep(self, data: memoryview) -> None:
        try:
            self._spool.write(data)
        except OSError as error:
            raise (OutOfSpace if error.errno in NO_SPACE else BackendFailed)(repr(error)) from error
        self._digest.update(data)
        self._spooled += len(data)

    def _send(self) -> None:
        number = self._place.number(index=self._index, piece=len(self._parts), token=self._token)
        self._spool.seek(0)
        etag = upload_part(
            self._client, self._place, number=number, body=self._spool, size=self._spooled, digest=self._digest.digest()
        )
        self._parts.append(Part(number, etag, self._spooled, etag == self._digest.hexdigest()))
        self._spool.seek(0)
        self._spool.truncate()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._spooled = 0


def upload_part(
    client: S3Client, place: Place, *, number: int, body: Any, size: int, digest: bytes | None = None
) -> str:
    """Send a part and return its ETag; with a digest the store checks it, and the body can be sent again."""
    arguments: dict[str, Any] = {"UploadId": place.upload, "PartNumber": number, "Body": body, "ContentLength": size}
    if digest is None:
        try:
            answer = client.send("upload_part", key=place.key, **arguments)
        except Refused as error:
            if error.code in WANTS_DIGESTS:
                # The client's repeat, and everything after it, is spooled and sent with one.
                client.etags_are_digests = False
            raise
    else:
        answer = client.call("upload_part", key=place.key, ContentMD5=b64encode(digest).decode(), **arguments)
    return str(answer["ETag"]).strip('"')
