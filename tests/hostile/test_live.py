"""A real server and raw sockets: what is refused is stored nowhere even while it is being sent, and heads that lie."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowtools import TOKEN
from hostile.aim import END, FILE, MULTIPART, part, simple_params, urlencoded
from hostile.livetools import connect, exchange, kept, open_for_writing, parse, server_processes
from hostile.values import GOOD_UUID
from hostile.world import leak_problems, shape_problems
from livesite.server import LiveSite, log_in, serve

PIECE = b"z" * 2**18
PIECES = 32
"""8 MB in all: far more than sockets buffer, so that the server must have read it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with serve(tmp_path_factory.mktemp("hostile"), Path("/nowhere")) as site:
        yield site


@pytest.fixture(scope="module")
def login(site: LiveSite) -> str:
    return f"sessionid={log_in(site.url)}; csrftoken={TOKEN}"


def head(site: LiveSite, path: str, length: int, **headers: str) -> bytes:
    fixed = {"Host": f"127.0.0.1:{site.ports[0]}", "Content-Length": str(length), "Content-Type": MULTIPART}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (fixed | headers).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def beginning(*, size: int | None = None, name: str = "a.txt") -> bytes:
    declared = part(b"qqtotalfilesize", b"%d" % size) if size is not None else b""
    fields = part(b"qquuid", str(uuid.uuid4()).encode()) + part(b"qqfilename", name.encode()) + declared
    return fields + FILE.removesuffix(b"data\r\n")


# Where it goes, what it begins with, whether it has a login and a token, and the code of the refusal.
REFUSALS = {
    "no login": ("/uploads/", beginning(), False, True, "login_required"),
    "no session": ("/anonymous/", beginning(), False, True, "no_session"),
    "no token": ("/uploads/", beginning(), True, False, "csrf_failed"),
    "an extension": ("/limited/", beginning(name="a.exe"), True, True, "extension_not_allowed"),
    "too large, as declared": ("/limited/", beginning(size=len(PIECE) * PIECES), True, True, "file_too_large"),
    "no uuid": ("/uploads/", FILE.removesuffix(b"data\r\n"), True, True, "missing_parameter"),
    "a uuid that is none": (
        "/uploads/",
        part(b"qquuid", b"../x") + FILE.removesuffix(b"data\r\n"),
        True,
        True,
        "bad_uuid",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_nothing_is_stored_while_a_refused_body_is_being_sent(site: LiveSite, login: str, name: str) -> None:
    """Regression: once the token was checked, the rest of a refused form was not read, and the refusal was lost."""
    path, start, logged_in, with_token, code = REFUSALS[name]
    cookie = login if logged_in else f"csrftoken={TOKEN}"
    token = {"X_CSRFToken": TOKEN} if with_token else {}
    seen, answer = send_slowly(site, path, start, Cookie=cookie, **token)
    assert seen == set()
    assert parse(answer).json()["code"] == code
    assert shape_problems(parse(answer)) == []


def test_watching_sees_what_an_accepted_body_stores(site: LiveSite, login: str) -> None:
    """The test above could not fail otherwise."""
    seen, answer = send_slowly(site, "/uploads/", beginning(), Cookie=login, X_CSRFToken=TOKEN)
    assert {"a file", "a row", "an open file"} <= seen
    assert parse(answer).json()["complete"] is True


def send_slowly(site: LiveSite, path: str, start: bytes, **headers: str) -> tuple[set[str], bytes]:
    """Send a body piece by piece, and say what appeared on the server before the last one was sent."""
    pids = server_processes()
    before, opened = kept(site), open_for_writing(pids)
    end = b"\r\n" + END
    seen: set[str] = set()
    with connect(site) as connection:
        connection.sendall(head(site, path, len(start) + PIECES * len(PIECE) + len(end), **headers) + start)
        for number in range(PIECES):
            connection.sendall(PIECE)
            if number % 8 == 7:
                files, rows = kept(site)
                seen |= {"a file"} if files != before[0] else set()
                seen |= {"a row"} if rows != before[1] else set()
                new = {name for name in open_for_writing(pids) - opened if "sqlite" not in name}
                seen |= {"an open file"} if new else set()
        connection.sendall(end)
        return seen, read_all_of_one(connection)


def read_all_of_one(connection: object) -> bytes:
    """The answer; the connection may stay open behind it."""
    received = b""
    while b"}" not in received and (data := connection.recv(2**16)):  # type: ignore[attr-defined]
        received += data
    return received


GOOD_BODY = part(b"qquuid", GOOD_UUID) + part(b"qqfilename", b"a.txt") + FILE + END
NUMBER = GOOD_UUID.decode()


def raw(line: str, *lines: str, body: bytes = b"") -> bytes:
    """A request as it is; `HOST`, `COOKIE` and `TOKEN` stand for what an attacker with a login has."""
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1") + body


USUAL = ("Host: HOST", "Cookie: COOKIE", "X-CSRFToken: TOKEN")
FORM = f"Content-Type: {MULTIPART}"
LENGTH = f"Content-Length: {len(GOOD_BODY)}"
RAW_QUERY = urlencoded(simple_params())
CHUNKED_BODY = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD_BODY), GOOD_BODY)

