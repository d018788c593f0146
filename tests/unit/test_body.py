"""The body as a stream: never shorter than it says without an error, and never longer than it says."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.core.handlers.wsgi import WSGIRequest
from django.http import QueryDict, UnreadablePostError
from django.test import RequestFactory

from fineuploader_receiver.csrf import check_csrf
from fineuploader_receiver.exceptions import BadBody, BodyTooLarge, CsrfFailed, LengthRequired, TruncatedBody
from fineuploader_receiver.protocol import body as module
from fineuploader_receiver.protocol.body import Body

DATA = b"0123456789" * 10
FORM = "multipart/form-data; boundary=bound"


class Wire(io.BytesIO):
    """What arrives on the socket, with a count of how much was taken."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        super().__init__(data)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.error is not None and self.tell() == len(self.getvalue()):
            raise self.error
        return super().read(size)


def request(data: bytes | Wire = DATA, *, length: str | None = "100", method: str = "POST", **meta: Any) -> WSGIRequest:
    environ = RequestFactory().generic(method, "/").environ | {
        "wsgi.input": data if isinstance(data, Wire) else Wire(data),
        "CONTENT_TYPE": "application/octet-stream",
    }
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    return WSGIRequest({**environ, **meta})


def read_in_pieces(body: Body, size: int = 7) -> bytes:
    pieces = []
    while data := body.read(size):
        assert len(data) <= size
        pieces.append(data)
    return b"".join(pieces)


def test_body_is_read_to_its_end() -> None:
    body = Body(request())
    assert read_in_pieces(body) == DATA
    assert (body.received, body.length, body.read(1)) == (100, 100, b"")


def test_body_longer_than_it_says_ends_where_it_says() -> None:
    assert read_in_pieces(Body(request(DATA + b"more"))) == DATA


@pytest.mark.parametrize("arrived", [0, 1, 6, 7, 99])
def test_body_that_breaks_off_is_told(arrived: int) -> None:
    body = Body(request(DATA[:arrived]))
    with pytest.raises(TruncatedBody):
        read_in_pieces(body)
    assert body.received == arrived


def test_connection_that_breaks_is_told() -> None:
    with pytest.raises(TruncatedBody):
        read_in_pieces(Body(request(Wire(DATA[:50], OSError("reset by peer")))))


def test_body_that_a_middleware_has_buffered() -> None:
    buffered = request()
    assert buffered.body == DATA
    assert read_in_pieces(Body(buffered)) == DATA


@pytest.mark.parametrize("length", ["-1", "+100", "1e2", "100.0", "0x64", "abc", "\uff11\uff10\uff10", "1" * 19, "1,1"])
def test_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(BadBody):
        Body(request(length=length))


def test_longest_length() -> None:
    assert Body(request(length="9" * 18)).length == 10**18 - 1


@pytest.mark.parametrize(
    ("length", "data", "meta"),
    [
        (None, DATA, {}),
        ("", DATA, {}),
        (None, DATA, {"HTTP_TRANSFER_ENCODING": "chunked"}),
        (None, b"", {"HTTP_TRANSFER_ENCODING": "chunked"}),
        (None, b"", {"CONTENT_TYPE": FORM}),
    ],
)
def test_body_without_a_length_is_refused(length: str | None, data: bytes, meta: dict[str, str]) -> None:
    with pytest.raises(LengthRequired):
        Body(request(data, length=length, **meta))


@pytest.mark.parametrize("length", [None, "", "0"])
def test_request_without_a_body_needs_no_length(length: str | None) -> None:
    body = Body(request(b"", length=length))
    assert (body.length, body.read(10)) == (0, b"")


def test_method_that_has_no_body_needs_no_length() -> None:
    assert Body(request(DATA, length=None, method="DELETE")).length == 0


