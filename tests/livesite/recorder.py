"""Records of what happened in the server's processes, as lines of JSON in files that the tests read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record; a single write to a file opened for appending is never torn by another process's."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, json.dumps(record).encode() + b"\n")
    finally:
        os.close(descriptor)


class Recorder:
    """WSGI middleware that records each request with the head of its answer, before the client can see that answer."""

    def __init__(self, application: WSGIApplication, path: Path) -> None:
        self.application = application
        self.path = path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            append_line(self.path, describe(environ, status, headers))
            return start_response(status, headers, exc_info)

        return self.application(environ, start)


def describe(environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    """Return method, path, query and headers of the request, and status and headers of the answer."""
    return {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "headers": {
            key.removeprefix("HTTP_").replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith("HTTP_") or key == "CONTENT_TYPE"
        },
        "status": int(status.split()[0]),
        "answer": {name.lower(): value for name, value in headers},
    }
