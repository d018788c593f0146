"""Putting a hostile value where a parameter stands, in each encoding that the client knows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote_from_bytes

from fakeuploader import WireRequest
from flowtools import CSRF

BOUNDARY = "----WebKitFormBoundaryAAAAAAAAAAAAAAAA"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
DATA = b"data"

Params = list[tuple[bytes, bytes]]
Encoder = Callable[[Params], WireRequest]


def request(
    method: str, url: str, body: bytes = b"", *, content_type: str = "", headers: Mapping[str, str] = CSRF
) -> WireRequest:
    """A request of a page that may send it."""
    typed = (("Content-Type", content_type),) if content_type else ()
    return WireRequest(method=method, url=url, headers=(*headers.items(), *typed)).with_body(body)


def chunk_params() -> Params:
    """The first of two chunks, of an upload that nobody knows."""
    number = str(uuid.uuid4()).encode()
    return [
        (b"qquuid", number),
        (b"qqfilename", b"a.txt"),
        (b"qqpartindex", b"0"),
        (b"qqpartbyteoffset", b"0"),
        (b"qqchunksize", b"4"),
        (b"qqtotalparts", b"2"),
        (b"qqtotalfilesize", b"8"),
    ]


def simple_params() -> Params:
    return [(b"qquuid", str(uuid.uuid4()).encode()), (b"qqfilename", b"a.txt"), (b"qqtotalfilesize", b"4")]


def changed(params: Params, name: bytes, value: bytes) -> Params:
    """The same parameters, one of them with another value."""
    return [(key, value if key == name else old) for key, old in params]


def part(name: bytes, content: bytes, *, more: bytes = b"") -> bytes:
    quoted = name.replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
    head = b'Content-Disposition: form-data; name="' + quoted + b'"' + more
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


FILE = part(b"qqfile", DATA, more=b'; filename="blob"\r\nContent-Type: application/octet-stream')
END = b"--" + BOUNDARY.encode() + b"--\r\n"


def fields(params: Params) -> bytes:
    return b"".join(part(name, value) for name, value in params)


def urlencoded(params: Iterable[tuple[bytes, bytes]]) -> str:
    return "&".join(f"{quote_from_bytes(name)}={quote_from_bytes(value)}" for name, value in params)


def in_form(params: Params) -> WireRequest:
    return request("POST", "/uploads/", fields(params) + FILE + END, content_type=MULTIPART)


def in_query(params: Params) -> WireRequest:
    return request("POST", f"/uploads/?{urlencoded(params)}", FILE + END, content_type=MULTIPART)


def in_raw(params: Params) -> WireRequest:
    return request("PUT", f"/uploads/?{urlencoded(params)}", DATA, content_type="application/octet-stream")


def in_done_form(params: Params) -> WireRequest:
    body = urlencoded(params).encode()
    return request("POST", "/uploads/done", body, content_type="application/x-www-form-urlencoded")


def in_done_json(params: Params) -> WireRequest:
    values = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in params}
    return request("POST", "/uploads/done", json.dumps(values).encode(), content_type="application/json")


def in_done_multipart(params: Params) -> WireRequest:
    return request("PATCH", "/uploads/done", fields(params) + END, content_type=MULTIPART)


def in_delete(params: Params) -> WireRequest:
    body = urlencoded([*params, (b"_method", b"DELETE")]).encode()
    return request("POST", "/uploads/", body, content_type="application/x-www-form-urlencoded")


ENCODERS: Mapping[str, Encoder] = {
    "form": in_form,
    "query": in_query,
    "raw": in_raw,
    "done form": in_done_form,
    "done JSON": in_done_json,
    "done multipart": in_done_multipart,
    "delete": in_delete,
}
