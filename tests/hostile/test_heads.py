"""Hostile headers, cookies, methods and addresses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from django.test import Client

from fakeuploader import DjangoTransport, WireRequest
from flowtools import strict_client
from hostile.aim import ENCODERS, request, simple_params, urlencoded
from hostile.values import GOOD_UUID, TEXTS, TOKENS
from hostile.world import World, leak_problems, shape_problems

NUMBER = GOOD_UUID.decode()
ROUTES = {"upload": ("POST", "/uploads/"), "done": ("POST", "/uploads/done"), "session": ("GET", "/uploads/session")}
ROUTES |= {"config": ("GET", "/uploads/config"), "delete": ("DELETE", f"/uploads/{NUMBER}")}
ROUTES |= {"status": ("GET", f"/uploads/{NUMBER}")}

HEADERS: Mapping[str, tuple[str, str]] = {
    "another method": ("X-HTTP-Method-Override", "DELETE"),
    "another method, as others call it": ("X-Method-Override", "DELETE"),
    "another address": ("X-Original-URL", "/admin/"),
    "another address, as others call it": ("X-Rewrite-URL", "/admin/"),
    "another host": ("X-Forwarded-Host", "evil.example"),
    "another client": ("X-Forwarded-For", "127.0.0.1, ::1, evil"),
    "another scheme": ("X-Forwarded-Proto", "https"),
    "a user": ("Remote-User", "root"),
    "a user of ours": ("X-User", "boris"),
    "a login": ("Authorization", "Basic Ym9yaXM6c2VjcmV0"),
    "a login that is none": ("Authorization", "\u00ff" * 100),
    "a range": ("Range", "bytes=0-0,-1,9999999999999999999999-"),
    "a range of content": ("Content-Range", "bytes 0-9/10"),
    "compressed": ("Content-Encoding", "gzip"),
    "any type": ("Accept", "*/*"),
    "HTML": ("Accept", "text/html"),
    "a type that is none": ("Accept", ";;q=x," * 500),
    "a language that is none": ("Accept-Language", "../../" * 50),
    "an old page": ("If-Modified-Since", "Thu, 99 Foo 0000"),
    "any page": ("If-None-Match", "*"),
    "a mime type": ("X-Mime-Type", "text/html"),
    "a mime type that is none": ("X-Mime-Type", "<script>/../\u00ff"),
    "a mime type of 8 KB": ("X-Mime-Type", "a/" + "b" * 8000),
    "a referer": ("Referer", "https://evil.example/"),
    "a referer that is none": ("Referer", "http://[::1"),
    "a page's name in the referer": ("Referer", "javascript:alert(1)"),
    "an agent": ("User-Agent", "() { :; }; /bin/sh"),
    "an upgrade": ("Upgrade", "websocket"),
    "an expectation": ("Expect", "100-continue"),
    "no origin": ("Origin", "null"),
    "a foreign origin": ("Origin", "https://evil.example"),
    "an origin that begins like ours": ("Origin", "http://testserver.evil.example"),
    "an origin that ends like ours": ("Origin", "http://eviltestserver"),
    "our origin with a path": ("Origin", "http://testserver/"),
    "our origin with a user": ("Origin", "http://evil@testserver"),
    "two origins": ("Origin", "http://testserver, https://evil.example"),
    "an origin that is none": ("Origin", "http://[::1"),
    "an origin with a port beyond": ("Origin", "http://testserver:99999999"),
    "an origin of 8 KB": ("Origin", "http://" + "o" * 8000),
    "an empty origin": ("Origin", ""),
}


@pytest.mark.parametrize("route", ROUTES)
def test_header_that_no_client_sends(world: World, route: str) -> None:
    method, url = ROUTES[route]
    plain = request(method, url, content_type="")
    requests = {name: plain.with_header(*header) for name, header in HEADERS.items()}
    assert world.attack(requests) == {}


def test_upload_with_a_header_that_no_client_sends(world: World) -> None:
    for encoding in ("query", "raw"):
        make = ENCODERS[encoding]
        # Accept with text/html asks for the answer into a frame, which other tests look at.
        headers = {name: header for name, header in HEADERS.items() if header != ("Accept", "text/html")}
        assert (
            world.attack({name: make(simple_params()).with_header(*header) for name, header in headers.items()}) == {}
        )


@pytest.mark.parametrize("encoding", ["form", "raw", "done form", "delete"])
def test_token_that_is_none(world: World, encoding: str) -> None:
    tokens = {name: value.decode("latin-1") for name, value in TOKENS.items()}
    make = ENCODERS[encoding]
    assert (
        world.attack({name: make(simple_params()).with_header("X-CSRFToken", value) for name, value in tokens.items()})
        == {}
    )


COOKIES: Mapping[str, str] = {
    "nothing": "",
    "no name": "=x; ;;;",
    "only semicolons": ";" * 5000,
    "8 KB": "a=" + "b" * 8000,
    "a session that is none": "sessionid=" + "x" * 32,
    "a session of NUL": 'sessionid="\\000\\000\\000\\000\\000\\000\\000\\000\\000"',
    "a session with a line break": 'sessionid="aaaaaaaaaaa\\012\\015"',
    "a session of high bytes": 'sessionid="' + "\\377" * 40 + '"',
    "a session that climbs": "sessionid=../../../../etc/passwd",
    "a session of 5 KB": "sessionid=" + "s" * 5000,
    "a session in another alphabet": "sessionid=\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587",
    "a session with SQL": "sessionid=' OR 1=1 --aaaaaaaa",
    "two sessions": "sessionid=aaaaaaaaaaaa; sessionid=bbbbbbbbbbbb",
    "a token that is none": "csrftoken=short",
    "a token of NUL": 'csrftoken="' + "\\000" * 32 + '"',
    "two tokens": "csrftoken=" + "a" * 32 + "; csrftoken=" + "b" * 32,
    "pickled": "sessionid=gASVKAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("anonymous", [False, True], ids=["logins only", "anonymous allowed"])
def test_cookie_that_no_server_gave(world: World, settings: object, route: str, anonymous: bool) -> None:
    """Regression: a cookie with NUL, which PostgreSQL does not look up, was answered 503 as if the server were busy."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"ALLOW_ANONYMOUS": anonymous}, "videos": {}}  # type: ignore[attr-defined]
    method, url = ROUTES[route]
    world.transport = DjangoTransport(Client(enforce_csrf_checks=True))
    plain = request(method, url, headers={"Origin": "http://testserver"})
    read_only = method == "GET"
    found = {}
    for name, cookie in COOKIES.items():
        # With anonymous uploads these routes begin a session, which is a row of its own.
        problems = world.problems_of if not (read_only and anonymous) else lambda one: _look(world, one)
        if wrong := problems(plain.with_header("Cookie", cookie)):
            found[name] = wrong
    assert found == {}


