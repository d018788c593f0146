"""Chunks as staged blocks of the final blob; completing commits the list of them, and moves no byte.

What arrives is collected to a block, and a block is sent in one request with its MD5, which the service compares before
it says yes. So every byte is checked from here to there, and a request that failed can be sent again. Block ids are
unique to their attempt, and only those in our rows are ever committed.

Blocks that nobody commits cost space until the service drops them, a week after the last one was staged.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import math
import os
import posixpath
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, ClassVar, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

from .base import Backend, BackendFailed, ChunkWriter, Plan, Staging, StagingLost, StoredChunk, TooManyParts
from .ranged import open_ranged

T = TypeVar("T")

PREFIX = ".fineuploader"
MOST_BLOCKS = 50_000
"""Of one blob, says the service."""

BLOCK_SIZE = 8 * 2**20
"""Bytes that a request keeps in memory; most chunks fit into one block."""

LARGEST_BLOCK = 64 * 2**20
"""What a block may grow to in files that would need too many smaller ones."""

PAUSES = (0.1, 0.5, 2.0)
PATIENCE = 10.0
"""Seconds after which a request that failed is not sent again: the client's own retry comes next."""

NEW: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}

ADVICE = {
    "ContainerNotFound": "The container does not exist.",
    "AuthenticationFailed": "The account's name, key or token is wrong, or has expired.",
    "AuthorizationFailure": "The account's key or token is wrong, or its firewall does not let this machine in.",
    "AuthorizationPermissionMismatch": "The credentials must be allowed to read, write and delete blobs.",
}


class AzureBlockBackend(Backend):
    """For django-storages' `AzureStorage`; the blob is what `AzureStorage.save` would have made of the file."""

    fixed_name: ClassVar[bool] = True
    most_chunks: ClassVar[int | None] = MOST_BLOCKS
    storage: Any

    def __init__(self, storage: Any, *, staging_dir: str | None = None, durability: str = "publish") -> None:
        super().__init__(storage, staging_dir=staging_dir, durability=durability)
        self._process = os.getpid()

    def suits(self, plan: Plan) -> bool:
        _block_size(plan)
        return True

    def begin(self, plan: Plan) -> Staging:
        folder = posixpath.basename(posixpath.dirname(plan.name))
        return Staging(self.storage.azure_container, folder, f"{_block_size(plan)} {plan.name}")

    def open_chunk(self, staging: Staging, *, index: int, offset: int, size: int | None, token: str) -> ChunkWriter:
        block_size, name = _parse(staging)
        with _translated():
            blob = self._blob(name)
        return BlockWriter(lambda block, data: self._stage(blob, block, data), f"{index:010d}.{token}", block_size)

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        block_size, _ = _parse(staging)
        blocks = [block for chunk in chunks for block in _blocks_of(chunk, block_size)]
        with _translated():
            blob = self._blob(name)
            self._commit(blob, blocks, content_settings=self._content_settings(name))
            kept = self._asked(blob.get_blob_properties).size
        if kept != size:
            raise BackendFailed(f"The service kept {kept} of {size} bytes.")
        return name

    def open(self, name: str) -> IO[Any]:
        try:
            blob = self._blob(name)
            found = self._asked(blob.get_blob_properties)
        except ResourceNotFoundError as error:
            raise FileNotFoundError(name) from error
        except Exception as error:
            raise OSError(repr(error)) from error
        same: dict[str, Any] = {"etag": found.etag, "match_condition": MatchConditions.IfNotModified}

        def read_range(start: int, end: int) -> bytes:
            try:
                return self._asked(lambda **how: _download(blob, start, end, **same, **how))
            except Exception as error:
                raise OSError(repr(error)) from error

        return open_ranged(name, size=found.size, read_range=read_range)

    def retract(self, name: str) -> None:
        with _translated(), contextlib.suppress(ResourceNotFoundError):
            self._asked(self._blob(name).delete_blob)

    def discard(self, staging: Staging, chunks: Sequence[StoredChunk], *, published: bool) -> bool:
        """Delete staged blocks by committing a list without them, where there is no blob yet.

        Then an attempt that stood still cannot bring the file back either.
        """
        if published or not chunks:
            # Where several requests began an upload at once, all but one find that nobody has staged anything.
            return True
        _, name = _parse(staging)
        with _translated():
            blob = self._blob(name)
            with contextlib.suppress(ResourceExistsError):
                self._asked(lambda **how: blob.commit_block_list([], **NEW, **how))
        # It may be there of an earlier attempt, whose answer was lost.
        self.retract(name)
        return True

    def orphans(self, *, before: datetime.datetime) -> Iterator[Staging]:
        """None: the service drops uncommitted blocks by itself."""
        return iter(())

    def check(self) -> list[str]:
        name = posixpath.join(PREFIX, "check", secrets.token_hex(16), "check")
        try:
            staging = self.begin(Plan(name=name))
            writer = self.open_chunk(staging, index=0, offset=0, size=5, token=secrets.token_hex(16))
            writer.write(b"check")
            chunk = StoredChunk(index=0, offset=0, size=5, key=writer.commit())
            self.assemble(staging, [chunk], name=name, size=5)
            with self.open(name) as file:
                same = file.read() == b"check"
            self.retract(name)
        except (StagingLost, BackendFailed, OSError) as error:
            advice = ADVICE.get(_code(error.__cause__), "")
            return [f"The container did not take, return and delete a block: {error} {advice}".rstrip()]
        return [] if same else ["The container returned other bytes than it was given."]

    def _blob(self, name: str) -> BlobClient:
        if self._process != os.getpid():
            # Two processes may not speak through one connection, and the storage does not notice that it was forked.
            self.storage._service_client = self.storage._client = None
            self._process = os.getpid()
        blob: BlobClient = self.storage.client.get_blob_client(self.storage._get_valid_path(name))
        return blob

    def _content_settings(self, name: str) -> ContentSettings:
        """What the storage would say of the file, but for the encoding that it reads off names like `a.tar.gz`.

        Whoever reads such a blob, the storage itself and browsers too, would unpack it and get other bytes.
        """
        path = self.storage._get_valid_path(name)
        settings = self.storage._get_content_settings_parameters(path)
        stated = self.storage.get_object_parameters(path)
        if settings.get("content_encoding") and "content_encoding" not in stated:
            plain = {"content_encoding": None, "content_type": self.storage.default_content_type}
            settings = {**settings, **plain, **stated}
        return ContentSettings(**settings)

    def _stage(self, blob: BlobClient, block: str, data: io.BytesIO) -> None:
        length = data.seek(0, io.SEEK_END)

        def stage(**how: Any) -> None:
            data.seek(0)
            blob.stage_block(block, data, length, validate_content=True, **how)

        with _translated():
            self._asked(stage)

    def _commit(self, blob: BlobClient, blocks: list[str], **settings: Any) -> None:
        """Commit the blocks to a new blob, or find that an attempt before, or beside us, has done just that."""
        listed = [BlobBlock(block) for block in blocks]
        try:
            self._asked(lambda **how: blob.commit_block_list(listed, **settings, **NEW, **how))
        except ResourceExistsError:
            committed, _ = self._asked(lambda **how: blob.get_block_list("committed", **how))
            if [block.id for block in committed] != blocks:
                raise

    def _asked(self, call: Callable[..., T]) -> T:
        """Ask the service, again for a while where it is busy or away. The SDK would wait for 15 seconds and more."""
        started = time.monotonic()
        for pause in PAUSES:
            try:
                return call(timeout=self.storage.timeout, retry_total=0)
            except AzureError as error:
                if not _may_pass(error) or time.monotonic() - started > PATIENCE:
                    raise
            time.sleep(pause)
        return call(timeout=self.storage.timeout, retry_total=0)


