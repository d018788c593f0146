"""Forms out of a grammar, mutated, through the app's reader and through Django's; and whatever a fuzzer once found.

`tools/fuzz.py` runs the same targets for hours, guided by what they reach.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TypeVar

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.http.multipartparser import MultiPartParser
from django.test import RequestFactory
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hostile.bodies import FORMS, JSONS
from hostile.fuzztargets import BOUNDARY, TARGETS, Parts, multipart, params, read_parts, whole_request

Value = TypeVar("Value")

FOUND: dict[str, tuple[bytes, ...]] = {
    "multipart": (b"", b"\x00", b"\x05--bound", b"\x01--bound--", b"\x00--bound\r\n\r\n--bound--"),
    "params": (b"", b"{", b"sa=1$qqqresumea%4Bb%5D=1&a[0]=x&a[\xf81", b'{{"a": "\\ud800"}', b"q%ff[%ff]=%00"),
    "requests": (b"\x00\x00\x00\x01\n\n", b"\x00\x03\x00\x00\nqquuid=\n", b"\x00\x02\x01\x01\n\n[]"),
}
"""Inputs that once did harm, or are the smallest of their kind."""


@pytest.mark.parametrize(("target", "data"), [(name, data) for name, items in FOUND.items() for data in items])
def test_found_input_does_no_harm(target: str, data: bytes) -> None:
    TARGETS[target](data)


# Contents made of pieces of delimiters, which end a part where a reader is careless.
pieces = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"-", b"--", b"--bound", b"\r\n--boun", b"\r\n-", b"\0", b"\xff", b"x" * 90]
    ),
    max_size=8,
)
contents = pieces.map(b"".join).filter(lambda content: b"\r\n--bound" not in b"\r\n" + content)
names = st.text(
    st.sampled_from("abz09 ._-()[]{}@+=,'\u00e4\u0416\u4e2d\U0001f600\u202e\ufeff"), min_size=1, max_size=12
).filter(lambda name: name.strip() == name)
# Django drops characters and files whose names it does not like.
file_names = names.filter(lambda name: name.isprintable() and name not in (".", ".."))
types = st.sampled_from(["", "text/plain", "application/octet-stream", "image/svg+xml"])
part = st.tuples(names, st.none() | file_names, types, contents)
forms = st.lists(part, max_size=6)


def written(parts: Parts) -> bytes:
    """A form as a browser writes it."""
    body = b""
    for name, filename, content_type, content in parts:
        file = f'; filename="{filename}"' if filename is not None else ""
        kind = f"\r\nContent-Type: {content_type}" if content_type else ""
        head = f'--bound\r\nContent-Disposition: form-data; name="{name}"{file}{kind}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + b"--bound--\r\n"


def django_reads(body: bytes) -> tuple[dict[str, list[bytes]], dict[str, list[tuple[str, str, bytes]]]]:
    """Fields and files of a form as Django's own parser sees them."""
    request = RequestFactory().post("/", body, content_type=f"multipart/form-data; boundary={BOUNDARY.decode()}")
    post, files = MultiPartParser(request.META, io.BytesIO(body), request.upload_handlers, "utf-8").parse()
    fields = {name: [value.encode() for value in values] for name, values in post.lists()}
    return fields, {name: [_file(file) for file in found] for name, found in files.lists()}


def _file(file: UploadedFile[bytes]) -> tuple[str, str, bytes]:
    return file.name or "", file.content_type or "", file.read()


@given(forms, st.integers(1, 40))
def test_form_says_the_same_to_django_and_to_us_however_it_arrives(parts: Parts, piece: int) -> None:
    # Django ends a part at the boundary's characters, whatever stands in front of them.
    assume(not any(b"--bound" in content for *_, content in parts))
    body = written(parts)
    assert read_parts(body, piece=piece) == parts
    fields, files = django_reads(body)
    # A field is a text: what is no UTF-8 has no bytes any more.
    texts = [
        (name, content.decode("utf-8", "replace").encode()) for name, filename, _, content in parts if filename is None
    ]
    assert fields == grouped(texts)
    assert files == grouped([(name, (file, kind, content)) for name, file, kind, content in parts if file is not None])


@given(forms)
def test_form_is_the_same_cut_anywhere(parts: Parts) -> None:
    body = written(parts)
    for piece in (1, 2, 3, len(body) - 1, len(body)):
        assert read_parts(body, piece=max(piece, 1)) == parts


@given(forms, st.data())
def test_form_that_is_damaged_does_no_harm(parts: Parts, data: st.DataObject) -> None:
    multipart(bytes([data.draw(st.integers(0, 63))]) + mutated(written(parts), data))


@given(forms, st.sampled_from([b"", b"qquuid=0f8fad5b-d9cb-469f-a165-70867728950e"]), st.data())
def test_request_that_is_damaged_does_no_harm(parts: Parts, query: bytes, data: st.DataObject) -> None:
    head = bytes([data.draw(st.integers(0, 4)), data.draw(st.integers(0, 5)), data.draw(st.integers(0, 1)), 1])
    known = [
        ("qquuid", None, "", b"0f8fad5b-d9cb-469f-a165-70867728950e"),
        *parts,
        ("qqfile", "blob", "image/png", b"file"),
    ]
    whole_request(head + b"\n" + query + b"\n" + mutated(written(known), data))


@given(st.sampled_from(sorted(JSONS.values(), key=len)[:-4]), st.data())
def test_json_that_is_damaged_does_no_harm(body: bytes, data: st.DataObject) -> None:
    params(b"{" + mutated(body[:5000], data))
    whole_request(b"\x00\x02\x01\x01\n\n" + mutated(body[:5000], data))


@given(st.text(st.sampled_from("ab[]0=&%\0.\ud800"), max_size=60))
@example("a" + "[b]" * 19 + "=1")
@example("a" + "[b]" * 20 + "=1")
def test_names_of_parameters_do_no_harm(text: str) -> None:
    params(b"q" + text.encode("utf-8", "surrogatepass"))
    params(b"s" + text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
def test_hostile_form_is_the_same_cut_anywhere(body: bytes) -> None:
    body = body.replace(b"----WebKitFormBoundaryAAAAAAAAAAAAAAAA", b"bound")[:20_000]
    for piece in (b"\x00", b"\x06", b"\x3f"):
        multipart(piece + body)


def mutated(body: bytes, data: st.DataObject) -> bytes:
    """The body with a few bytes put in, taken out, doubled or changed."""
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = min(start + data.draw(st.integers(0, 30)), len(body))
        middle = data.draw(
            st.sampled_from(
                [b"", body[start:stop] * 2, b"\r\n", b'"', b";", b"--bound", b"\0", b"%00", b"\xed\xa0\x80"]
            )
        )
        body = body[:start] + middle + body[stop:]
    return body


def grouped(pairs: Iterable[tuple[str, Value]]) -> dict[str, list[Value]]:
    """The values of each name, in their order."""
    found: dict[str, list[Value]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
