"""Hostile bodies: forms that are none, JSON that no browser writes, and lengths that are not theirs."""

from __future__ import annotations

import dataclasses

import pytest

from fakeuploader import WireRequest
from hostile.aim import ENCODERS, MULTIPART, chunk_params, request, simple_params
from hostile.bodies import FORMS, GOOD, JSONS
from hostile.world import World

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", ""), ("POST", "done")], ids=str)
def test_form_that_no_browser_writes(world: World, method: str, path: str) -> None:
    requests = {name: request(method, f"/uploads/{path}", body, content_type=MULTIPART) for name, body in FORMS.items()}
    assert world.attack(requests) == {}


def test_form_whose_uuid_is_in_the_query(world: World) -> None:
    url = "/uploads/?qquuid=0f8fad5b-d9cb-469f-a165-70867728950e&qqfilename=a"
    requests = {name: request("POST", url, body, content_type=MULTIPART) for name, body in FORMS.items()}
    assert world.attack(requests) == {}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", FORM, ""])
def test_success_request_that_no_browser_writes(world: World, content_type: str) -> None:
    requests = {name: request("POST", "/uploads/done", body, content_type=content_type) for name, body in JSONS.items()}
    assert world.attack(requests) == {}


BOUNDARIES = {
    "none": "multipart/form-data",
    "empty": "multipart/form-data; boundary=",
    "empty in quotes": 'multipart/form-data; boundary=""',
    "of 300 characters": "multipart/form-data; boundary=" + "b" * 300,
    "of spaces": 'multipart/form-data; boundary="   "',
    "with a line break": 'multipart/form-data; boundary="a\r\nb"',
    "a dash": "multipart/form-data; boundary=-",
    "not ASCII": "multipart/form-data; boundary=\u00e4",
    "another one": "multipart/form-data; boundary=other",
    "two": f"{MULTIPART}; boundary=other",
    "in capitals": MULTIPART.replace("boundary", "BOUNDARY"),
    "in RFC 2231": MULTIPART.replace("boundary=", "boundary*=utf-8''"),
    "of a form of another kind": MULTIPART.replace("form-data", "mixed"),
    "of a form in capitals": MULTIPART.replace("multipart/form-data", "MULTIPART/FORM-DATA"),
    "with a charset": f"{MULTIPART}; charset=utf-16",
    "with a comma": f"{MULTIPART}, {MULTIPART}",
    "behind nothing": "; boundary=x",
    "regular expression": 'multipart/form-data; boundary=".*"',
}


@pytest.mark.parametrize("path", ["", "done"])
def test_boundary_that_is_none(world: World, path: str) -> None:
    requests = {
        name: request("POST", f"/uploads/{path}", GOOD, content_type=value) for name, value in BOUNDARIES.items()
    }
    assert world.attack(requests) == {}


LENGTHS = {
    "negative": "-1",
    "with a sign": "+5",
    "a fraction": "1.5",
    "an exponent": "1e3",
    "hexadecimal": "0x5",
    "Python's separator": "1_0",
    "two": "5, 5",
    "a space": " ",
    "a word": "ten",
    "Arabic": "\u0665",
    "18 digits": "9" * 18,
    "30 digits": "9" * 30,
    "5000 digits": "9" * 5000,
    "nothing": "",
    "zero": "0",
    "one less": None,
    "one more": None,
}


def with_length(original: WireRequest, name: str, length: str | None) -> WireRequest:
    """The same body under another Content-Length; the header may be anything, which the type forbids on purpose."""
    by = {"one less": -1, "one more": 1}
    value = len(original.body) + by[name] if length is None else length
    return dataclasses.replace(original, content_length=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ENCODERS)
def test_length_that_is_not_the_body_s(world: World, encoding: str) -> None:
    original = ENCODERS[encoding](chunk_params())
    requests = {name: with_length(original, name, length) for name, length in LENGTHS.items()}
    requests["without any"] = original.without_length()
    requests["chunked"] = original.as_chunked()
    requests["chunked, with a length"] = original.with_header("Transfer-Encoding", "chunked")
    requests["identity, without any"] = original.without_length().with_header("Transfer-Encoding", "identity")
    requests["breaks off"] = original.cut(len(original.body) // 2, breaks=True)
    requests["ends early"] = original.cut(len(original.body) // 2)
    assert world.attack(requests) == {}


TYPES = {
    "none": "",
    "HTML": "text/html",
    "XML": "application/xml",
    "JSON": "application/json",
    "a picture": "image/png",
    "nonsense": "/",
    "only parameters": ";charset=utf-8",
    "a charset that is none": "application/x-www-form-urlencoded; charset=nope",
    "UTF-16": "application/x-www-form-urlencoded; charset=utf-16",
    "UTF-7": "application/x-www-form-urlencoded; charset=utf-7",
    "escapes as a charset": "application/octet-stream; charset=unicode_escape",
    "8 KB": "text/plain; a=" + "b" * 8000,
    "not ASCII": "text/\u00e4",
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_content_type_that_is_not_the_body_s(world: World, encoding: str) -> None:
    original = ENCODERS[encoding](simple_params())
    requests = {name: original.with_header("Content-Type", value) for name, value in TYPES.items()}
    assert world.attack(requests) == {}
