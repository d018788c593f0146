"""The multipart reader: the same parts however a body is cut up, and never an end before the end."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineuploader_receiver.exceptions import BadBody, BodyTooLarge, TruncatedBody
from fineuploader_receiver.protocol import multipart
from fineuploader_receiver.protocol.multipart import MAX_HEADER_SIZE, MAX_NAME_SIZE, MultipartReader, find_boundary

BOUNDARY = b"----WebKitFormBoundaryAbCdEf0123456789"


@dataclasses.dataclass(frozen=True)
class Read:
    """A part, read to its end."""

    name: str
    filename: str | None
    content: bytes
    content_type: str = ""


class Pieces:
    """A stream that returns what it is told to at each read, as a socket does."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter([piece for piece in pieces if piece])
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        data = self._rest or next(self._pieces, b"")
        self._rest = data[size:]
        return data[:size]


def form(*parts: tuple[str, bytes], boundary: bytes = BOUNDARY) -> bytes:
    """A body as a browser writes it."""
    pieces = []
    for parameters, content in parts:
        disposition = f"Content-Disposition: form-data; {parameters}".encode("utf-8", "surrogateescape")
        pieces += [b"--", boundary, b"\r\n", disposition, b"\r\n\r\n", content, b"\r\n"]
    return b"".join([*pieces, b"--", boundary, b"--\r\n"])


def read_all(pieces: Iterable[bytes], boundary: bytes = BOUNDARY) -> list[Read]:
    reader = MultipartReader(Pieces(pieces), boundary)
    found = []
    while (part := reader.next_part()) is not None:
        content = b"".join(bytes(piece) for piece in part.chunks)
        found.append(Read(part.name, part.filename, content, part.content_type))
    return found


def only(disposition: str, content: bytes = b"x") -> Read:
    (part,) = read_all([form((disposition, content))])
    return part


UPLOAD = form(
    ('name="qqpartindex"', b"0"),
    ('name="a[b]"', "ä\r\n--".encode()),
    ('name="empty"', b""),
    ('name="qqfile"; filename="blob"\r\nContent-Type: application/octet-stream', b"\r\n--file \x00\xff\r\n\r\n"),
)
PARTS = [
    Read("qqpartindex", None, b"0"),
    Read("a[b]", None, "ä\r\n--".encode()),
    Read("empty", None, b""),
    Read("qqfile", "blob", b"\r\n--file \x00\xff\r\n\r\n", "application/octet-stream"),
]


def test_body_of_the_client() -> None:
    assert read_all([UPLOAD]) == PARTS


# However it is cut up.


def test_byte_by_byte() -> None:
    assert read_all(bytes([byte]) for byte in UPLOAD) == PARTS


def test_cut_in_two_anywhere() -> None:
    for cut in range(len(UPLOAD) + 1):
        assert read_all([UPLOAD[:cut], UPLOAD[cut:]]) == PARTS


# Pieces of delimiters, where a reader that looks in one place too few or too many goes wrong.
tricky = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"b", b"bo", b"\r\n--bo", b"\0", b"bou", b"x" * 70]
    ),
    max_size=12,
).map(b"".join)


