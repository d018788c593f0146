"""Chunks as parts of one S3 multipart upload: every byte goes to the store once, and the store puts the file together.

The upload begins under the file's final name; which part numbers a chunk may use follows from the totals that were
declared. What completes the file are the numbers and ETags in the rows, never a listing (SeaweedFS lists a part twice
that was sent twice). Afterwards the object must have the size and the ETag that follow from the rows: a late attempt
may have replaced a part where its number had no alternative, and not every store compares the ETags that it is told.
"""

from __future__ import annotations

import contextlib
import datetime
import posixpath
import re
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any, ClassVar

from storages.backends.s3 import S3Storage

from .base import Backend, BackendFailed, ChunkWriter, Plan, Staging, StagingLost, StoredChunk, TooManyParts
from .s3_check import round_trip
from .s3_client import MISSING, Refused, S3Client, UploadGone
from .s3_objects import head_object, open_object
from .s3_parts import MOST_PARTS, SMALLEST_PART, Part, Place, etag_of, from_keys, parts_per_chunk
from .s3_writers import SpoolingWriter, StreamingWriter

_OURS = re.compile(r"(?:.*/)?([0-9a-f]{32})/[^/]+\Z", re.DOTALL)
_CEPH = "2~"
_PARTS_DIFFER = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})
"""What stores say when parts are not those that the rows name; none of them is too small, so it was replaced."""

PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds between looks for an object."""

EMPTY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
"""Buckets with object lock want a digest with everything."""

_OWN_KEYS = ("aws:kms", "aws:kms:dsse")


class S3MultipartBackend(Backend):
    """For django-storages' `S3Storage`. The object is what that storage itself would have made of the file."""

    storage: S3Storage
    fixed_name: ClassVar[bool] = True
    fallback: ClassVar[str] = "fineuploader_receiver.backends.s3_generic.S3GenericBackend"
    smallest_chunk: ClassVar[int] = SMALLEST_PART
    most_chunks: ClassVar[int | None] = MOST_PARTS

    def __init__(self, storage: S3Storage, *, staging_dir: str | None = None, durability: str = "publish") -> None:
        super().__init__(storage, staging_dir=staging_dir, durability=durability)
        self._client = S3Client(storage)

    def suits(self, plan: Plan) -> bool:
        parameters = self._client.write_parameters(self._client.key(plan.name))
        if self.storage.gzip or any(name.startswith("Checksum") for name in parameters):
            # The storage changes the bytes, or wants digests of all of them.
            return False
        if plan.total_chunks > 1 and (plan.chunk_size or 0) < SMALLEST_PART:
            return False
        if plan.total_chunks * parts_per_chunk(plan) > MOST_PARTS:
            raise TooManyParts
        return True

    def begin(self, plan: Plan) -> Staging:
        key = self._client.key(plan.name)
        answer = self._client.call("create_multipart_upload", key=key)
        parts = parts_per_chunk(plan)
        place = Place(
            key=key,
            upload=answer["UploadId"],
            parts=parts,
            slots=_slots(answer["UploadId"], max(1, plan.total_chunks) * parts),
            etags=answer.get("ServerSideEncryption") not in _OWN_KEYS and "SSECustomerAlgorithm" not in answer,
        )
        return Staging(self._client.bucket, posixpath.basename(posixpath.dirname(key)), place.handle)

    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        place = self._place(staging)
        if size is not None and place.etags and self._client.etags_are_digests:
            return StreamingWriter(self._client, place, index=index, size=size, token=token)
        return SpoolingWriter(self._client, place, index=index, size=size, token=token, folder=self.staging_dir)

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        place = self._place(staging)
        if place.key != self._client.key(name):
            raise StagingLost("The storage keeps its files elsewhere than when the upload began.")
        if size == 0:
            # A multipart upload is of one part at least.
            self._client.call("put_object", key=place.key, Body=b"", ContentMD5=EMPTY_MD5)
            return name
        parts = from_keys(chunks)
        try:
            self._complete(place, parts)
        except (StagingLost, BackendFailed) as error:
            # It may have been completed by a call whose answer was lost, or by another process.
            if not self._shows(place.key, patiently=isinstance(error, UploadGone)):
                if isinstance(error, StagingLost) or self._is_gone(place):
                    raise StagingLost(str(error)) from error
                raise
        self._verify(place.key, parts, size)
        return name

    def open(self, name: str) -> IO[Any]:
        return open_object(self._client, name)

    def retract(self, name: str) -> None:
        try:
            self._client.call("delete_object", key=self._client.key(name))
        except Refused as error:
            if error.code not in MISSING:
                raise

    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        completed = published and any(chunk.size for chunk in chunks)
        if completed or not staging.handle:
            return True
        place = Place.of(staging)
        with contextlib.suppress(StagingLost):
            self._client.call("abort_multipart_upload", key=place.key, bucket=staging.root, UploadId=place.upload)
        return True

    def orphans(self, *, before: datetime.datetime) -> Iterator[Staging]:
        prefix = self._client.key("")
        for page in self._client.pages("list_multipart_uploads", Prefix=prefix and f"{prefix.rstrip('/')}/"):
            for upload in page.get("Uploads", ()):
                ours = _OURS.match(upload["Key"])
                if ours and upload["Initiated"].timestamp() < before.timestamp():
                    place = Place(key=upload["Key"], upload=upload["UploadId"])
                    yield Staging(self._client.bucket, ours.group(1), place.handle)

    def check(self) -> list[str]:
        return round_trip(self._client)

    def _place(self, staging: Staging) -> Place:
        if staging.root != self._client.bucket:
            raise StagingLost("The storage has another bucket than when the upload began.")
        return Place.of(staging)

    def _complete(self, place: Place, parts: Sequence[Part]) -> None:
        named = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in parts]
        try:
            self._client.call(
                "complete_multipart_upload",
                key=place.key,
                UploadId=place.upload,
                MultipartUpload={"Parts": named},
            )
        except Refused as error:
            if error.code in _PARTS_DIFFER:
                raise StagingLost(str(error)) from error
            raise

    def _shows(self, key: str, *, patiently: bool) -> bool:
        """Whether the object is there. A store may drop the upload a moment before it shows what it made of it."""
        for pause in PAUSES if patiently else ():
            if head_object(self._client, key) is not None:
                return True
            time.sleep(pause)
        return head_object(self._client, key) is not None

    def _is_gone(self, place: Place) -> bool:
        """Whether there is no such multipart upload: Ceph calls its completion an internal error then."""
        try:
            self._client.call("list_parts", key=place.key, UploadId=place.upload, MaxParts=1)
        except StagingLost:
            return True
        except Refused as error:
            if error.code in MISSING:
                return True
            raise
        return False

    def _verify(self, key: str, parts: Sequence[Part], size: int) -> None:
        """See that the object is what the rows say. Raises StagingLost where it is not: the removal deletes it."""
        head = head_object(self._client, key)
        if head is None:
            raise BackendFailed("The store has completed the file, and does not show it.")
        etag, expected = head.get("ETag", "").strip('"'), etag_of(parts)
        same = etag == expected or not (expected and re.fullmatch(r"[0-9a-f]{32}-[0-9]+", etag))
        if head["ContentLength"] != size or not same:
            raise StagingLost("The store has made another file of the parts than was sent.")


def _slots(upload: str, parts: int) -> int:
    """How many numbers every part may choose from.

    Ceph, whose upload ids begin like no other's, refuses to complete an upload with parts that are not named. There a
    late attempt replaces the part; what it replaced it with is noticed by its ETag, and mostly the same bytes.
    """
    return 1 if upload.startswith(_CEPH) else max(1, MOST_PARTS // parts)
