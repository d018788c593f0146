"""Requests and answers as they stand on the wire, whoever carries them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class WireRequest:
    """One HTTP request, with its framing spelled out so that a test can lie about it.

    ``content_length`` is what the header says (None: no header), whatever the body is. ``chunked`` sends the body with
    ``Transfer-Encoding: chunked``. ``breaks`` means that the connection breaks after the body instead of ending.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    content_length: int | None = None
    chunked: bool = False
    breaks: bool = False

    @property
    def path(self) -> str:
        return self.url.partition("#")[0].partition("?")[0]

    @property
    def query(self) -> str:
        return self.url.partition("#")[0].partition("?")[2]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str) -> WireRequest:
        return dataclasses.replace(
            self.without_header(name), headers=(*self.without_header(name).headers, (name, value))
        )

    def without_header(self, name: str) -> WireRequest:
        return dataclasses.replace(
            self, headers=tuple((key, value) for key, value in self.headers if key.lower() != name.lower())
        )

    def with_body(self, body: bytes) -> WireRequest:
        """Replace the body, and the Content-Length with it."""
        return dataclasses.replace(self, body=body, content_length=len(body))

    def with_url(self, url: str) -> WireRequest:
        return dataclasses.replace(self, url=url)

    def with_method(self, method: str) -> WireRequest:
        return dataclasses.replace(self, method=method)

    def cut(self, length: int, *, breaks: bool = False) -> WireRequest:
        """Send only the first ``length`` bytes of the body, under the Content-Length of the whole."""
        return dataclasses.replace(self, body=self.body[:length], breaks=breaks)

    def without_length(self) -> WireRequest:
        return dataclasses.replace(self, content_length=None)

    def as_chunked(self) -> WireRequest:
        return dataclasses.replace(self, content_length=None, chunked=True)


@dataclass(frozen=True, kw_only=True)
class WireResponse:
    """One HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)