def test_reading_it_all_at_the_limit_and_one_past_it() -> None:
    assert Body(request()).read_all(100) == DATA
    assert Body(request()).read_all(None) == DATA
    body = Body(request())
    with pytest.raises(BodyTooLarge):
        body.read_all(99)
    assert body.received == 0


def test_rest_is_read_to_the_announced_end() -> None:
    body = Body(request())
    body.read(10)
    body.read_rest()
    assert body.received == 100
    with pytest.raises(TruncatedBody):
        Body(request(DATA[:99])).read_rest()


def test_rest_that_nobody_wants_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_BYTES", 99)
    body = Body(request())
    with pytest.raises(BodyTooLarge):
        body.read_rest()
    body.read(1)
    body.read_rest()
    assert body.received == 100


# Draining, so that a refusal can be read.


def test_refused_body_is_drained() -> None:
    body = Body(request())
    body.read(10)
    body.drain()
    assert body.received == 100


def test_draining_stops_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_BYTES", 30)
    monkeypatch.setattr(module, "_READ_SIZE", 10)
    body = Body(request())
    body.drain()
    assert body.received == 30


def test_draining_stops_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.0)
    body = Body(request())
    body.drain()
    assert body.received == 0


@pytest.mark.parametrize("error", [None, OSError("reset by peer")])
def test_draining_a_body_that_breaks_off_is_no_error(error: Exception | None) -> None:
    body = Body(request(Wire(DATA[:50], error)))
    body.drain()
    assert body.received == 50


# Forms that somebody else has read.


FORM_BODY = b"".join(
    [
        b'--bound\r\nContent-Disposition: form-data; name="before"\r\n\r\n1\r\n',
        b'--bound\r\nContent-Disposition: form-data; name="a"; filename="x"\r\n\r\ndata\r\n--bound--\r\n',
    ]
)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_form_that_nobody_has_read(method: str) -> None:
    assert not Body(request(FORM_BODY, length=str(len(FORM_BODY)), method=method, CONTENT_TYPE=FORM)).is_parsed


def test_form_that_a_middleware_has_read() -> None:
    parsed = request(FORM_BODY, length=str(len(FORM_BODY)), CONTENT_TYPE=FORM)
    file = parsed.FILES["a"]
    assert isinstance(file, UploadedFile)
    assert file.read() == b"data"
    body = Body(parsed)
    assert body.is_parsed
    body.check_parsed()
    body.drain()


def test_form_that_a_middleware_has_read_and_that_broke_off() -> None:
    """Guards against Django's parser, which ends a file where the body ends."""
    parsed = request(FORM_BODY[:-14], length=str(len(FORM_BODY)), CONTENT_TYPE=FORM)
    assert dict(parsed.POST.lists()) == {"before": ["1"]}
    with pytest.raises(TruncatedBody):
        Body(parsed).check_parsed()


def test_form_that_a_middleware_has_buffered_is_still_ours_to_read() -> None:
    buffered = request(FORM_BODY, length=str(len(FORM_BODY)), CONTENT_TYPE=FORM)
    assert buffered.body
    assert buffered.POST is not None
    body = Body(buffered)
    assert not body.is_parsed
    assert read_in_pieces(body) == FORM_BODY


def test_form_that_was_refused_after_its_token_was_checked_is_read_to_its_end() -> None:
    """Regression: the token's check gives the request the fields so far, which looked as if all were read."""
    refused = request(FORM_BODY, length=str(len(FORM_BODY)), CONTENT_TYPE=FORM)
    body = Body(refused)
    with pytest.raises(CsrfFailed):
        check_csrf(refused, QueryDict())
    assert {"_post", "_files"} <= set(refused.__dict__)
    body.drain()
    assert body.received == len(FORM_BODY)


def test_unreadable_request_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = request()

    def fail(size: int) -> bytes:
        raise UnreadablePostError("reset by peer")

    monkeypatch.setattr(broken, "read", fail)
    with pytest.raises(TruncatedBody):
        Body(broken).read(1)
