"""Trying an S3 store for real: what `manage.py check --deploy` finds out about bucket, credentials and permissions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from .base import BackendFailed, OutOfSpace, StagingLost
from .s3_client import DENIED, MISSING, Refused, S3Client

T = TypeVar("T")

PROBE = b"check"
GAP = 2
"""The number of the only part: a store that wants them without gaps shows it here."""


def round_trip(client: S3Client) -> list[str]:
    """Do with a small object all that uploads do. Returns what failed, as sentences that name the permission."""
    probe = _Probe(client)
    probe.run()
    return probe.problems


class _Probe:
    """One round trip, under a key that no upload uses."""

    def __init__(self, client: S3Client) -> None:
        self.problems: list[str] = []
        self._client = client
        self._key = client.key(f".fineuploader/check/{secrets.token_hex(16)}")

    def run(self) -> None:
        self._try("look for an object that is not there", "s3:GetObject and s3:ListBucket", self._miss)
        upload = self._try("begin a multipart upload", "s3:PutObject", self._begin)
        if upload is not None:
            self._write(upload)
            self._try("abort a multipart upload", "s3:AbortMultipartUpload", lambda: self._abort(upload))
        self._try("list multipart uploads", "s3:ListBucketMultipartUploads", self._list)

    def _write(self, upload: str) -> None:
        etag = self._try("upload a part", "s3:PutObject", lambda: self._put(upload))
        if etag is None:
            return
        if self._try("complete a multipart upload", "s3:PutObject", lambda: self._complete(upload, etag)) is None:
            return
        if self._try("read an object", "s3:GetObject", self._read) not in (None, PROBE):
            self.problems.append("The store returned other bytes than it was given.")
        self._try("delete an object", "s3:DeleteObject", self._delete)

    def _try(self, doing: str, permission: str, call: Callable[[], T]) -> T | None:
        """The call's result; None where it failed, and the problem is noted."""
        try:
            return call()
        except (BackendFailed, OutOfSpace, StagingLost) as error:
            problem = f'The bucket "{self._client.bucket}" did not let us {doing} ({error}).'
            if isinstance(error, Refused) and error.code in DENIED:
                problem += f" The credentials need {permission}."
            self.problems.append(problem)
            return None

    def _miss(self) -> None:
        try:
            self._client.call("head_object", key=self._key)
        except Refused as error:
            if error.code not in MISSING:
                raise

    def _begin(self) -> str:
        return str(self._client.call("create_multipart_upload", key=self._key)["UploadId"])

    def _put(self, upload: str) -> str:
        answer = self._client.send(
            "upload_part", key=self._key, UploadId=upload, PartNumber=GAP, Body=PROBE, ContentLength=len(PROBE)
        )
        return str(answer["ETag"])

    def _complete(self, upload: str, etag: str) -> bool:
        parts = [{"PartNumber": GAP, "ETag": etag}]
        self._client.call("complete_multipart_upload", key=self._key, UploadId=upload, MultipartUpload={"Parts": parts})
        return True

    def _read(self) -> bytes:
        return self._client.read(key=self._key)

    def _delete(self) -> None:
        self._client.call("delete_object", key=self._key)

    def _abort(self, upload: str) -> None:
        """Also after it was completed: whether that is allowed is told before whether there is such an upload."""
        try:
            self._client.call("abort_multipart_upload", key=self._key, UploadId=upload)
        except StagingLost:
            return

    def _list(self) -> None:
        for _ in self._client.pages("list_multipart_uploads", Prefix=self._key):
            pass
