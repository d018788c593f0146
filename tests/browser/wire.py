"""What the page sends, in the order in which it sends it, and ways to disturb it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Error as PlaywrightError

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

PAGE_PATHS = ("/pages/", "/client/", "/control/", "/favicon.ico")
DISTURBED = {"success": False, "error": "a disturbance"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One request of the client: its parameters in the order of the wire, and whether it carried a file part."""

    method: str
    path: str
    headers: dict[str, str]
    fields: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        """Return a parameter's value."""
        return dict(self.fields)[name]

    def __contains__(self, name: str) -> bool:
        return name in dict(self.fields)

    @property
    def kind(self) -> str:
        """One of upload, chunk, done, session and delete."""
        if self.method == "DELETE" or "_method" in self:
            return "delete"
        name = self.path.rstrip("/").rpartition("/")[2]
        if name in ("done", "session"):
            return name
        return "chunk" if "qqpartindex" in self else "upload"

    @property
    def index(self) -> int | None:
        """The chunk's index, None for anything else."""
        return int(self["qqpartindex"]) if self.kind == "chunk" else None


Match: TypeAlias = Callable[[Message], bool]
Act: TypeAlias = "Callable[[Message, Route], None]"


def chunk(index: int) -> Match:
    """Match the chunk with this index."""
    return lambda message: message.index == index


def is_kind(kind: str) -> Match:
    """Match requests of this kind."""
    return lambda message: message.kind == kind


def read_message(request: Request) -> Message:
    """Read a request that the browser is about to send."""
    parts = urlsplit(request.url)
    body = request.post_data_buffer or b""
    content_type = request.headers.get("content-type", "")
    fields = [*read_body(content_type, body), *parse_qsl(parts.query, keep_blank_values=True)]
    return Message(method=request.method, path=parts.path, headers=request.headers, fields=tuple(fields))


def read_body(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a form or JSON body; a raw body has none."""
    kind, _, options = content_type.partition(";")
    if kind == "multipart/form-data":
        return read_multipart(options.partition("boundary=")[2].encode(), body)
    if kind == "application/json":
        return [(name, json.dumps(value)) for name, value in json.loads(body).items()]
    if kind in ("application/x-www-form-urlencoded", "text/plain"):
        return parse_qsl(body.decode(), keep_blank_values=True)
    return []


def read_multipart(boundary: bytes, body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a multipart body, without its file parts."""
    fields = []
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        disposition = head.split(b"\r\n")[1].decode()
        if "filename=" not in disposition:
            fields.append((disposition.split('name="')[1].split('"')[0], value[:-2].decode()))
    return fields


def wait_until(page: Page, condition: Callable[[], bool], *, seconds: float = 15) -> None:
    """Let the browser work until the condition holds."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError("what the test waits for did not happen")
        page.wait_for_timeout(10)


@dataclass
class Rule:
    """What to do with the next ``times`` requests that match."""

    match: Match
    act: Act
    times: int


@dataclass
class Wire:
    """The requests of one browser context. While it listens, preflights do not reach the server: see ``server``."""

    messages: list[Message] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    held: list[Route] = field(default_factory=list)

    def handle(self, route: Route) -> None:
        """Record a request and let it pass, or do what the first rule for it says."""
        message = read_message(route.request)
        self.messages.append(message)
        for rule in self.rules:
            if rule.times and rule.match(message):
                rule.times -= 1
                rule.act(message, route)
                return
        route.continue_()

    def rule(self, match: Match, act: Act, times: int) -> None:
        """Add a rule."""
        self.rules.append(Rule(match, act, times))

    def fail(self, match: Match, *, status: int = 500, times: int = 1, **answer: Any) -> None:
        """Answer in the server's place, which never sees the request."""
        body = json.dumps(DISTURBED | answer)
        self.rule(match, lambda _, route: route.fulfill(status=status, body=body), times)

    def lose_answer(self, match: Match, *, times: int = 1) -> None:
        """Let the server answer, but let the client see a broken connection."""

        def act(_: Message, route: Route) -> None:
            route.fetch()
            route.abort("connectionreset")

        self.rule(match, act, times)

    def before(self, match: Match, action: Callable[[Message], None]) -> None:
        """Do something once, before the next request that matches leaves the browser."""

        def act(message: Message, route: Route) -> None:
            action(message)
            route.continue_()

        self.rule(match, act, 1)

    def hold(self, match: Match, *, times: int = 1) -> None:
        """Keep requests back until ``release``."""
        self.rule(match, lambda _, route: self.held.append(route), times)

    def wait_for_held(self, page: Page, count: int = 1) -> None:
        """Wait until so many requests are kept back."""
        wait_until(page, lambda: len(self.held) >= count)

    def take_held(self, match: Match) -> Route:
        """Take the one request that matches out of those kept back."""
        (route,) = (route for route in self.held if match(read_message(route.request)))
        self.held.remove(route)
        return route

    def release(self) -> None:
        """Send what was kept back."""
        while self.held:
            self.held.pop(0).continue_()

    def drop_held(self) -> None:
        """Forget what was kept back, whose page is closed or whose client has given it up."""
        while self.held:
            with contextlib.suppress(PlaywrightError):
                self.held.pop(0).abort()

    def of_kind(self, kind: str) -> list[Message]:
        """Return the requests of one kind, in the order in which they were sent."""
        return [message for message in self.messages if message.kind == kind]

    @property
    def kinds(self) -> list[str]:
        """What was sent, by kind, but for the initial list; chunks as their index."""
        sent = [message for message in self.messages if message.kind != "session"]
        return [str(message.index) if message.kind == "chunk" else message.kind for message in sent]

    @property
    def indexes(self) -> list[int | None]:
        """The indexes of the chunks, in the order in which they were sent."""
        return [message.index for message in self.of_kind("chunk")]
