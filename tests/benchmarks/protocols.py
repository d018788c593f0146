"""How each server wants a file to be sent: the same bytes, in the same chunks, over one connection."""

from __future__ import annotations

import hashlib
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.wire import Answer, Body, Connection


@dataclass
class Times:
    """How long the requests of one upload took: each chunk, and what completes the file after the last one."""

    chunks: list[float] = field(default_factory=list)
    completion: float = 0.0


@dataclass(frozen=True)
class Work:
    """A file to send and the size of its chunks."""

    data: memoryview
    chunk: int

    def chunks(self) -> Iterator[tuple[int, int, memoryview]]:
        """Yield each chunk's index, offset and bytes."""
        for index, offset in enumerate(range(0, len(self.data), self.chunk)):
            yield index, offset, self.data[offset : offset + self.chunk]

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return -(-len(self.data) // self.chunk)


class Protocol(ABC):
    """Sends a file. ``path`` is the server's address of uploads."""

    path = "/"

    @abstractmethod
    def upload(self, connection: Connection, work: Work) -> Times:
        """Send the whole file and complete it."""


class FineUploader(Protocol):
    """The client's requests: multipart forms with the fields first, and the success request where it is announced."""

    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gWa"

    def __init__(self, path: str = "/uploads/", *, announces_done: bool = True) -> None:
        self.path = path
        self.announces_done = announces_done

    def upload(self, connection: Connection, work: Work) -> Times:
        """Send the chunks in order; completion is the success request, or the last chunk's extra time."""
        times, number = Times(), self.new_uuid()
        for index, offset, data in work.chunks():
            times.chunks.append(self.send_chunk(connection, work, number, index, offset, data).seconds)
        if self.announces_done and work.count > 1:
            times.completion = self.send_done(connection, work, number)
        else:
            times.completion = max(0.0, times.chunks[-1] - sorted(times.chunks)[len(times.chunks) // 2])
        return times

    @staticmethod
    def new_uuid() -> str:
        """Return the name of a new upload."""
        return str(uuid.uuid4())

    def send_chunk(
        self, connection: Connection, work: Work, number: str, index: int, offset: int, data: memoryview
    ) -> Answer:
        """Send one chunk, or the whole file if it is one."""
        fields = {"qquuid": number, "qqfilename": "film.mp4", "qqtotalfilesize": str(len(work.data))}
        if work.count > 1:
            fields |= {"qqpartindex": str(index), "qqpartbyteoffset": str(offset), "qqchunksize": str(len(data))}
            fields["qqtotalparts"] = str(work.count)
        if self.announces_done:
            fields["qqdonerequest"] = "true"
        body: Body = [self._head(fields), data, f"\r\n--{self.boundary}--\r\n".encode()]
        headers = {"Content-Type": f"multipart/form-data; boundary={self.boundary}"}
        return connection.send("POST", self.path, body, headers=headers)

    def send_done(self, connection: Connection, work: Work, number: str) -> float:
        """Send the success request."""
        total = f"qqtotalfilesize={len(work.data)}&qqtotalparts={work.count}"
        form = f"qquuid={number}&qqfilename=film.mp4&{total}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return connection.send("POST", f"{self.path}done", [form], headers=headers).seconds

    def _head(self, fields: dict[str, str]) -> bytes:
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        file = 'Content-Disposition: form-data; name="qqfile"; filename="blob"'
        parts.append(f"--{self.boundary}\r\n{file}\r\nContent-Type: application/octet-stream\r\n\r\n")
        return "".join(parts).encode()


class RawBodies(Protocol):
    """Nothing but bytes at an offset: for the views that discard them, or write them and keep no rows."""

    def __init__(self, path: str) -> None:
        self.path = path

    def upload(self, connection: Connection, work: Work) -> Times:
        """Send the chunks in order; nothing completes the file."""
        times, name = Times(), uuid.uuid4().hex
        for _, offset, data in work.chunks():
            path = f"{self.path}?name={name}&offset={offset}"
            headers = {"Content-Type": "application/octet-stream"}
            times.chunks.append(connection.send("POST", path, [b"", data], headers=headers).seconds)
        return times


class Tus(Protocol):
    """The tus protocol, version 1.0.0; the file is complete with its last byte."""

    path = "/files"

    def upload(self, connection: Connection, work: Work) -> Times:
        """Create the upload and patch it chunk by chunk."""
        times = Times()
        version = {"Tus-Resumable": "1.0.0"}
        created = connection.send("POST", self.path, headers={**version, "Upload-Length": str(len(work.data))})
        place = urlsplit(created.headers["location"]).path
        for _, offset, data in work.chunks():
            headers = {**version, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            times.chunks.append(connection.send("PATCH", place, [b"", data], headers=headers).seconds)
        times.completion = max(0.0, times.chunks[-1] - sorted(times.chunks)[len(times.chunks) // 2])
        return times


class DjangoChunkedUpload(Protocol):
    """The requests that django-chunked-upload documents, with the MD5 digest that it asks for at the end."""

    path = "/chunked/"
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gWa"

    def upload(self, connection: Connection, work: Work) -> Times:
        """Send the chunks in order, under the id that the first answer gives."""
        times, number = Times(), ""
        for _, offset, data in work.chunks():
            span = f"bytes {offset}-{offset + len(data) - 1}/{len(work.data)}"
            answer = connection.send("POST", self.path, self._form(number, data), headers=self._headers(span))
            times.chunks.append(answer.seconds)
            number = json.loads(answer.body)["upload_id"]
        form = f"upload_id={number}&md5={hashlib.md5(work.data).hexdigest()}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        times.completion = connection.send("POST", f"{self.path}complete/", [form], headers=headers).seconds
        return times

    def _headers(self, span: str) -> dict[str, str]:
        return {"Content-Type": f"multipart/form-data; boundary={self.boundary}", "Content-Range": span}

    def _form(self, number: str, data: memoryview) -> list[bytes | memoryview]:
        known = f'--{self.boundary}\r\nContent-Disposition: form-data; name="upload_id"\r\n\r\n{number}\r\n'
        file = f'--{self.boundary}\r\nContent-Disposition: form-data; name="file"; filename="film.mp4"\r\n'
        head = (known if number else "") + file + "Content-Type: application/octet-stream\r\n\r\n"
        return [head.encode(), data, f"\r\n--{self.boundary}--\r\n".encode()]
