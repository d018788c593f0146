"""The Python client must send what the published client sends, and judge answers as it does.

``fakeuploader/recorded.json`` holds what the unmodified npm build sent (``fakeuploader/record.cjs`` records it).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from fakeuploader import (
    UNDEFINED,
    BrowserFile,
    ChunkOverrides,
    ClientOptions,
    DjangoTransport,
    FakeUploader,
    SocketTransport,
    WireRequest,
    WireResponse,
    cors_form_outcome,
    form_outcome,
)
from fakeuploader.answers import Outcome, delete_outcome, done_outcome, session_items, upload_outcome
from fakeuploader.javascript import JSValue, encode_multipart, form_entries, number, obj2url, stringify

RECORDED = json.loads((Path(__file__).parent / "fakeuploader" / "recorded.json").read_text())
UUID = RECORDED["uuid"]

# The same object as in record.cjs.
ODD_PARAMS: dict[str, JSValue] = {
    "b": "x y",
    "2": "two",
    "a": {"b": {"c": 1, "d": None}, "e": [1, "two", {"z": 1}]},
    "1": "one",
    "n": None,
    "u": UNDEFINED,
    "t": True,
    "f": False,
    "third": 10 / 3,
    "big": 1e21,
    "small": 1e-7,
    "small6": 1e-6,
    "mid": 123456789012345680000,
    "neg": -0.5,
    "arr": [1, None, UNDEFINED, "z", [3, 4]],
    "k[]": [1, 2],
    "fn": lambda: "called",
    "e": {},
    "empty": "",
    "uni": "ä€😀",
    "sym": "-_.!~*'()&=+%/?#",
    "undefined": "no",
    "d": datetime(2021, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
    'qu"ote\nname': "li\nne\rs\r\n",
}


class Answering:
    """A transport that answers from a list, the last answer for ever, and keeps what it was given."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = [WireResponse(status=status, body=json.dumps(body).encode()) for status, body in answers]
        self.requests: list[WireRequest] = []

    def send(self, request: WireRequest) -> WireResponse:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def good() -> Answering:
    return Answering((200, {"success": True}))


# What is sent


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("query", obj2url(ODD_PARAMS, "/x?y=1")),
        ("urlencoded", obj2url(ODD_PARAMS)),
        ("json", stringify(ODD_PARAMS)),
        ("nothing", obj2url({}, "/x")),
        ("after a bare question mark", obj2url({"a": 1}, "/x?")),
        ("empty first", obj2url({"e": {}, "a": 1})),
        ("json of odd characters", stringify({"a": "\ud800\u0007\u007f\u2028"})),
    ],
)
def test_encoding_equals_the_recorded_one(name: str, written: str) -> None:
    assert written == RECORDED["encodings"][name]


def test_form_data_equals_the_recorded_one() -> None:
    boundary = RECORDED["encodings"]["type"].partition("boundary=")[2]
    named, nameless = BrowserFile(b"abc", 'a"b\nc.txt', "text/plain"), BrowserFile(b"xyz")
    entries = [*form_entries(ODD_PARAMS), ("lone", "\ud800"), ("qqfile", named), ("blob", nameless)]
    assert encode_multipart(entries, boundary).decode("latin-1") == RECORDED["encodings"]["form"]


def as_recorded(request: WireRequest, record: dict[str, Any]) -> dict[str, Any]:
    """Write a request as record.cjs does, under the recorded boundary."""
    media_type, body = request.header("Content-Type") or "", request.body.decode("latin-1")
    headers = [[name, value] for name, value in request.headers]
    written: dict[str, Any] = {"method": request.method, "url": request.url}
    if "type" in record:
        body = body.replace(media_type.partition("boundary=")[2] or "no boundary", record["type"].partition("=")[2])
        same_kind = media_type.partition(";")[0].lower() == record["type"].partition(";")[0]
        written["type"] = record["type"] if same_kind else media_type
        headers = [header for header in headers if header[0] != "Content-Type"]
    return written | {"headers": headers, "body": None if request.content_length is None else body}