class BlockWriter(ChunkWriter):
    """Collects bytes to blocks of one size, the last one shorter, and hands each to `stage` with an id of its own."""

    def __init__(self, stage: Callable[[str, io.BytesIO], None], key: str, block_size: int) -> None:
        self.key = key
        self._stage = stage
        self._block_size = block_size
        self._count = 0
        self._buffer = io.BytesIO()

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            taken = self._buffer.write(rest[: self._block_size - self._buffer.tell()])
            rest = rest[taken:]
            if self._buffer.tell() == self._block_size:
                self._flush()

    def commit(self) -> str:
        if self._buffer.tell():
            self._flush()
        self._buffer.close()
        return self.key

    def abort(self) -> None:
        self._buffer.close()

    def _flush(self) -> None:
        self._stage(_block_id(self.key, self._count), self._buffer)
        self._count += 1
        self._buffer.seek(0)
        self._buffer.truncate()


def _block_size(plan: Plan) -> int:
    """The least that keeps the file within the service's count of blocks. Raises TooManyParts."""
    blocks_per_chunk = MOST_BLOCKS // max(plan.total_chunks, 1)
    if not blocks_per_chunk:
        raise TooManyParts
    chunk_size = plan.chunk_size or plan.total_size or 0
    size = max(BLOCK_SIZE, math.ceil(chunk_size / blocks_per_chunk))
    if size > LARGEST_BLOCK:
        raise TooManyParts
    return size


def _parse(staging: Staging) -> tuple[int, str]:
    """The size of blocks and the blob's name, from a handle that `begin` made."""
    block_size, _, name = staging.handle.partition(" ")
    return int(block_size), name


def _blocks_of(chunk: StoredChunk, block_size: int) -> list[str]:
    return [_block_id(chunk.key, number) for number in range(math.ceil(chunk.size / block_size))]


def _block_id(key: str, number: int) -> str:
    """Of one length in all of a blob, and at most 64 characters."""
    return f"{key}.{number:05d}"


def _download(blob: BlobClient, start: int, end: int, **how: Any) -> bytes:
    data: bytes = blob.download_blob(start, end - start, **how).readall()
    return data


def _may_pass(error: AzureError) -> bool:
    if isinstance(error, HttpResponseError):
        return error.status_code is not None and (error.status_code >= 500 or error.status_code == 429)
    return isinstance(error, (ServiceRequestError, ServiceResponseError))


def _code(error: BaseException | None) -> str:
    return str(getattr(getattr(error, "error_code", ""), "value", getattr(error, "error_code", "")))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Say in the contract's terms what the service, or the way to it, did wrong."""
    try:
        yield
    except Exception as error:
        if _code(error) == "InvalidBlockList":
            raise StagingLost("Staged blocks are gone.") from error
        raise BackendFailed(repr(error)) from error
