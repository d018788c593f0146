"""The names of the wire (docs/protocol.md, section 1.1)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParamNames:
    """What each parameter is called; the defaults are the client's."""

    uuid: str = "qquuid"
    filename: str = "qqfilename"
    total_size: str = "qqtotalfilesize"
    file: str = "qqfile"
    index: str = "qqpartindex"
    offset: str = "qqpartbyteoffset"
    chunk_size: str = "qqchunksize"
    total_chunks: str = "qqtotalparts"
    resume: str = "qqresume"

    @classmethod
    def renamed(cls, names: Mapping[str, str]) -> ParamNames:
        """The names after a PARAM_NAMES option: default wire name to new name."""
        return cls(
            **{field.name: names.get(str(field.default), str(field.default)) for field in dataclasses.fields(cls)}
        )

    @functools.cached_property
    def taken(self) -> frozenset[str]:
        """Every name that is not a custom parameter's."""
        return frozenset(dataclasses.astuple(self)) | RESERVED


WIRE_NAMES: tuple[str, ...] = tuple(str(field.default) for field in dataclasses.fields(ParamNames))
"""The names that the client lets a page rename."""

METHOD = "_method"
TIMESTAMP = "qqtimestamp"
DIGEST = "qqdigest"
DONE_MARKER = "qqdonerequest"
"""Sent by pages built on the generated options: whether the page sends the success request."""

CSRF_TOKEN = "csrfmiddlewaretoken"

RESERVED = frozenset({METHOD, TIMESTAMP, DIGEST, DONE_MARKER, CSRF_TOKEN})
"""Names that are never custom parameters, besides the renamable ones."""
