"""A TCP proxy that passes requests on, but for those to which a test has something done: see ``faults``."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from networks.messages import Stream, parse_request

if TYPE_CHECKING:
    from browser.wire import Match, Message

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Exchange:
    """A request that a client has sent whole, and the ways to go on with it."""

    message: Message
    request: bytes
    target: tuple[str, int]
    client: socket.socket
    reused: bool  # the client's connection has carried another request before
    over: bool = False

    @contextlib.contextmanager
    def connect(self) -> Iterator[socket.socket]:
        """Open a connection of its own to the server."""
        with socket.create_connection(self.target) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield server

    def ask(self) -> bytes:
        """Send the request, and return the whole answer."""
        with self.connect() as server:
            server.sendall(self.request)
            return Stream(server).read_message()

    def answer(self, data: bytes) -> None:
        """Send an answer, or a piece of it, to the client."""
        self.client.sendall(data)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection to the client."""
        self.over = True
        close(self.client, reset=reset)


Fault: TypeAlias = "Callable[[Exchange], None]"


def close(connection: socket.socket, *, reset: bool = False) -> None:
    """End a connection in order, or break it."""
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


def pass_on(exchange: Exchange) -> None:
    """Do what a good network does."""
    exchange.answer(exchange.ask())


@dataclass
class Rule:
    """What to do to the next ``times`` requests that match; ``None`` is always."""

    match: Match
    fault: Fault
    times: int | None
    only_reused: bool

    def applies(self, message: Message, *, reused: bool) -> bool:
        """Whether the rule is still for somebody, and for this request."""
        return self.times != 0 and (reused or not self.only_reused) and self.match(message)


@dataclass
class Proxy:
    """The proxy while its ``with`` block runs. One thread serves each connection of a client."""

    target: tuple[str, int]
    rules: list[Rule] = field(default_factory=list)
    happened: list[Message] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._start(self._accept)
        return self

    def __exit__(self, *args: object) -> None:
        """Break every connection and wait for the threads; stalled exchanges must have been released."""
        for connection in [self._listener, *self._clients]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while self._threads:
            self._threads.pop().join()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listener.getsockname()[1])

    def on(self, match: Match, fault: Fault, *, times: int | None = 1, only_reused: bool = False) -> None:
        """Add a rule; the first that applies to a request is followed."""
        self.rules.append(Rule(match, fault, times, only_reused))

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients.add(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Serve one connection until either side ends it."""
        stream, reused, over = Stream(client), False, False
        with client, contextlib.suppress(OSError):
            while not over and (request := stream.read_message()):
                exchange = Exchange(parse_request(request), request, self.target, client, reused)
                self._find_fault(exchange)(exchange)
                reused, over = True, exchange.over
        self._clients.discard(client)

    def _find_fault(self, exchange: Exchange) -> Fault:
        with self._lock:
            for rule in self.rules:
                if rule.applies(exchange.message, reused=exchange.reused):
                    rule.times = None if rule.times is None else rule.times - 1
                    self.happened.append(exchange.message)
                    return rule.fault
        return pass_on