HEADS = {
    "no length": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, body=GOOD_BODY),
    "chunked": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=CHUNKED_BODY),
    "chunked, to done": raw(
        "POST /uploads/done HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=CHUNKED_BODY
    ),
    "chunked, and a length": raw(
        "POST /uploads/ HTTP/1.1", *USUAL, FORM, LENGTH, "Transfer-Encoding: chunked", body=CHUNKED_BODY
    ),
    "chunked, broken": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=b"zz\r\nx\r\n"),
    "chunked, cut": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=CHUNKED_BODY[:40]),
    "chunked, of no size": raw(
        "POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunked, negative": raw(
        "POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked", body=b"-5\r\nx\r\n"
    ),
    "chunked twice": raw(
        "POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: chunked, chunked", body=CHUNKED_BODY
    ),
    "identity": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: identity", body=GOOD_BODY),
    "compressed": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Transfer-Encoding: gzip, chunked", body=CHUNKED_BODY),
    "two lengths": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, LENGTH, "Content-Length: 5", body=GOOD_BODY),
    "a negative length": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Content-Length: -5", body=GOOD_BODY),
    "a length with a sign": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Content-Length: +5", body=GOOD_BODY),
    "a length beyond all": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, f"Content-Length: {'9' * 30}", body=GOOD_BODY),
    "18 digits of length": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, f"Content-Length: {'9' * 18}", body=GOOD_BODY),
    "a length that is none": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Content-Length: ten", body=GOOD_BODY),
    "a length too long by one": raw(
        "POST /uploads/ HTTP/1.1", *USUAL, FORM, f"Content-Length: {len(GOOD_BODY) + 1}", body=GOOD_BODY
    ),
    "a length too short": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Content-Length: 100", body=GOOD_BODY),
    "a length of nothing": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, "Content-Length: 0", body=GOOD_BODY),
    "a request in a request": raw(
        "POST /uploads/ HTTP/1.1",
        *USUAL,
        FORM,
        "Content-Length: 4",
        body=raw(f"DELETE /uploads/{NUMBER} HTTP/1.1", "Host: HOST"),
    ),
    "the first version": raw("POST /uploads/ HTTP/1.0", *USUAL, FORM, LENGTH, body=GOOD_BODY),
    "no version": raw("POST /uploads/", *USUAL, FORM, LENGTH, body=GOOD_BODY),
    "version 9": raw("POST /uploads/ HTTP/9.9", *USUAL, FORM, LENGTH, body=GOOD_BODY),
    "no host": raw("GET /uploads/session HTTP/1.1"),
    "two hosts": raw("GET /uploads/session HTTP/1.1", "Host: HOST", "Host: evil.example"),
    "a whole address": raw(f"GET http://evil.example/uploads/{NUMBER} HTTP/1.1", *USUAL),
    "an asterisk": raw("OPTIONS * HTTP/1.1", *USUAL),
    "a folded header": raw("GET /uploads/session HTTP/1.1", *USUAL, "X-A: b", " c: d"),
    "a header with a space": raw("GET /uploads/session HTTP/1.1", *USUAL, "X-A : b"),
    "a header without colon": raw("GET /uploads/session HTTP/1.1", *USUAL, "nonsense"),
    "an underscore": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, LENGTH, "Content_Length: 5", body=GOOD_BODY),
    "NUL in a header": raw("GET /uploads/session HTTP/1.1", *USUAL, "X-A: \x00"),
    "high bytes in a header": raw("GET /uploads/session HTTP/1.1", *USUAL, "X-A: \xff\xfe"),
    "300 headers": raw("GET /uploads/session HTTP/1.1", *USUAL, *[f"X-{number}: a" for number in range(300)]),
    "a header of 100 KB": raw("GET /uploads/session HTTP/1.1", *USUAL, "X-A: " + "b" * 100_000),
    "an address of 100 KB": raw("GET /uploads/" + "a" * 100_000 + " HTTP/1.1", *USUAL),
    "an address of 4 KB": raw("GET /uploads/" + "a" * 4000 + " HTTP/1.1", *USUAL),
    "an address with a line break": raw("DELETE /uploads/a/b%0ac HTTP/1.1", *USUAL),
    "an address that climbs": raw("DELETE /uploads/../../../etc/passwd HTTP/1.1", *USUAL),
    "an address that climbs, encoded": raw("DELETE /uploads/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1", *USUAL),
    "an address of dots": raw("DELETE /uploads/.. HTTP/1.1", *USUAL),
    "an address with high bytes": raw("GET /uploads/\xff\xfe HTTP/1.1", *USUAL),
    "an address with a fragment": raw("GET /uploads/session#/../admin HTTP/1.1", *USUAL),
    "a session of NUL": raw("GET /uploads/session HTTP/1.1", "Host: HOST", 'Cookie: sessionid="' + "\\000" * 9 + '"'),
    "a method that is none": raw("PROPFIND /uploads/ HTTP/1.1", *USUAL),
    "a method of 1000 letters": raw("A" * 1000 + " /uploads/ HTTP/1.1", *USUAL),
    "an expectation": raw("POST /uploads/ HTTP/1.1", *USUAL, FORM, LENGTH, "Expect: 100-continue", body=GOOD_BODY),
    "an upgrade": raw("GET /uploads/session HTTP/1.1", *USUAL, "Connection: Upgrade", "Upgrade: h2c"),
    "a raw body that ends early": raw(
        f"PUT /uploads/?{RAW_QUERY} HTTP/1.1",
        *USUAL,
        "Content-Type: application/octet-stream",
        "Content-Length: 9",
        body=b"data",
    ),
    "a raw body of no type": raw(f"PUT /uploads/?{RAW_QUERY} HTTP/1.1", *USUAL, "Content-Length: 4", body=b"data"),
    "no protocol at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "nothing": b"\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_head_that_lies(site: LiveSite, login: str, name: str) -> None:
    """What the server itself refuses it refuses with its own page; what reaches the app is answered by it."""
    site_name = f"127.0.0.1:{site.ports[0]}".encode()
    data = HEADS[name].replace(b"HOST", site_name).replace(b"COOKIE", login.encode()).replace(b"TOKEN", TOKEN.encode())
    before = kept(site)
    received = exchange(site, data)
    after = kept(site)
    answers = [received[found.start() :] for found in re.finditer(rb"HTTP/1\.[01] (?!100)\d{3}", received)]
    assert name in ("nothing", "no protocol at all", "no version") or answers
    for answer in map(parse, answers):
        assert answer.status < 500
        # The pages of the server and of Django say nothing but what the status says.
        assert [one for one in leak_problems(answer, site.folder) if "<" not in one] == []
        if "json" in answer.headers.get("content-type", "") or answer.body.startswith(b"{"):
            assert shape_problems(answer) == []
    if not any(200 <= parse(answer).status < 300 for answer in answers):
        assert after == before


def test_server_s_log_holds_no_line_of_an_attacker_s(site: LiveSite, login: str) -> None:
    forged = "a%0a2026-01-01%20CRITICAL%20root:%20forged%1b[2J"
    for line in (
        f"DELETE /uploads/{forged} HTTP/1.1",
        f"GET /uploads/{forged}/x HTTP/1.1",
        f"POST /uploads/?qquuid={forged} HTTP/1.1",
    ):
        lines = [
            one.replace("HOST", f"127.0.0.1:{site.ports[0]}").replace("COOKIE", login).replace("TOKEN", TOKEN)
            for one in USUAL
        ]
        assert parse(exchange(site, raw(line, *lines, "Content-Length: 0"))).status in (400, 404)
    text = site.log.read_text()
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith("2026-01-01 CRITICAL")] == []
