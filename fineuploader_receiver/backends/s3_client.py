"""The calls to an S3 store, made as a django-storages `S3Storage` would make them, with errors in the contract's terms.

Two clients per process, for boto3's may not be carried over a fork: one for short calls, which repeats what failed, and
one for bodies that arrive while they are sent and cannot be sent again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from .base import BackendFailed, OutOfSpace, StagingLost

CONNECT_TIMEOUT, READ_TIMEOUT = 20, 60
"""Seconds without a sign of life from the store; the site's own `client_config` may say otherwise."""

CONNECTIONS = 50

GONE = frozenset({"NoSuchUpload"})
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
DENIED = frozenset({"403", "AccessDenied", "Forbidden", "AllAccessDisabled"})
FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "StorageFull", "XMinioStorageFull"})


class S3Client:
    """The store behind a storage. Every call raises what the contract knows, and never tells a secret."""

    def __init__(self, storage: S3Storage) -> None:
        self.storage = storage
        self.bucket: str = storage.bucket_name
        #: Until this process has seen an ETag that is not the MD5 digest of what was sent.
        self.etags_are_digests = True
        self._clients: tuple[int, Any, Any] | None = None
        self._lock = threading.Lock()

    def key(self, name: str) -> str:
        """Where the storage keeps a file of that name."""
        key: str = self.storage._normalize_name(clean_name(name))
        return key

    def write_parameters(self, key: str) -> dict[str, Any]:
        """What the storage itself would say of an object that it writes."""
        parameters: dict[str, Any] = self.storage._get_write_parameters(key)
        return parameters

    def call(self, operation: str, *, key: str = "", bucket: str = "", **arguments: Any) -> dict[str, Any]:
        """Make a short call, with those of the object's parameters that it takes. Repeats what may work yet."""
        return self._call(0, operation, key, bucket or self.bucket, arguments)

    def send(self, operation: str, *, key: str, **arguments: Any) -> dict[str, Any]:
        """Make a call whose body can be read once."""
        return self._call(1, operation, key, self.bucket, arguments)

    def pages(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The pages of a listing."""
        with translated(operation):
            yield from self._pair()[0].get_paginator(operation).paginate(Bucket=self.bucket, **arguments)

    def read(self, *, key: str, **arguments: Any) -> bytes:
        """The bytes of an object, or of a range of it."""
        with translated("get_object"):
            data: bytes = self.call("get_object", key=key, **arguments)["Body"].read()
            return data

    def _call(self, which: int, operation: str, key: str, bucket: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with translated(operation):
            client = self._pair()[which]
            known = self._parameters(client, operation, key) if key else {}
            answer: dict[str, Any] = getattr(client, operation)(Bucket=bucket, **known, **arguments)
            return answer

    def _parameters(self, client: Any, operation: str, key: str) -> dict[str, Any]:
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        known = {name: value for name, value in self.write_parameters(key).items() if name in shape.members}
        return {**known, "Key": key}

    def _pair(self) -> tuple[Any, Any]:
        with self._lock:
            if self._clients is None or self._clients[0] != os.getpid():
                self._clients = (os.getpid(), *self._make_pair())
            return self._clients[1:]

    def _make_pair(self) -> tuple[Any, Any]:
        storage = self.storage
        make = functools.partial(
            storage._create_session().client,
            "s3",
            region_name=storage.region_name,
            use_ssl=storage.use_ssl,
            endpoint_url=storage.endpoint_url,
            verify=storage.verify,
        )
        control = _common_config(storage.client_config)
        return make(config=control), make(config=_streaming_config(control))


def _common_config(config: Config) -> Config:
    """The storage's own, but for checksums that other stores than Amazon's do not understand."""
    chosen = config._user_provided_options
    defaults = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "max_pool_connections": CONNECTIONS,
    }
    fresh = {name: value for name, value in defaults.items() if name not in chosen}
    when = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    return config.merge(Config(**fresh, **when))


def _streaming_config(config: Config) -> Config:
    """A body that is read once can be neither signed, which takes all of it, nor sent again."""
    s3 = {**(config.s3 or {}), "payload_signing_enabled": False}
    return config.merge(Config(s3=s3, retries={"total_max_attempts": 1, "mode": "standard"}))


@contextlib.contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn what boto3 raises into the contract's errors; `Refused` carries the store's code."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in GONE:
            raise UploadGone(f"{operation}: {code}") from error
        if code in FULL:
            raise OutOfSpace(f"{operation}: {code}") from error
        raise Refused(f"{operation}: {code}", code) from error
    except (BotoCoreError, OSError, ValueError) as error:
        # ValueError: what boto3 says of an address that is none.
        raise BackendFailed(f"{operation}: {type(error).__name__}") from error


class UploadGone(StagingLost):
    """There is no such multipart upload: it was aborted, or completed."""


class Refused(BackendFailed):
    """The store answered, with an error of its own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
