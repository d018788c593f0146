"""Turn Python values into text the way the browser's JavaScript and the client's own helpers do.

The client never escapes a parameter itself: what arrives is what ``String()``, ``encodeURIComponent``, ``FormData`` and
``JSON.stringify`` make of it, quirks included (``qq.obj2url``, ``qq.obj2FormData``).
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TypeAlias
from urllib.parse import quote


class Undefined(enum.Enum):
    """JavaScript's ``undefined``, which is neither ``null`` nor absent."""

    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED


@dataclass(frozen=True)
class BrowserFile:
    """A ``File``, or a ``Blob`` where the name is None.

    ``relative_path`` is what Chrome puts in the part header instead of the name when a whole folder was picked.
    """

    data: bytes
    name: str | None = None
    type: str = ""
    relative_path: str = ""

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def part_filename(self) -> str:
        return self.relative_path or ("blob" if self.name is None else self.name)

    def slice(self, start: float, end: float) -> BrowserFile:
        """Cut as ``Blob.slice`` does: bounds are clamped and rounded half to even, name and type are lost."""
        return BrowserFile(self.data[self._clamp(start) : self._clamp(end)])

    def _clamp(self, position: float) -> int:
        return min(max(round(position), 0), self.size)


JSValue: TypeAlias = (
    "Undefined | bool | int | float | str | datetime | BrowserFile | Callable[[], JSValue]"
    " | Sequence[JSValue] | Mapping[str, JSValue] | None"
)
Params: TypeAlias = Mapping[str, JSValue]

ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
EXACT_INTEGERS = 2**53


def number(value: float) -> str:
    """Write a number as ``Number.prototype.toString`` does: 5.0 is ``5``, 1e21 is ``1e+21``, 1e-6 is ``0.000001``."""
    if isinstance(value, int) and abs(value) <= EXACT_INTEGERS:
        return str(value)
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    # repr() and JavaScript agree on the shortest digits that read back as the same double, not on where they go.
    digits, exponent = _shortest(Decimal(repr(abs(value))))
    return sign + _place(digits, exponent)


def _shortest(value: Decimal) -> tuple[str, int]:
    parts = value.normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    return digits, int(parts.exponent) + len(digits)


def _place(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def text(value: JSValue) -> str:
    """Convert as ``String(value)`` does."""
    if value is None:
        return "null"
    if isinstance(value, Undefined):
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        moment = value.astimezone(timezone.utc)
        return moment.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")
    if isinstance(value, BrowserFile):
        return "[object Blob]" if value.name is None else "[object File]"
    if isinstance(value, Mapping):
        return "[object Object]"
    if isinstance(value, Sequence):
        return ",".join("" if item is None or item is UNDEFINED else text(item) for item in value)
    return "function () {}"


def scalar_text(value: str) -> str:
    """Replace lone surrogates as the browser does when it makes bytes of a string."""
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encode_uri_component(value: str) -> str:
    """Escape as ``encodeURIComponent`` does; a lone surrogate raises, as it does in the browser."""
    return quote(value, safe="-_.!~*'()")


def own_items(value: Params) -> list[tuple[str, JSValue]]:
    """List properties in JavaScript's order: array-index keys first, ascending, then the rest as inserted."""
    indexes = sorted((key for key in value if ARRAY_INDEX.fullmatch(key)), key=int)
    return [(key, value[key]) for key in (*indexes, *(key for key in value if not ARRAY_INDEX.fullmatch(key)))]


def obj2url(params: JSValue, url: str = "") -> str:
    """Append the parameters to the address as ``qq.obj2url`` does; with no address, return the urlencoded body."""
    query = re.sub(r"^&", "", "&".join(_url_pieces(params))).replace("%20", "+")
    if not url:
        return query
    separator = "?" if "?" not in url else "" if url.endswith("?") else "&"
    return url + separator + query


def _url_pieces(value: JSValue, prefix: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [piece for key, item in own_items(value) for piece in _url_entry(item, key, prefix)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [piece for index, item in enumerate(value) for piece in _url_entry(item, str(index), prefix)]
    if isinstance(value, (datetime, BrowserFile)):
        return []
    return [encode_uri_component(prefix) + "=" + encode_uri_component(text(value))]


def _url_entry(value: JSValue, key: str, prefix: str) -> list[str]:
    name = key if not prefix else prefix if prefix.endswith("[]") else f"{prefix}[{key}]"
    if "undefined" in (name, key):
        return []
    if callable(value):
        return [encode_uri_component(name) + "=" + encode_uri_component(text(value()))]
    # An object without properties of its own (a Date, an empty one) leaves an empty segment: "a=1&&b=2".
    return ["&".join(_url_pieces(value, name))]


FormEntry: TypeAlias = "tuple[str, str | BrowserFile]"


def form_entries(params: Params, prefix: str = "") -> Iterator[FormEntry]:
    """Flatten as ``qq.obj2FormData`` does: objects by brackets, arrays as one comma-joined string."""
    for key, value in own_items(params):
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, Mapping):
            yield from form_entries(value, name)
            continue
        called = value() if callable(value) else value
        yield name, called if isinstance(called, BrowserFile) else text(called)


def encode_multipart(entries: Iterable[FormEntry], boundary: str) -> bytes:
    """Write form data as Chrome does."""
    parts = [_part(name, value, boundary) for name, value in entries]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _part(name: str, value: str | BrowserFile, boundary: str) -> bytes:
    disposition = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escape(_crlf(name))}"'
    if isinstance(value, str):
        return f"{disposition}\r\n\r\n{scalar_text(_crlf(value))}\r\n".encode()
    head = f'{disposition}; filename="{_escape(value.part_filename)}"\r\n'
    head += f"Content-Type: {value.type or 'application/octet-stream'}\r\n\r\n"
    return head.encode() + value.data + b"\r\n"


def _crlf(value: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", value)


def _escape(value: str) -> str:
    return scalar_text(value).replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def stringify(value: JSValue) -> str:
    """Write as ``JSON.stringify`` does: no spaces, ``undefined`` and functions left out, numbers as JavaScript's."""
    if value is None or isinstance(value, bool):
        return text(value)
    if isinstance(value, (int, float)):
        return number(value) if math.isfinite(value) else "null"
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, datetime):
        moment = value.astimezone(timezone.utc)
        return f'"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"'
    if isinstance(value, Mapping):
        members = (f"{_json_string(key)}:{stringify(item)}" for key, item in own_items(value) if not _unwritten(item))
        return "{" + ",".join(members) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join("null" if _unwritten(item) else stringify(item) for item in value) + "]"
    return "{}"


def _json_string(value: str) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):04x}", written)


def _unwritten(value: JSValue) -> bool:
    return isinstance(value, Undefined) or callable(value)
