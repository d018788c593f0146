"""Connections that end at any byte at all: the client's own retry ends with the exact file, completed once."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from browser.wire import is_kind
from flowtools import pattern
from livesite.visitor import PART, staged, whole
from networks.faults import CutEvery, cut_answer, cut_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.wire import Message
    from fakeuploader import ClientUpload, FakeUploader, Outcome
    from livesite.visitor import Visitor
    from networks.proxy import Exchange, Fault, Proxy

# What is cut, the size of the file, and how the page is written.
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "simple upload": ("upload", PART, {"chunking": False}),
    "only chunk": ("chunk", PART, {}),
    "success request": ("done", PART, {}),
    "success request of an empty file": ("done", 0, {}),
}
CUTS = {"request": cut_request, "answer": cut_answer}
AT_ONCE, CUTS_EACH = 6, 12
ENOUGH = 40
"""Attempts; some are answered "busy" while the server is still at the one before, whose end it has not noticed."""


class CutInTurn:
    """Cuts the requests of each upload at places of its own, one after the other; in order and by a reset in turns."""

    def __init__(self, cut: Callable[..., Fault]) -> None:
        self._cut = cut
        self.places: dict[str, list[int]] = {}

    def is_due(self, message: Message) -> bool:
        """Whether a cut of the upload is still to come."""
        return "qquuid" in message and bool(self.places.get(message["qquuid"]))

    def __call__(self, exchange: Exchange) -> None:
        """Cut."""
        place = self.places[exchange.message["qquuid"]].pop()
        self._cut(place, reset=bool(place % 2))(exchange)


def measure(proxy: Proxy, page: FakeUploader, *, kind: str, size: int) -> dict[str, int]:
    """Return the lengths of request and answer in an upload that goes well."""
    lengths: dict[str, int] = {}

    def weigh(exchange: Exchange) -> None:
        answer = exchange.ask()
        lengths.update(request=len(exchange.request), answer=len(answer))
        exchange.answer(answer)

    proxy.on(is_kind(kind), weigh)
    assert page.upload(page.add(pattern(size))).success
    return lengths


def send_until_uncut(page: FakeUploader, upload: ClientUpload, cut: CutInTurn) -> Outcome:
    """Upload to the end, and send the success request again while it has cuts left: for it a 200 is an answer,
    however little of it arrives.
    """
    outcome = page.upload(upload, attempts=ENOUGH)
    while cut.places[upload.uuid]:
        outcome = page.upload(upload, attempts=ENOUGH)
    return outcome


@pytest.mark.parametrize("side", CUTS)
@pytest.mark.parametrize("case", CASES)
def test_retry_after_a_cut_at_any_byte_ends_with_the_exact_file_completed_once(
    proxy: Proxy, visitor: Visitor, case: str, side: str
) -> None:
    kind, size, changes = CASES[case]
    page = visitor.open_page(**changes)
    length = measure(proxy, page, kind=kind, size=size)[side]
    cut = CutInTurn(CUTS[side])
    proxy.on(lambda message: is_kind(kind)(message) and cut.is_due(message), cut, times=None)
    before = visitor.kept()
    uploads = [page.add(pattern(size)) for _ in range(math.ceil(length / CUTS_EACH))]
    cut.places = {one.uuid: list(range(number, length, len(uploads))) for number, one in enumerate(uploads)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda upload: send_until_uncut(page, upload, cut), uploads))
    assert [outcome for outcome in outcomes if not outcome.success] == []
    assert len(proxy.happened) == 1 + length
    assert visitor.kept() == before | {upload.uuid: whole(upload) for upload in uploads}
    assert staged(visitor.site) == []


@pytest.mark.parametrize(("mode", "step"), [({}, 2503), ({"concurrent": True}, 7001)], ids=["sequential", "concurrent"])
def test_network_that_breaks_after_every_so_many_bytes_passes_the_file_in_pieces(
    proxy: Proxy, visitor: Visitor, mode: dict[str, Any], step: int
) -> None:
    """A step must be more than what is in flight at once, with its answers, or nothing would ever pass."""
    page = visitor.open_page(**mode)
    proxy.on(lambda _: True, CutEvery(step), times=None)
    upload = page.add(pattern(PART * 12 - 7))
    assert page.upload(upload, attempts=ENOUGH).success
    assert proxy.happened
    assert visitor.kept() == {upload.uuid: whole(upload)}
    assert staged(visitor.site) == []
