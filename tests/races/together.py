"""Doing things at the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fakeuploader import WireRequest, WireResponse
    from livesite.visitor import Visitor

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Let all calls begin at once, each in a thread of its own, and return what they return, in their order."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def send_together(visitor: Visitor, requests: Sequence[WireRequest]) -> list[WireResponse]:
    """Send all requests at once, each over a connection of its own."""
    return together([lambda request=request: visitor.transport.send(request) for request in requests])  # type: ignore[misc]
