"""What networks do to requests. Positions count bytes as Python's slices do: negative ones from the end."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from networks.messages import Stream
from networks.proxy import close

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from networks.proxy import Exchange, Fault

LONGEST_STALL = 120  # seconds; longer than any test


def cut_request(position: int, *, reset: bool = False) -> Fault:
    """Break off towards the server in the middle of the request, and towards the client without an answer."""

    def fault(exchange: Exchange) -> None:
        with exchange.connect() as server:
            server.sendall(exchange.request[:position])
            close(server, reset=reset)
        exchange.hang_up(reset=reset)

    return fault


def cut_answer(position: int, *, reset: bool = False) -> Fault:
    """Let the server do its work, and break off in the middle of what it answers."""

    def fault(exchange: Exchange) -> None:
        exchange.answer(exchange.ask()[:position])
        exchange.hang_up(reset=reset)

    return fault


def hang_up(exchange: Exchange) -> None:
    """Close without a word; the server never sees the request."""
    exchange.hang_up()


def repeat(exchange: Exchange) -> None:
    """Send the same bytes again after the answer, and deliver the second answer."""
    exchange.ask()
    exchange.answer(exchange.ask())


def repeat_at_once(exchange: Exchange) -> None:
    """Send the same bytes on two connections at the same moment, and deliver the first's answer."""
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(exchange.ask) for _ in range(2)]
        exchange.answer(answers[0].result())


def lose_patience(exchange: Exchange) -> None:
    """Wait for no answer: give the connection up, and send the request again on a new one, as proxies do."""
    with exchange.connect() as impatient:
        impatient.sendall(exchange.request)
    exchange.answer(exchange.ask())


def trickle(exchange: Exchange) -> None:
    """Deliver request and answer byte by byte, each in a packet of its own."""
    with exchange.connect() as server:
        for position in range(len(exchange.request)):
            server.sendall(exchange.request[position : position + 1])
        answer = Stream(server).read_message()
    for position in range(len(answer)):
        exchange.answer(answer[position : position + 1])


class CutEvery:
    """Break the connection whenever so many bytes have passed since the last time, wherever that is."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._passed = 0
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        """Pass the request and its answer on as far as they get."""
        if (room := self._take(len(exchange.request))) is not None:
            cut_request(room)(exchange)
            return
        answer = exchange.ask()
        room = self._take(len(answer))
        exchange.answer(answer if room is None else answer[:room])
        if room is not None:
            exchange.hang_up()

    def _take(self, size: int) -> int | None:
        """Count bytes; None where all of them pass, else how many do."""
        with self._lock:
            room = self._step - self._passed
            self._passed = self._passed + size if size < room else 0
            return None if size < room else room


class Stall:
    """Send a piece of the request or of the answer, and then nothing until ``release``."""

    def __init__(self, *, request: int | None = None, answer: int | None = None) -> None:
        self._request = request
        self._answer = answer
        self._reached = threading.Event()
        self._released = threading.Event()

    def wait(self) -> None:
        """Wait until an exchange stands still."""
        assert self._reached.wait(LONGEST_STALL)

    def release(self) -> None:
        """Let it go on, if whoever is at its ends is still there."""
        self._released.set()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Release at the end of the block, so that nothing outlives it."""
        try:
            yield
        finally:
            self.release()

    def __call__(self, exchange: Exchange) -> None:
        """Stand still where told, and go on after that."""
        with exchange.connect() as server:
            self._send(server.sendall, exchange.request, self._request)
            self._send(exchange.answer, Stream(server).read_message(), self._answer)

    def _send(self, send: Callable[[bytes], None], data: bytes, position: int | None) -> None:
        if position is not None:
            send(data[:position])
            self._reached.set()
            assert self._released.wait(LONGEST_STALL)
        send(data if position is None else data[position:])
