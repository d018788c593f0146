"""Digests of request bodies and of finished files, by the names that hashlib uses."""

from __future__ import annotations

import hashlib
import hmac
from typing import IO, Any

ALGORITHMS = ("sha256", "sha384", "sha512", "sha1", "md5", "blake2b", "blake2s")

_READ_SIZE = 2**20


class BodyDigest:
    """Checks the bytes of one request against `qqdigest` while they pass by."""

    def __init__(self, expected: str) -> None:
        algorithm, _, self._expected = expected.partition(":")
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def matches(self) -> bool:
        return hmac.compare_digest(self._hash.hexdigest(), self._expected)


def digest_of(file: IO[Any], algorithm: str) -> str:
    """`<algorithm>:<hex>` of everything in an open file: one read of the whole file, in constant memory."""
    result = hashlib.new(algorithm, usedforsecurity=False)
    while data := file.read(_READ_SIZE):
        result.update(data)
    return f"{algorithm}:{result.hexdigest()}"