def _look(world: World, one: WireRequest) -> list[str]:
    answer = world.transport.send(one)
    return [*shape_problems(answer), *leak_problems(answer, world.folder)]


PATHS: Mapping[str, str] = {
    "above": "/uploads/..",
    "above, encoded": "/uploads/%2e%2e",
    "above, and into the admin": "/uploads/../admin/",
    "above, encoded, and into the admin": "/uploads/%2e%2e/admin/",
    "above, with an encoded slash": "/uploads/..%2f..%2fetc%2fpasswd",
    "above, encoded twice": "/uploads/%252e%252e%252f",
    "above, with a backslash": "/uploads/..%5c..%5c",
    "above, in overlong UTF-8": "/uploads/%c0%ae%c0%ae/%c0%af",
    "here": "/uploads/./././",
    "two slashes": "/uploads//",
    "three slashes": "/uploads///",
    "a thousand slashes": "/uploads/" + "/" * 1000,
    "done with two slashes": "/uploads//done",
    "done, encoded": "/uploads/%64one",
    "done with a line break": "/uploads/done%0a",
    "done with NUL": "/uploads/done%00",
    "done with parameters": "/uploads/done;a=b",
    "done in capitals": "/uploads/DONE",
    "done below": "/uploads/done/more",
    "a line break": "/uploads/%0a",
    "a line break below": "/uploads/a/b%0ac",
    "only line breaks": "/uploads/%0a/%0a/%0d",
    "a carriage return below": "/uploads/a/b%0dc",
    "Unicode's line break below": "/uploads/a/b%e2%80%a8c",
    "NUL": "/uploads/%00",
    "NUL below": "/uploads/a/%00",
    "not UTF-8": "/uploads/%ff%fe",
    "not UTF-8 below": "/uploads/%ff/%fe",
    "a lone surrogate": "/uploads/%ed%a0%80",
    "a broken escape": "/uploads/%zz/%",
    "8 KB": "/uploads/" + "a" * 8000,
    "8 KB of folders": "/uploads/" + "a/" * 4000,
    "a uuid and more": f"/uploads/{NUMBER}/more",
    "a uuid and two slashes": f"/uploads/{NUMBER}//",
    "a uuid above": f"/uploads/{NUMBER}/..",
    "a uuid with a line break": f"/uploads/{NUMBER}%0a",
    "a uuid with NUL": f"/uploads/{NUMBER}%00",
    "a uuid behind two slashes": f"/uploads//{NUMBER}",
    "a uuid in capitals": f"/uploads/{NUMBER.upper()}",
    "a script": "/uploads/<script>alert(1)</script>",
    "a template": "/uploads/{{7*7}}",
    "the staging folder": "/uploads/.fineuploader",
    "a format": "/uploads/%25s%25n",
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_address_that_is_none(world: World, method: str) -> None:
    """Regression: an address below the prefix with a line break in it was answered by the site's HTML page."""
    requests = {name: request(method, path) for name, path in PATHS.items()}
    if method == "HEAD":
        world.transport = DjangoTransport(strict_client())
        found = {name: world.transport.send(one).status for name, one in requests.items()}
        assert {name: status for name, status in found.items() if not 400 <= status < 500} == {}
        return
    assert world.attack(requests) == {}


METHODS = ["TRACE", "CONNECT", "PROPFIND", "MOVE", "post", "DELETE\x00", "A" * 1000, "GET /uploads/ HTTP/1.1", "\u00ff"]


@pytest.mark.parametrize("route", ROUTES)
def test_method_that_is_none(world: World, route: str) -> None:
    url = ROUTES[route][1]
    requests = {method: request(method, url) for method in METHODS}
    assert world.attack(requests) == {}


METHOD_OVERRIDES = [
    "DELETE",
    "delete",
    "PUT",
    "GET",
    "",
    "DELETE,POST",
    "DELETE\x00",
    "\uff24ELETE",
    " DELETE",
    "OPTIONS",
]


@pytest.mark.parametrize("where", ["query", "form"])
def test_method_in_a_parameter_only_deletes_one_s_own(world: World, where: str) -> None:
    requests = {}
    for value in METHOD_OVERRIDES:
        pairs = urlencoded([(b"_method", value.encode()), (b"qquuid", GOOD_UUID)])
        form = request("POST", "/uploads/", pairs.encode(), content_type="application/x-www-form-urlencoded")
        requests[value] = form if where == "form" else request("POST", f"/uploads/?{pairs}")
    assert world.attack(requests) == {}


def test_query_of_a_reading_route_is_not_looked_at(world: World) -> None:
    for route in ("session", "config", "status"):
        method, url = ROUTES[route]
        requests = {
            name: request(method, f"{url}?{urlencoded([(b'qqtimestamp', value), (value, b'')])}")
            for name, value in TEXTS.items()
        }
        assert world.attack(requests) == {}
