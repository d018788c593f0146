"""Files whose bytes depend on their place, so that a chunk in the wrong place changes the digest."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass


def pattern(size: int, *, seed: int = 0) -> bytes:
    """Return ``size`` bytes, no two stretches of which are alike; the same for the same seed."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as a person would choose it; ``path`` is the folder it was dropped in."""

    name: str
    content: bytes
    type: str = "application/octet-stream"
    path: str | None = None

    @property
    def sha256(self) -> str:
        """What the stored file must have."""
        return hashlib.sha256(self.content).hexdigest()

    def to_page(self) -> dict[str, str | None]:
        """Return what the driver in the page makes a ``File`` of."""
        encoded = base64.b64encode(self.content).decode()
        return {"name": self.name, "type": self.type, "base64": encoded, "path": self.path}


def make_file(size: int, name: str = "numbers.bin", *, seed: int = 0) -> File:
    """Return a file of ``size`` position-dependent bytes."""
    return File(name=name, content=pattern(size, seed=seed))
