#!/usr/bin/env python3
"""Throw bytes at the parsers for as long as you like, guided by what they reach: `python3 tools/fuzz.py multipart`.

    python3 tools/fuzz.py {multipart,params,requests} [--seconds 300] [--corpus FOLDER]

Needs Linux, and Python 3.11 to 3.13 with `pip install atheris Django` in an environment of its own. What it finds is
left as a file `crash-…` in the working directory: add its bytes to FOUND in tests/hostile/test_fuzzing.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = (
    *("--bound", "--bound--", "\r\n", "\r\n\r\n", "Content-Disposition: form-data; ", "name=", "filename=", "name*="),
    *("UTF-8''", "iso-8859-1'", "boundary=", "Content-Type: ", "Content-Transfer-Encoding: base64", "%00", "%ed%a0%80"),
    *("qquuid", "qqfilename", "qqtotalfilesize", "qqpartindex", "qqpartbyteoffset", "qqchunksize", "qqtotalparts"),
    *("qqfile", "qqresume", "qqdigest", "_method", "DELETE", "sha256:", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    *("NaN", "1e400", "Infinity", "[", "]", "[0]", "{", "}", "\\ud800", "\\u0000", "9007199254740993"),
)
UUID = b"0f8fad5b-d9cb-469f-a165-70867728950e"
FORM = (
    b'--bound\r\nContent-Disposition: form-data; name="a[b]"\r\n\r\nx\r\n'
    b'--bound\r\nContent-Disposition: form-data; name="qquuid"\r\n\r\n' + UUID + b"\r\n"
    b'--bound\r\nContent-Disposition: form-data; name="qqfile"; filename="blob"\r\nContent-Type: image/png\r\n\r\n'
    b"bytes\r\n--bound--\r\n"
)
CHUNK = (
    b"qqpartindex=1&qqpartbyteoffset=10&qqchunksize=10&qqtotalparts=3&qqtotalfilesize=25&qqfilename=a&qquuid=" + UUID
)
SEEDS = {
    "multipart": (
        b"\x05" + FORM,
        b"\xff" + FORM.replace(b'"', b""),
        b"\x01" + FORM.replace(b"name=", b"name*=UTF-8''"),
    ),
    "params": (b'{{"a": [1, {"b": null}], "c": 1e5}', b"qa%5Bb%5D=1&a[0]=x&a[1]=y&__proto__=z", b"sa=1"),
    "requests": (
        b"\x00\x00\x00\x01\n\n" + FORM,
        b"\x00\x03\x00\x01\n" + CHUNK + b"\nbytes",
        b"\x00\x01\x01\x01\n\n" + CHUNK,
        b'\x00\x02\x01\x01\n\n{"qquuid": "' + UUID + b'", "a": [1.5, null], "qqtotalparts": 3}',
        b"\x00\x01\x00\x01\n\n_method=DELETE&qquuid=" + UUID,
    ),
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=SEEDS)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="where inputs that reach something new are kept between runs")
    return parser


def write_inputs(target: str, folder: Path) -> Path:
    """Put the seeds into the corpus, and return a file with the words to put together."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.parent / f"{target}.dict"
    words.write_text("".join(f'"{escaped(word)}"\n' for word in WORDS))
    return words


def escaped(word: str) -> str:
    return "".join(char if char.isalnum() else f"\\x{ord(char):02x}" for char in word)


def main() -> None:
    """Run until the time is up or something is found."""
    options = build_parser().parse_args()
    import atheris  # type: ignore[import-untyped]
    from django.conf import settings

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    settings.configure(ALLOWED_HOSTS=["*"])
    with atheris.instrument_imports(include=["fineuploader_receiver", "hostile"]):
        from hostile.fuzztargets import TARGETS

    with tempfile.TemporaryDirectory() as scratch:
        corpus = options.corpus or Path(scratch, options.target)
        words = write_inputs(options.target, corpus)
        flags = [f"-max_total_time={options.seconds}", f"-dict={words}", "-max_len=4096", "-timeout=10"]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], TARGETS[options.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
