"""Hostile bodies, whole: forms and JSON. Each key says what its body tries."""

from __future__ import annotations

from collections.abc import Mapping

from hostile.aim import BOUNDARY, END, FILE, part
from hostile.values import GOOD_UUID, SURROGATE

MARK = b"--" + BOUNDARY.encode()
UUID = part(b"qquuid", GOOD_UUID)
GOOD = UUID + FILE + END


def raw_part(headers: bytes, content: bytes = b"x") -> bytes:
    return MARK + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def disposed(disposition: bytes, content: bytes = b"x") -> bytes:
    return raw_part(b"Content-Disposition: " + disposition, content)


INNER = b"--inner\r\nContent-Disposition: file; filename=a.txt\r\n\r\nx\r\n--inner--\r\n"

FORMS: Mapping[str, bytes] = {
    "nothing": b"",
    "only the end": END,
    "only a boundary": MARK,
    "a boundary that never ends its line": MARK + b"x" * 100_000,
    "a boundary with more behind it": MARK + b"x\r\n" + GOOD,
    "a boundary with spaces behind it": GOOD.replace(MARK + b"\r\n", MARK + b" \t\r\n"),
    "line feeds alone": GOOD.replace(b"\r\n", b"\n"),
    "carriage returns alone": GOOD.replace(b"\r\n", b"\r"),
    "no end": GOOD.removesuffix(END),
    "half an end": GOOD[:-4],
    "an end in the middle": UUID + END + FILE + END,
    "two ends": GOOD + END,
    "a whole form behind the end": GOOD + GOOD,
    "a megabyte behind the end": GOOD + b"z" * 2**20,
    "a line in front": b"hello\r\n" + GOOD,
    "100 KB in front": b"p" * 100_000 + b"\r\n" + GOOD,
    "a boundary in front that is none": b"--other\r\n\r\n" + GOOD,
    "a boundary as content": UUID.replace(GOOD_UUID, GOOD_UUID + b"\r\n" + MARK[:-1]) + FILE + END,
    "the file first": FILE + UUID + END,
    "no file": UUID + END,
    "a file in place of the uuid": disposed(b'form-data; name="qquuid"; filename="u"', GOOD_UUID) + FILE + END,
    "five files": UUID + FILE * 5 + END,
    "200 files": UUID + disposed(b'form-data; name="other"; filename="a"') * 200 + FILE + END,
    "200 files behind the file": UUID + FILE + disposed(b'form-data; name="other"; filename="a"') * 200 + END,
    "2000 fields": UUID + b"".join(part(b"k%d" % number, b"v") for number in range(2000)) + FILE + END,
    "2000 fields behind the file": UUID + FILE + part(b"k", b"v") * 2000 + END,
    "20 000 empty fields": UUID + part(b"k", b"") * 20_000 + FILE + END,
    "a field of 3 MB": UUID + part(b"big", b"v" * 3 * 2**20) + FILE + END,
    "a field of 3 MB behind the file": UUID + FILE + part(b"big", b"v" * 3 * 2**20) + END,
    "a name of 2000 bytes": UUID + part(b"n" * 2000, b"v") + FILE + END,
    "no headers": UUID + MARK + b"\r\n\r\nx\r\n" + FILE + END,
    "no disposition": UUID + raw_part(b"X-Other: 1") + FILE + END,
    "another disposition": UUID + disposed(b'attachment; name="qqfile"; filename="a"') + END,
    "an empty disposition": UUID + raw_part(b"Content-Disposition:") + FILE + END,
    "a disposition in capitals": GOOD.replace(b"Content-Disposition: form-data", b"CONTENT-DISPOSITION: FORM-DATA"),
    "a nameless part": UUID + disposed(b"form-data") + FILE + END,
    "an empty name": UUID + disposed(b'form-data; name=""') + FILE + END,
    "a name without quotes": disposed(b"form-data; name=qquuid", GOOD_UUID) + FILE + END,
    "a name that never ends": UUID + disposed(b'form-data; name="qqfile') + END,
    "a quote in the name": UUID + disposed(b'form-data; name="a\\"b"') + FILE + END,
    "backslashes in the name": UUID + disposed(b'form-data; name="a\\\\"') + FILE + END,
    "backslashes without end": UUID + disposed(b'form-data; name="' + b'\\"' * 8000 + b'"') + FILE + END,
    "semicolons without end": UUID + disposed(b"form-data" + b"; " * 8000) + FILE + END,
    "quotes without end": UUID + disposed(b'form-data; name="a"' + b';x="' * 6000) + FILE + END,
    "two names": disposed(b'form-data; name="qquuid"; name="other"', GOOD_UUID) + FILE + END,
    "two dispositions": raw_part(
        b'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="qquuid"', GOOD_UUID
    )
    + FILE
    + END,
    "a name in RFC 8187": disposed(b"form-data; name=x; name*=utf-8''qquuid", GOOD_UUID) + FILE + END,
    "a name in RFC 8187, UTF-7": UUID + disposed(b"form-data; name*=utf-7''+ADw-") + FILE + END,
    "a name in RFC 8187, no codec": UUID + disposed(b"form-data; name*=rot13''x") + FILE + END,
    "a name in RFC 8187, half": UUID + disposed(b"form-data; name*=utf-8") + FILE + END,
    "a name in RFC 8187, a surrogate": UUID + disposed(b"form-data; name*=utf-8''%ED%A0%80") + FILE + END,
    "a name in RFC 2231 pieces": UUID + disposed(b"form-data; name*0=qq; name*1=uuid") + FILE + END,
    "two file names": UUID + disposed(b"form-data; name=qqfile; filename=a; filename*=utf-8''..%2f..%2fb") + END,
    "a file name that climbs": UUID + disposed(b'form-data; name="qqfile"; filename="../../../tmp/x"') + END,
    "a file name with NUL": UUID + disposed(b'form-data; name="qqfile"; filename="a\x00b"') + END,
    "a file name that is no UTF-8": UUID
    + disposed(b'form-data; name="qqfile"; filename="\xff' + SURROGATE + b'"')
    + END,
    "no file name": UUID + disposed(b'form-data; name="qqfile"') + END,
    "an empty file name": UUID + disposed(b'form-data; name="qqfile"; filename=""') + END,
    "a file name of 20 KB": UUID + disposed(b'form-data; name="qqfile"; filename="' + b"f" * 20_000 + b'"') + END,
    "a file name of 40 KB": UUID + disposed(b'form-data; name="qqfile"; filename="' + b"f" * 40_000 + b'"') + END,
    "a header without colon": UUID + raw_part(b'Content-Disposition: form-data; name="a"\r\nnonsense') + FILE + END,
    "a header without name": UUID + raw_part(b'Content-Disposition: form-data; name="a"\r\n: x') + FILE + END,
    "a folded header": UUID + raw_part(b'Content-Disposition: form-data;\r\n name="a"') + FILE + END,
    "NUL in a header": UUID + raw_part(b'Content-Disposition: form-data; name="a"\r\nX-\x00: \x00') + FILE + END,
    "a header of 2 KB": UUID + raw_part(b'Content-Disposition: form-data; name="a"\r\nX: ' + b"x" * 2000) + FILE + END,
    "a header of 100 KB": UUID + raw_part(b"Content-Disposition: " + b"x" * 100_000) + FILE + END,
    "a header without end": UUID + MARK + b"\r\nContent-Disposition: " + b"x" * 200_000,
    "1000 headers": UUID + raw_part(b'Content-Disposition: form-data; name="a"' + b"\r\nA: b" * 1000) + FILE + END,
    "base64": UUID + raw_part(b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64') + END,
    "quoted-printable": UUID
    + raw_part(
        b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\nContent-Transfer-Encoding: quoted-printable'
    )
    + END,
    "an unknown transfer encoding": UUID
    + raw_part(b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: zip')
    + FILE
    + END,
    "a part that lies about its length": UUID
    + raw_part(b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\nContent-Length: 99999999999')
    + END,
    "a part in another charset": UUID
    + raw_part(b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-16')
    + FILE
    + END,
    "a charset field": part(b"_charset_", b"utf-16") + GOOD,
    "a form in a form": UUID
    + raw_part(b'Content-Disposition: form-data; name="qqfile"\r\nContent-Type: multipart/mixed; boundary=inner', INNER)
    + END,
    "a form in a file": UUID
    + raw_part(
        b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\n'
        b"Content-Type: multipart/form-data; boundary=inner",
        INNER,
    )
    + END,
    "a message in a file": UUID
    + raw_part(b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\nContent-Type: message/rfc822', b"A: b")
    + END,
    "a type that is none": UUID
    + raw_part(b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\nContent-Type: \xff/<script>')
    + END,
    "a type of 900 bytes": UUID
    + raw_part(b'Content-Disposition: form-data; name="qqfile"; filename="a"\r\nContent-Type: a/' + b"b" * 900)
    + END,
    "compressed": b"\x1f\x8b\x08\x00" + b"\x00" * 100,
    "all bytes": bytes(range(256)) * 100,
    "NUL without end": b"\x00" * 300_000,
    "dashes without end": b"-" * 300_000,
    "line breaks without end": b"\r\n" * 100_000,
}


def done(more: bytes) -> bytes:
    return b'{"qquuid": "' + GOOD_UUID + b'", "qqtotalparts": 0, "qqtotalfilesize": 0, ' + more + b"}"


JSONS: Mapping[str, bytes] = {
    "nothing": b"",
    "spaces": b" \r\n\t",
    "null": b"null",
    "a number": b"1",
    "a text": b'"a"',
    "a list": b"[]",
    "no value": b"{",
    "NUL": b"\x00",
    "a comment": b"/* */" + done(b'"a": 1'),
    "single quotes": b"{'qquuid': 'x'}",
    "a trailing comma": b'{"qquuid": "x",}',
    "two documents": done(b'"a": 1') * 2,
    "text behind": done(b'"a": 1') + b"x",
    "a byte order mark": b"\xef\xbb\xbf" + done(b'"a": 1'),
    "UTF-16": done(b'"a": 1').decode().encode("utf-16"),
    "UTF-32": done(b'"a": 1').decode().encode("utf-32"),
    "not UTF-8": done(b'"a": "\xff"'),
    "overlong UTF-8": done(b'"a": "\xc0\xae"'),
    "a raw surrogate": done(b'"a": "' + SURROGATE + b'"'),
    "a lone surrogate": done(b'"a": "\\ud800"'),
    "a lone surrogate as a key": done(b'"\\udfff": 1'),
    "surrogates in the wrong order": done(b'"a": "\\udc00\\ud800"'),
    "NUL as a character": done(b'"a": "\\u0000"'),
    "NUL as a key": done(b'"\\u0000": 1'),
    "a raw control character": done(b'"a": "\x01"'),
    "not a number": done(b'"a": NaN'),
    "infinite": done(b'"a": [Infinity, {"b": -Infinity}]'),
    "an exponent without end": done(b'"a": 1e999999'),
    "a tiny number": done(b'"a": 1e-999999'),
    "negative zero": done(b'"a": [-0, -0.0]'),
    "above 63 bits": done(b'"a": 9223372036854775808'),
    "100 digits": done(b'"a": ' + b"9" * 100),
    "5000 digits": done(b'"a": ' + b"9" * 5000),
    "100 KB of digits": done(b'"a": ' + b"9" * 100_000),
    "100 KB of decimals": done(b'"a": 0.' + b"9" * 100_000),
    "the same key twice": done(b'"qquuid": "..", "a": 1, "a": 2'),
    "the same key 10 000 times": done(b'"a": 1, ' * 10_000 + b'"b": 2'),
    "10 000 keys": done(b", ".join(b'"k%d": 1' % number for number in range(10_000))),
    "an empty key": done(b'"": 1'),
    "JavaScript's prototype": done(b'"__proto__": {"polluted": true}'),
    "21 deep": done(b'"a": ' + b'{"a":' * 21 + b"1" + b"}" * 21),
    "1000 deep": done(b'"a": ' + b'{"a":' * 1000 + b"1" + b"}" * 1000),
    "100 000 lists deep": done(b'"a": ' + b"[" * 100_000 + b"]" * 100_000),
    "100 000 lists deep, and no end": done(b'"a": ' + b"[" * 100_000),
    "a text of 2 MB": done(b'"a": "' + b"x" * 2 * 2**20 + b'"'),
    "a body of 3 MB": done(b'"a": "' + b"x" * 3 * 2**20 + b'"'),
    "the uuid as a number": b'{"qquuid": 7}',
    "the uuid as a list": b'{"qquuid": ["' + GOOD_UUID + b'"]}',
    "the uuid as an object": b'{"qquuid": {"a": "b"}}',
    "the uuid as true": b'{"qquuid": true}',
    "the uuid as null": b'{"qquuid": null}',
    "the uuid in escapes": b'{"qquuid": "\\u0030f8fad5b-d9cb-469f-a165-70867728950e", "qqtotalparts": 3}',
    "the parts as a float": done(b'"qqtotalparts": 3.0'),
    "the parts as an exponent": done(b'"qqtotalparts": 3e0'),
    "the parts as true": done(b'"qqtotalparts": true'),
    "the parts as a list": done(b'"qqtotalparts": [3]'),
    "the parts as NaN": done(b'"qqtotalparts": NaN'),
    "the parts negative": done(b'"qqtotalparts": -3'),
    "a thousand million parts": done(b'"qqtotalparts": 1000000000, "qqtotalfilesize": 1000000000'),
    "the size as 5000 digits": done(b'"qqtotalfilesize": ' + b"9" * 4000),
    "the name as a list": done(b'"qqfilename": ["a"]'),
    "the name as a number": done(b'"qqfilename": 1e400'),
    "the token inside": done(b'"csrfmiddlewaretoken": "x"'),
}