@pytest.mark.parametrize("name", RECORDED["uploads"])
def test_upload_sends_what_the_published_client_sent(name: str) -> None:
    case = RECORDED["uploads"][name]
    content, file_name, media_type = case["file"]
    uploader = FakeUploader.from_page(good(), case["options"])
    uploader.upload(uploader.add(BrowserFile(content.encode(), file_name, media_type), uuid=UUID))
    requests = [request for request, _ in uploader.log]
    assert [as_recorded(*pair) for pair in zip(requests, case["sent"], strict=True)] == case["sent"]


@pytest.mark.parametrize("case", RECORDED["deletes"])
def test_session_and_delete_send_what_the_published_client_sent(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0)
    uploader = FakeUploader.from_page(good(), case["options"])
    uploader.session()
    uploader.delete(UUID)
    requests = [request for request, _ in uploader.log]
    assert [as_recorded(*pair) for pair in zip(requests, case["sent"], strict=True)] == case["sent"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (5.0, "5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "100000000000000000000"),
        (1.5e300, "1.5e+300"),
        (-1e-9, "-1e-9"),
        (2**64, "18446744073709552000"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (-0.0, "0"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(value: float, written: str) -> None:
    assert number(value) == written


def test_slice_rounds_half_to_even_and_clamps() -> None:
    file = BrowserFile(b"0123456789", "a.txt", "text/plain")
    assert file.slice(2.5, 3.5) == BrowserFile(b"23")
    assert file.slice(8.7, 99) == BrowserFile(b"9")


def test_raw_body_of_an_empty_file_has_a_length_of_zero() -> None:
    uploader = FakeUploader(good(), ClientOptions(params_in_body=False, force_multipart=False))
    request = uploader.simple_request(uploader.add(b""))
    assert (request.content_length, request.body) == (0, b"")


def test_chunk_overrides_replace_every_header_and_move_the_request() -> None:
    uploader = FakeUploader(good(), ClientOptions(chunking=True, part_size=10, custom_headers={"X-CSRFToken": "t"}))
    overrides = ChunkOverrides(headers={"X-Own": "1"}, method="PATCH", endpoint="/other", params={"extra": "1"})
    request = uploader.chunk_request(uploader.add(b"x" * 25), 1, overrides=overrides)
    names = [name for name, _ in request.headers]
    assert (request.method, request.url, names) == ("PATCH", "/other", ["X-Own", "Content-Type"])
    assert b'name="extra"' in request.body


def test_success_params_and_headers_replace_the_defaults() -> None:
    options = ClientOptions(success_endpoint="/done", success_params={"only": "this"}, success_headers={"X-Own": "1"})
    uploader = FakeUploader(good(), options)
    request = uploader.done_request(uploader.add(b"x"))
    assert request.body == b"only=this"
    assert request.header("X-Own") == "1"


def test_scaled_images_name_their_parent_first_and_come_before_it() -> None:
    uploader = FakeUploader(good())
    original = BrowserFile(b"large", "pic.png", "image/png")
    child, parent = uploader.add_scaled(original, {"tiny": BrowserFile(b"s", None, "image/png")})
    body = uploader.simple_request(child).body
    assert (child.name, parent.name) == ("pic (tiny).png", "pic.png")
    assert [name for name in field_names(body) if name.startswith("qq")] == [
        "qqparentuuid",
        "qqparentsize",
        "qquuid",
        "qqfilename",
        "qqtotalfilesize",
        "qqfile",
    ]
    assert b'filename="blob"\r\nContent-Type: image/png' in body


def test_form_fields_win_over_params_and_path_is_last() -> None:
    uploader = FakeUploader(good(), ClientOptions(params={"a": "param", "b": 1}, form_fields={"a": "field"}))
    body = uploader.simple_request(uploader.add(b"x", path="top/sub/")).body
    assert field_names(body)[:3] == ["a", "b", "qqpath"]
    assert b'name="a"\r\n\r\nfield\r\n' in body


def test_form_upload_looks_like_a_page_load_and_sends_no_size() -> None:
    uploader = FakeUploader(good(), ClientOptions(custom_headers={"X-CSRFToken": "t"}, params={"line": "a\nb"}))
    request = uploader.form_request(uploader.add(BrowserFile(b"x", "a.txt", "text/plain")))
    assert field_names(request.body) == ["line", "qquuid", "qqfilename", "qqfile"]
    assert b'name="line"\r\n\r\nab\r\n' in request.body
    assert request.header("X-CSRFToken") is None
    assert "text/html" in str(request.header("Accept"))


def test_form_upload_by_get_sends_only_the_name() -> None:
    uploader = FakeUploader(good(), ClientOptions(method="GET", endpoint="/up"))
    request = uploader.form_request(uploader.add(b"x", uuid=UUID))
    query = f"qquuid={UUID}&qqfilename=file.bin&qqfile=file.bin"
    assert (request.method, request.url, request.body) == ("GET", f"/up?{query}", b"")


def test_preflights_ask_for_what_the_browser_would_ask() -> None:
    uploader = FakeUploader(
        good(),
        ClientOptions(cors=True, success_endpoint="/done", session_endpoint="/s", delete_method="POST"),
    )
    upload = uploader.add(b"x")
    asked = uploader.preflight(uploader.simple_request(upload), origin="http://a")
    assert asked == WireRequest(
        method="OPTIONS",
        url="/server/upload",
        headers=(
            ("Origin", "http://a"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "cache-control,x-requested-with"),
            ("Accept", "*/*"),
        ),
    )
    for unasked in (uploader.done_request(upload), uploader.delete_request(UUID), uploader.session_request()):
        assert uploader.preflight(unasked, origin="http://a") is None


def test_preflight_of_a_raw_upload_names_the_types() -> None:
    uploader = FakeUploader(good(), ClientOptions(params_in_body=False, force_multipart=False))
    asked = uploader.preflight(uploader.simple_request(uploader.add(b"x")), origin="http://a")
    assert asked is not None
    assert asked.header("Access-Control-Request-Headers") == "cache-control,content-type,x-mime-type,x-requested-with"


def field_names(body: bytes) -> list[str]:
    return [line.split(b'"')[1].decode() for line in body.split(b"\r\n") if line.startswith(b"Content-Disposition")]


# The order of sending

CONCURRENT = ClientOptions(chunking=True, concurrent=True, part_size=10, success_endpoint="/done")


def indexes(requests: list[WireRequest]) -> list[str]:
    return [
        request.body.partition(b'name="qqpartindex"\r\n\r\n')[2].partition(b"\r\n")[0].decode() or "done"
        for request in requests
    ]


def test_concurrent_page_starts_its_first_batch_from_the_highest_index() -> None:
    transport = good()
    assert FakeUploader(transport, CONCURRENT).upload(b"x" * 65).success
    assert indexes(transport.requests) == ["2", "1", "0", "3", "4", "5", "6", "done"]


def test_failed_chunk_is_sent_again_and_then_the_rest() -> None:
    transport = Answering((200, {"success": True}), (500, {"error": "no"}), (200, {"success": True}))
    uploader = FakeUploader(transport, ClientOptions(chunking=True, part_size=10))
    assert uploader.upload(b"x" * 25, attempts=2).success
    assert indexes(transport.requests) == ["0", "1", "1", "2"]


def test_failed_chunk_of_a_concurrent_page_takes_the_others_in_flight_with_it() -> None:
    transport = Answering((500, {"error": "no"}), (200, {"success": True}))
    assert FakeUploader(transport, CONCURRENT).upload(b"x" * 45, attempts=2).success
    assert indexes(transport.requests) == ["2", "1", "0", "2", "1", "0", "3", "4", "done"]


def test_prevent_retry_ends_the_attempts() -> None:
    transport = Answering((413, {"error": "too large", "preventRetry": True}))
    outcome = FakeUploader(transport).upload(b"x", attempts=3)
    assert (outcome.error, outcome.prevent_retry, len(transport.requests)) == ("too large", True, 1)


def test_reset_of_a_sequential_page_starts_again_at_zero() -> None:
    transport = Answering((200, {"success": True}), (409, {"error": "gone", "reset": True}), (200, {"success": True}))
    uploader = FakeUploader(transport, ClientOptions(chunking=True, part_size=10))
    assert uploader.upload(b"x" * 25, attempts=2).success
    assert indexes(transport.requests) == ["0", "1", "0", "1", "2"]


def test_reset_of_the_only_chunk_of_a_concurrent_page_hangs_it() -> None:
    transport = Answering((409, {"error": "gone", "reset": True}))
    uploader = FakeUploader(transport, CONCURRENT)
    outcome = uploader.upload(uploader.resume(uploader.add(b"x" * 25), remaining=[2]), attempts=3)
    assert (outcome.hangs, outcome.error, len(transport.requests)) == (True, None, 1)


def test_reset_of_the_success_request_sends_everything_again() -> None:
    transport = Answering(
        *[(200, {"success": True})] * 3, (409, {"error": "gone", "reset": True}), (200, {"success": True})
    )
    assert FakeUploader(transport, CONCURRENT).upload(b"x" * 25, attempts=2).success
    assert indexes(transport.requests) == ["2", "1", "0", "done", "2", "1", "0", "done"]


def test_failed_success_request_is_repeated_alone() -> None:
    transport = Answering(*[(200, {"success": True})] * 3, (503, {"error": "busy"}), (200, {"success": True}))
    assert FakeUploader(transport, CONCURRENT).upload(b"x" * 25, attempts=2).success
    assert indexes(transport.requests) == ["2", "1", "0", "done", "done"]


def test_resumed_concurrent_page_marks_its_whole_first_batch() -> None:
    transport = good()
    uploader = FakeUploader(transport, CONCURRENT)
    uploader.upload(uploader.resume(uploader.add(b"x" * 65), remaining=[1, 4, 5, 6]))
    assert indexes(transport.requests) == ["5", "4", "1", "6", "done"]
    assert [b'name="qqresume"\r\n\r\ntrue' in request.body for request in transport.requests] == [True] * 3 + [
        False
    ] * 2


def test_resumed_upload_with_nothing_left_sends_only_the_success_request() -> None:
    transport = good()
    uploader = FakeUploader(transport, CONCURRENT)
    assert uploader.upload(uploader.resume(uploader.add(b"x" * 65), remaining=[])).success
    assert indexes(transport.requests) == ["done"]


# How answers are judged


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"success": true}', Outcome(success=True, status=200, response={"success": True})),
        (201, b'{"success": "false"}', Outcome(success=True, status=201, response={"success": True})),
        (
            200,
            b'{"success": true, "reset": true}',
            Outcome(
                success=False,
                status=200,
                error="Upload failure reason unknown",
                reset=True,
                response={"success": False, "reset": True},
            ),
        ),
        (
            200,
            b"[]",
            Outcome(success=False, status=200, error="Upload failure reason unknown", response={"success": False}),
        ),
        (
            204,
            b"",
            Outcome(success=False, status=204, error="XHR returned response code 204", response={"success": False}),
        ),
        (
            400,
            b'"text"',
            Outcome(success=False, status=400, error="text", response={"error": "text", "success": False}),
        ),
        (
            206,
            b'{"success": true}',
            Outcome(success=False, status=206, error="XHR returned response code 206", response={"success": False}),
        ),
        (200, b"null", Outcome(success=False, status=200, hangs=True)),
        (
            200,
            b'{"success": NaN}',
            Outcome(success=False, status=200, error="Upload failure reason unknown", response={"success": False}),
        ),
    ],
)
def test_upload_answer_is_judged_as_the_client_does(status: int, body: bytes, expected: Outcome) -> None:
    assert upload_outcome(WireResponse(status=status, body=body)) == expected


def test_success_request_counts_as_success_by_its_status_alone() -> None:
    lying = WireResponse(status=200, body=b'{"success": false, "reset": true}')
    assert done_outcome(lying) == Outcome(success=True, status=200, response={"success": True, "reset": True})


def test_success_request_resets_on_the_statuses_of_the_page() -> None:
    outcome = done_outcome(WireResponse(status=409, body=b"{}"), reset_on_status=(409,))
    assert (outcome.reset, outcome.error) == (True, "XHR returned response code 409")


@pytest.mark.parametrize(("method", "status", "success"), [("DELETE", 201, False), ("POST", 201, True)])
def test_delete_counts_as_success_by_the_statuses_of_its_method(method: str, status: int, success: bool) -> None:
    assert delete_outcome(WireResponse(status=status), method=method).success is success


def test_session_item_without_a_name_hides_all_after_it() -> None:
    body = b'[{"uuid": "1", "name": "a"}, {"uuid": "2"}, {"uuid": "3", "name": "c"}]'
    assert session_items(WireResponse(status=200, body=body)) == [{"uuid": "1", "name": "a"}]
    assert session_items(WireResponse(status=201, body=body)) == []


def test_form_answer_needs_a_frame_and_a_type_that_keeps_the_text() -> None:
    body = b'{"success": true, "error": "a & b"}'
    plain = WireResponse(status=500, headers={"content-type": "text/plain"}, body=body)
    assert form_outcome(plain).success
    assert not form_outcome(WireResponse(status=200, headers={"x-frame-options": "DENY"}, body=body)).success


def test_form_answer_across_origins_needs_its_uuid_on_one_line_and_the_script() -> None:
    script = b'<script src="/static/iframe.xss.response.js"></script>'
    one_line = b'{"success": true, "uuid": "1"}'
    assert cors_form_outcome(WireResponse(status=200, body=one_line + script), "1").success
    for broken in (one_line, one_line.replace(b", ", b",\n") + script, b'{"success": true}' + script):
        assert not cors_form_outcome(WireResponse(status=200, body=broken), "1").success


# Transports


def test_django_transport_lies_about_the_length_when_asked() -> None:
    uploader = FakeUploader(good(), ClientOptions(params_in_body=False, force_multipart=False))
    request = uploader.simple_request(uploader.add(b"x" * 10)).cut(4, breaks=True)
    environ = DjangoTransport().environ(request)
    assert (environ["CONTENT_LENGTH"], environ["wsgi.input"].read(10)) == ("10", b"xxxx")
    with pytest.raises(ConnectionResetError):
        environ["wsgi.input"].read(6)


def test_django_transport_keeps_path_and_query_as_the_client_wrote_them() -> None:
    request = WireRequest(method="DELETE", url="/up//%C3%A4?a=1&&b=%20", headers=(("X-CSRFToken", "t"),))
    environ = DjangoTransport().environ(request)
    assert {key: environ.get(key) for key in ("PATH_INFO", "QUERY_STRING", "HTTP_X_CSRFTOKEN", "CONTENT_LENGTH")} == {
        "PATH_INFO": "/up//ä".encode().decode("latin-1"),
        "QUERY_STRING": "a=1&&b=%20",
        "HTTP_X_CSRFTOKEN": "t",
        "CONTENT_LENGTH": None,
    }


class EchoServer(threading.Thread):
    """Answers every connection with the bytes that it received until the client paused or ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        received = b""
        while not received.endswith(b"END") and (data := connection.recv(65536)):
            received += data
        head = f"HTTP/1.1 200 OK\r\nSet-Cookie: seen=1; Path=/\r\nContent-Length: {len(received)}\r\n\r\n"
        connection.sendall(head.encode() + received)


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    server.start()
    yield server
    server.listener.close()


def test_socket_transport_sends_the_bytes_and_keeps_cookies(echo: EchoServer) -> None:
    transport = SocketTransport("127.0.0.1", echo.port, cookies={"csrftoken": "t"})
    request = WireRequest(method="POST", url="/up?a=1", headers=(("Accept", "*/*"),), body=b"the END", content_length=7)
    assert (
        transport.send(request).body
        == (
            b"POST /up?a=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nCookie: csrftoken=t\r\n"
            b"Content-Length: 7\r\nConnection: close\r\n\r\nthe END"
        )
        % echo.port
    )
    assert transport.cookies == {"csrftoken": "t", "seen": "1"}


def test_socket_transport_ends_a_body_that_was_cut_short(echo: EchoServer) -> None:
    request = WireRequest(method="POST", url="/", body=b"x" * 9, content_length=9).cut(3)
    body = SocketTransport("127.0.0.1", echo.port).send(request).body
    assert body.endswith(b"Content-Length: 9\r\nConnection: close\r\n\r\nxxx")


def test_socket_transport_writes_chunked_bodies(echo: EchoServer) -> None:
    request = WireRequest(method="POST", url="/", body=b"twelve bytes", content_length=12).as_chunked()
    under_way = SocketTransport("127.0.0.1", echo.port).open(request)
    under_way.send()
    under_way.end()
    assert under_way.answer().body.endswith(
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nc\r\ntwelve bytes\r\n0\r\n\r\n"
    )


def test_socket_transport_lets_a_request_hang_and_go_on(echo: EchoServer) -> None:
    request = WireRequest(method="POST", url="/", body=b"first END", content_length=9)
    under_way = SocketTransport("127.0.0.1", echo.port).open(request)
    under_way.send_all_but(3)
    under_way.send()
    assert under_way.answer().body.endswith(b"\r\n\r\nfirst END")
