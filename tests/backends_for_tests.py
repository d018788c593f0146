"""A backend as native stores need one: the file's name is settled before the first byte arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, ClassVar

from fineuploader_receiver.backends import STORAGE
from fineuploader_receiver.backends.base import Plan, Staging, StoredChunk, TooManyParts
from fineuploader_receiver.backends.storage import StorageBackend

SMALLEST_PART = 10
MOST_PARTS = 4


class NamedBackend(StorageBackend):
    """Makes the file under the planned name, however often it is asked; small parts do not suit it."""

    fixed_name: ClassVar[bool] = True
    smallest_chunk: ClassVar[int] = SMALLEST_PART
    most_chunks: ClassVar[int | None] = MOST_PARTS
    fallback: ClassVar[str] = STORAGE
    plans: ClassVar[list[Plan]] = []
    opened: ClassVar[list[str]] = []

    def suits(self, plan: Plan) -> bool:
        if plan.chunk_size is not None and plan.chunk_size < SMALLEST_PART:
            return False
        if plan.total_chunks > MOST_PARTS:
            raise TooManyParts
        return True

    def begin(self, plan: Plan) -> Staging:
        self.plans.append(plan)
        folder = plan.name.split("/")[-2]
        return Staging(super().begin(plan).root, folder, f"a handle for {plan.name}")

    def assemble(self, staging: Staging, chunks: Sequence[StoredChunk], *, name: str, size: int) -> str:
        assert staging.handle == f"a handle for {name}"
        if self.storage.exists(name):
            return name
        return super().assemble(staging, chunks, name=name, size=size)

    def open(self, name: str) -> IO[Any]:
        self.opened.append(name)
        return super().open(name)
