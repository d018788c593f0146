"""What a file is, told by its first bytes: the client's word for it is not evidence."""

from __future__ import annotations

import codecs
import mimetypes
import posixpath

from ..exceptions import TypeNotAllowed
from ..receivers import Receiver

SNIFF_SIZE = 512

UNKNOWN = "application/octet-stream"

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp3gp", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "application/ogg"),
    (0, b"MThd", "audio/midi"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"OTTO", "font/otf"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"MZ", "application/x-msdownload"),
)

_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<head", "text/html"),
    (b"<body", "text/html"),
    (b"<script", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "application/xml"),
)

# Formats that are another format inside: the name decides which of them, and cannot make it anything else.
_INSIDE: dict[str, tuple[str, ...]] = {
    "application/zip": (
        "application/vnd.openxmlformats-",
        "application/vnd.oasis.",
        "application/epub+zip",
        "application/java-archive",
    ),
    "application/x-ole-storage": ("application/msword", "application/vnd.ms-"),
    "application/ogg": ("audio/ogg", "video/ogg", "audio/opus"),
    "video/webm": ("video/x-matroska", "audio/webm", "audio/x-matroska"),
    "video/mp4": ("audio/mp4", "audio/m4a", "video/x-m4v"),
    "application/xml": ("image/svg+xml", "text/xml"),
    "text/plain": ("text/", "application/json", "application/xml", "application/javascript", "application/x-sh"),
}

# Python's own table, and what it lacks: the system's differs from host to host.
_BY_EXTENSION: dict[str, str] = {
    **mimetypes.MimeTypes().types_map[False],
    **mimetypes.MimeTypes().types_map[True],
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
    ".jar": "application/java-archive",
    ".mkv": "video/x-matroska",
    ".mka": "audio/x-matroska",
    ".m4a": "audio/mp4",
    ".m4v": "video/x-m4v",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
}
_ACTIVE = ("text/html", "image/svg+xml", "application/xhtml+xml")


def sniff(head: bytes, filename: str) -> str:
    """The content type of a file that begins with `head` (up to 512 bytes); octet-stream where nothing tells.

    The bytes decide. The name only chooses among formats that share their first bytes, and never makes a text into
    something that a browser runs.
    """
    seen = _by_magic(head) or _by_markup(head) or (_text(head) and "text/plain") or ""
    guess = _BY_EXTENSION.get(posixpath.splitext(filename.strip().lower())[1], "")
    if guess in _ACTIVE and guess != seen and not (seen == "application/xml" and guess == "image/svg+xml"):
        guess = ""
    if seen and any(guess.startswith(kind) for kind in _INSIDE.get(seen, ())):
        return guess
    return seen or UNKNOWN


def check_type(receiver: Receiver, kind: str) -> None:
    """Raise TypeNotAllowed unless the receiver takes this content type; `image/*` allows a whole family."""
    allowed = receiver.options.allowed_content_types
    if allowed is None or kind in allowed or f"{kind.partition('/')[0]}/*" in allowed:
        return
    raise TypeNotAllowed(f"Only files of these types are accepted: {', '.join(sorted(allowed))}.")


def _by_magic(head: bytes) -> str:
    for offset, magic, kind in _MAGIC:
        # Two letters alone may just as well begin a text.
        if head.startswith(magic, offset) and (len(magic) > 2 or not _text(head)):
            return kind
    return ""


def _by_markup(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, kind in _MARKUP:
        if text.startswith(start):
            return "image/svg+xml" if kind == "application/xml" and b"<svg" in text else kind
    return ""


def _text(head: bytes) -> bool:
    if not head or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        # The sample may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < SNIFF_SIZE)
    except UnicodeDecodeError:
        return False
    return True