@given(
    contents=st.lists(tricky, min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_any_content_in_any_pieces(contents: list[bytes], cuts: list[int]) -> None:
    boundary = b"bound"
    body = form(*((f'name="n{number}"', content) for number, content in enumerate(contents)), boundary=boundary)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [body[start:stop] for start, stop in itertools.pairwise(places)]
    assert read_all(pieces, boundary) == [Read(f"n{number}", None, data) for number, data in enumerate(contents)]


def test_content_longer_than_the_buffer() -> None:
    content = bytes(range(256)) * 1024
    assert read_all([form(('name="qqfile"; filename="x"', content))]) == [Read("qqfile", "x", content)]


def test_parts_that_are_not_read_are_passed_over() -> None:
    reader = MultipartReader(io.BytesIO(UPLOAD), BOUNDARY)
    names = []
    while (part := reader.next_part()) is not None:
        names.append(part.name)
        next(part.chunks, None)
    assert names == ["qqpartindex", "a[b]", "empty", "qqfile"]


# A last part whose size is known.


def read_last(pieces: Iterable[bytes], size: int, boundary: bytes = BOUNDARY) -> bytes:
    """The last part of a body, all others passed over, read by its size; the body must end with it."""
    reader = MultipartReader(Pieces(pieces), boundary)
    while (part := reader.next_part()) is not None and part.filename is None:
        assert reader.take_whole() is None or part.name
    content = b"".join(bytes(piece) for piece in reader.read_last(size))
    assert reader.next_part() is None
    return content


@given(content=tricky, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_last_part_of_known_size_in_any_pieces(content: bytes, cuts: list[int]) -> None:
    body = form(('name="a"', b"1"), ('name="qqfile"; filename="x"', content), boundary=b"bound")
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [body[start:stop] for start, stop in itertools.pairwise(places)]
    assert read_last(pieces, len(content), b"bound") == content


@pytest.mark.parametrize("size", [0, 1, 12, 14, 15, 100])
def test_last_part_that_is_not_of_the_size_is_refused(size: int) -> None:
    with pytest.raises((BadBody, TruncatedBody)):
        read_last([form(('name="qqfile"; filename="x"', b"y" * 13))], size)


@pytest.mark.parametrize(
    ("size", "tail", "expected"),
    [
        (13, b"", True),
        (12, b"", False),
        (14, b"", False),
        (13, b"x", False),
        (13, b"--more--", False),
    ],
)
def test_part_is_the_last_where_its_size_and_the_body_s_agree(size: int, tail: bytes, expected: bool) -> None:
    whole = form(('name="qqfile"; filename="x"', b"y" * 13))
    for body in (whole, whole.removesuffix(b"\r\n")):
        stream = io.BytesIO(body + tail)
        reader = MultipartReader(stream, BOUNDARY)
        reader.next_part()
        left = len(stream.getvalue()) - stream.tell()
        assert reader.is_last(size, left) is expected


def test_pieces_of_a_last_part_end_where_pages_of_a_file_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against writes that begin within a page each: the system would handle that page twice."""
    monkeypatch.setattr(multipart, "READ_SIZE", 4096)
    reader = MultipartReader(io.BytesIO(form(('name="qqfile"; filename="x"', b"y" * 20_000))), BOUNDARY)
    reader.next_part()
    ends = list(itertools.accumulate(len(piece) for piece in reader.read_last(20_000)))
    assert [end % 4096 for end in ends[1:-1]] == [0, 0, 0, 0]
    assert ends[-1] == 20_000


def test_memory_is_two_buffers_whatever_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "READ_SIZE", 1000)
    reader = MultipartReader(io.BytesIO(form(('name="qqfile"; filename="x"', b"y" * 100_000))), BOUNDARY)
    part = reader.next_part()
    assert part is not None
    assert max(len(piece) for piece in part.chunks) <= 1000 + len(BOUNDARY) + 4


# The end comes with the closing delimiter, or not at all.


def test_body_that_breaks_off_anywhere_is_told() -> None:
    """Guards against a shorter file and a success: the reader must never end normally before the closing delimiter."""
    closing = UPLOAD.rindex(b"--")
    for cut in range(closing + 2):
        with pytest.raises(TruncatedBody):
            read_all([UPLOAD[:cut]])
    assert read_all([UPLOAD[: closing + 2]]) == PARTS


def test_body_that_breaks_off_after_a_whole_delimiter_is_told() -> None:
    with pytest.raises(TruncatedBody):
        read_all([UPLOAD[: UPLOAD.rindex(b"--")]])


def test_what_follows_the_closing_delimiter_is_left_unread() -> None:
    assert read_all([UPLOAD, b"an epilogue\r\n--", BOUNDARY, b"\r\nno part"]) == PARTS


def test_preamble_is_passed_over() -> None:
    assert read_all([b"This is a message in MIME format.\r\n", UPLOAD]) == PARTS


def test_preamble_without_end_is_refused() -> None:
    with pytest.raises(BadBody):
        read_all([b"x" * 1000] * 70)


def test_empty_body_is_cut_short() -> None:
    with pytest.raises(TruncatedBody):
        read_all([])


def test_form_without_parts() -> None:
    assert read_all([form()]) == []


# Boundaries.


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b; c"', b"a b; c"),
        ("multipart/form-data;charset=utf-8;BOUNDARY=abc; x=y", b"abc"),
        ("multipart/form-data; boundary=----WebKitFormBoundary0123", b"----WebKitFormBoundary0123"),
        ("multipart/form-data; boundary=" + "x" * 200, b"x" * 200),
    ],
)
def test_boundary_of_a_content_type(content_type: str, expected: bytes) -> None:
    assert find_boundary(content_type) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=ä",
        "multipart/form-data; boundary=" + "x" * 201,
        "multipart/form-data; noboundary=x",
    ],
)
def test_content_type_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadBody):
        find_boundary(content_type)


@pytest.mark.parametrize(
    "content", [b"--" + BOUNDARY, b"\n--" + BOUNDARY, b"\r\n--" + BOUNDARY[:-1], b"\r\n-" + BOUNDARY]
)
def test_content_may_look_almost_like_a_boundary(content: bytes) -> None:
    assert only('name="qqfile"; filename="x"', content).content == content


@pytest.mark.parametrize("after", [b"X", b"-", b" x", b"\n", b"\0"])
def test_content_with_the_boundary_itself_is_refused_and_never_cut(after: bytes) -> None:
    with pytest.raises(BadBody):
        read_all([form(('name="qqfile"; filename="x"', b"begin\r\n--" + BOUNDARY + after + b"\r\nend"))])


def test_blanks_after_a_boundary_are_no_part_of_it() -> None:
    body = form(('name="a"', b"1"), ('name="b"', b"2")).replace(BOUNDARY + b"\r\n", BOUNDARY + b" \t\r\n")
    assert read_all([body]) == [Read("a", None, b"1"), Read("b", None, b"2")]


# Headers.


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('name="a"', "a", None),
        ('name="a"; filename=""', "a", ""),
        ('name="a"; filename="x.txt"', "a", "x.txt"),
        ("name=a; filename=x.txt", "a", "x.txt"),
        ('NAME="a"; FileName="x"', "a", "x"),
        ('name="a" ; filename = "x"', "a", "x"),
        ('filename="x"; name="a"', "a", "x"),
        ('name="a"; filename="x; name=b"', "a", "x; name=b"),
        ('name="a"; name="b"', "a", None),
        ('name="a"; filename="dir/sub/one.txt"', "a", "dir/sub/one.txt"),
        ('name="a"; filename="../../etc/passwd"', "a", "../../etc/passwd"),
        ('name="a"; filename="C:\\\\temp\\\\x.txt"', "a", "C:\\\\temp\\\\x.txt"),
        ('name="a"; filename="say \\"hi\\".txt"', "a", 'say "hi".txt'),
        ('name="a"; filename="ends\\"', "a", "ends\\"),
        ('name="a"; filename="say %22hi%22.txt"', "a", "say %22hi%22.txt"),
        ('name="ä"; filename="日本語 😀.txt"', "ä", "日本語 😀.txt"),
        ("name=\"a\"; filename*=UTF-8''%E2%82%AC.txt", "a", "€.txt"),
        ('name="a"; filename="plain.txt"; filename*=utf-8\'en\'%E2%82%AC.txt', "a", "€.txt"),
        ("name=\"a\"; filename*=iso-8859-1''%E4.txt", "a", "ä.txt"),
    ],
)
def test_name_and_filename_of_a_part(disposition: str, name: str, filename: str | None) -> None:
    assert only(disposition) == Read(name, filename, b"x")


def test_name_that_is_not_text_is_replaced() -> None:
    assert only('name="a"; filename="\udcff.txt"').filename == "\ufffd.txt"


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n",
        b"Content-Disposition: form-data\r\n",
        b'Content-Disposition: form-data; name=""\r\n',
        b'Content-Disposition: attachment; name="a"\r\n',
        b"Content-Type: text/plain\r\n",
        b'no header\r\nContent-Disposition: form-data; name="a"\r\n',
        b"Content-Disposition: form-data; name=\"a\"; filename*=utf-7''x\r\n",
        b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n',
    ],
)
def test_part_with_headers_that_no_browser_sends_is_refused(head: bytes) -> None:
    body = b"".join([b"--", BOUNDARY, b"\r\n", head, b"\r\n", b"x\r\n--", BOUNDARY, b"--\r\n"])
    with pytest.raises(BadBody):
        read_all([body])


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7bit", "Binary"])
def test_transfer_encoding_that_is_none(encoding: str) -> None:
    assert only(f'name="a"\r\nContent-Transfer-Encoding: {encoding}') == Read("a", None, b"x")


def headers_of(size: int) -> str:
    """A part's parameters and a further header, so that all its headers together have a size."""
    rest = 'name="a"\r\nX-Padding: '
    return rest + "p" * (size - len("Content-Disposition: form-data; ") - len(rest))


def test_headers_at_the_limit_and_one_past_it() -> None:
    assert only(headers_of(MAX_HEADER_SIZE)) == Read("a", None, b"x")
    with pytest.raises(BadBody):
        only(headers_of(MAX_HEADER_SIZE + 1))


def test_long_filename_does_not_count_as_headers() -> None:
    """A hostile name of 4 KB is stored safely, and no reason to refuse the file."""
    assert only(f'name="a"; filename="{"ä" * 2048}.txt"').filename == "ä" * 2048 + ".txt"


def test_headers_without_end_are_refused_early() -> None:
    stream = Pieces([b"--", BOUNDARY, b"\r\n", *([b"x" * 1000] * 1000)])
    with pytest.raises(BadBody):
        MultipartReader(stream, BOUNDARY).next_part()
    assert len(stream.read(10**6)) > 0
    assert MAX_HEADER_SIZE + MAX_NAME_SIZE < 10**5


@pytest.mark.parametrize(
    "parameters", [';a="' * 8000, '\\"' * 16000, '"' + '\\"' * 16000, "; a=" * 8000, ";" * 32000, "a*=" * 10000]
)
def test_headers_that_are_slow_to_read_are_not(parameters: str) -> None:
    """Guards against backtracking: a few kilobytes must not take seconds."""
    started = time.process_time()
    with contextlib.suppress(BadBody):
        only(f'name="a"; filename={parameters}')
    assert time.process_time() - started < 1


def test_discarded_parts_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MAX_DISCARDED", 1000)
    fits = [('name="b"; filename="b"', b"x" * 500), ('name="c"; filename="c"', b"x" * 500)]
    for parts, expected in ((fits, True), ([*fits, ('name="d"; filename="d"', b"x")], False)):
        reader = MultipartReader(io.BytesIO(form(*parts)), BOUNDARY)
        try:
            while reader.next_part() is not None:
                pass
        except BodyTooLarge:
            assert not expected
        else:
            assert expected


def test_bytes_unlike_a_delimiter_are_handed_on_in_the_very_pieces_that_were_read() -> None:
    body = form(('name="a"; filename="b"', b"x" * 3000 + b"\r\n--" + b"y" * 3000))
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    part = MultipartReader(Pieces(pieces), BOUNDARY).next_part()
    assert part is not None
    assert [bytes(piece) for piece in part.chunks][1:-1] == pieces[1:-1]
