"""What the tests know of an S3 server that runs: where it is, who may enter, and how a site names it."""

from __future__ import annotations

import functools
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

ACCESS_KEY, SECRET_KEY, BUCKET = "the-access-key", "the-secret-key-that-nobody-may-read", "uploads"
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class S3Server:
    """A server with the bucket ``uploads``."""

    endpoint: str

    def options(self, **changes: Any) -> dict[str, Any]:
        """The OPTIONS of a site's STORAGES entry, with a place in the bucket that nobody else uses."""
        return {
            "endpoint_url": self.endpoint,
            "bucket_name": BUCKET,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "region_name": "us-east-1",
            "addressing_style": "path",
            "location": f"site-{secrets.token_hex(8)}",
            **changes,
        }

    def storage(self, **changes: Any) -> Any:
        """An `S3Storage` of such a site."""
        return S3Storage(**self.options(**changes))

    @functools.cached_property
    def client(self) -> Any:
        """boto3's client, to look behind the scenes."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5),
        )

    def objects(self, prefix: str) -> dict[str, int]:
        """The keys below a prefix, with their sizes."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    def unfinished(self, prefix: str) -> set[str]:
        """The ids of the multipart uploads below a prefix."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET, Prefix=prefix)
        return {upload["UploadId"] for page in pages for upload in page.get("Uploads", ())}

    def make_bucket(self, process: Popen[bytes], log: Path) -> None:
        """Wait until the server takes an object; fail with the end of its log where it never does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self.client.create_bucket(Bucket=BUCKET)
                self.client.put_object(Bucket=BUCKET, Key="ready", Body=b"x")
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"the S3 server does not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
