"""From HTTP requests to messages: the only reader of the client's parameters (docs/protocol.md, sections 0 and 1)."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, QueryDict

from ..digests import ALGORITHMS
from ..exceptions import (
    BadBody,
    BadChunk,
    BadParameter,
    BadUuid,
    BodyTooLarge,
    MissingFile,
    MissingParameter,
)
from . import names as wire
from .body import Body
from .messages import DeleteMessage, DoneMessage, UploadMessage
from .multipart import READ_SIZE, MultipartReader, Part, find_boundary
from .names import ParamNames
from .params import clean_text, from_json, from_pairs

MAX_SIZE = 2**53
"""The largest integer that the client's numbers hold exactly; also bounds what is stored as a size."""
MAX_COUNT = 2**31 - 1

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_INTEGER = re.compile(r"[0-9]{1,16}\Z", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,16}(\.[0-9]{1,20})?\Z", re.ASCII)
_DIGEST = re.compile(rf"({'|'.join(ALGORITHMS)}):[0-9a-f]{{16,128}}\Z")
_MIME_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}\Z", re.ASCII)

Content = Iterator["bytes | memoryview"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class IncomingUpload:
    """An upload of which everything but the file has been read.

    `content` yields the file's bytes as they arrive. It ends without an exception only when the whole body has been
    read and was as long as announced (and, for a form, ended with its closing delimiter); else it raises BadRequest.
    """

    message: UploadMessage
    content: Content
    form: QueryDict
    from_frame: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class IncomingDelete:
    """A delete that was sent as a POST to the upload route."""

    message: DeleteMessage
    form: QueryDict


def read_upload(request: HttpRequest, body: Body, names: ParamNames) -> IncomingUpload | IncomingDelete:
    """Read a request to the upload route up to the first byte of its file.

    Raises BadRequest, or BodyTooLarge for fields beyond Django's DATA_UPLOAD_MAX settings.
    """
    if request.content_type == "multipart/form-data":
        if body.is_parsed:
            return _parsed_upload(request, body, names)
        return _multipart_upload(request, body, names)
    if request.content_type == "application/x-www-form-urlencoded" or not _says_raw(request, names):
        return _post_delete(request, body, names)
    return _raw_upload(request, body, names)


def read_done(request: HttpRequest, body: Body, names: ParamNames) -> tuple[DoneMessage, QueryDict]:
    """Read a success request: a form or JSON, which a PATCH both carries as text/plain. The query fills gaps."""
    if request.content_type == "multipart/form-data":
        form = _read_form(request, body)
    else:
        data = _read_small(body)
        if request.content_type == "application/json" or data.lstrip().startswith(b"{"):
            return _json_done(request, _parse_json(data), names), QueryDict()
        form = _parse_form(data)
    return _done_message(_Lookup(form, request.GET), names, _custom_params(request, form, names)), form


def read_uuid(text: str) -> uuid.UUID:
    """The UUID that a text spells in the usual 8-4-4-4-12 form. Raises BadUuid for anything else."""
    if not _UUID.match(text):
        raise BadUuid
    return uuid.UUID(text)


def delete_message(text: str) -> DeleteMessage:
    return DeleteMessage(uuid=read_uuid(text), wire_uuid=text)


def is_from_frame(request: HttpRequest) -> bool:
    """Whether this is an old browser's form upload, answered into a frame (docs/protocol.md, section 3.3)."""
    is_form = request.content_type == "multipart/form-data"
    return is_form and "text/html" in request.META.get("HTTP_ACCEPT", "")


def echoed_uuid(request: HttpRequest, names: ParamNames) -> str:
    """The uuid to repeat in a refusal, as far as it is known without reading on: a frame's page looks for it."""
    sources = (request.__dict__.get("_post") or {}, request.GET)
    return next((str(source[names.uuid]) for source in sources if _UUID.match(str(source.get(names.uuid, "")))), "")


class _Lookup:
    """Parameters by name, from the body first and then from the query."""

    def __init__(self, *sources: Mapping[str, Any]) -> None:
        self._sources = sources

    def __call__(self, name: str) -> str | None:
        for source in self._sources:
            value = source.get(name)
            if value is not None:
                return str(value)
        return None

    def require(self, name: str) -> str:
        value = self(name)
        if value is None or value == "":
            raise MissingParameter(f"The parameter {name} is missing.")
        return value

    def integer(self, name: str, limit: int) -> int | None:
        value = self(name)
        if value is None or value == "":
            return None
        if not _INTEGER.match(value) or int(value) > limit:
            raise BadParameter(f"The parameter {name} is not a whole number in its range.")
        return int(value)

    def decimal(self, name: str) -> float:
        value = self.require(name)
        if not _DECIMAL.match(value) or float(value) > MAX_SIZE:
            raise BadParameter(f"The parameter {name} is not a number in its range.")
        return float(value)

    def uuid(self, name: str) -> tuple[uuid.UUID, str]:
        text = self.require(name)
        return read_uuid(text), text


def _multipart_upload(request: HttpRequest, body: Body, names: ParamNames) -> IncomingUpload | IncomingDelete:
    reader = MultipartReader(body, find_boundary(request.META.get("CONTENT_TYPE", "")))
    form = QueryDict(mutable=True)
    part = _read_fields(reader, form, names.file)
    get = _Lookup(form, request.GET)
    if part is None:
        body.read_rest()
        return _without_file(get, form, names)
    message = _upload_message(request, get, form, names, body, part)
    return IncomingUpload(
        message=message,
        content=_multipart_content(reader, part, body, message.size),
        form=form,
        from_frame=is_from_frame(request),
    )


def _read_fields(reader: MultipartReader, form: QueryDict, file_name: str | None) -> Part | None:
    """Collect the fields in front of the file; the part named `file_name` is returned, other files are discarded."""
    limits = _FieldLimits()
    while (part := reader.next_part()) is not None:
        limits.count_part(part)
        if part.filename is None:
            form.appendlist(part.name, limits.read(reader, part))
        elif part.name == file_name:
            return part
    return None


class _FieldLimits:
    """Django's own limits for what a form may hold besides files."""

    def __init__(self) -> None:
        self._bytes = 0
        self._fields = 0
        self._files = 0
        # Read once: a look at Django's settings takes longer than the comparison.
        self._max_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._max_fields = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
        self._max_files = settings.DATA_UPLOAD_MAX_NUMBER_FILES

    def count_part(self, part: Part) -> None:
        self._fields += part.filename is None
        self._files += part.filename is not None
        if _above(self._fields, self._max_fields):
            raise BodyTooLarge("The form has too many fields.")
        if _above(self._files, self._max_files):
            raise BodyTooLarge("The form has too many files.")
        self._add(len(part.name))

    def read(self, reader: MultipartReader, part: Part) -> str:
        content = reader.take_whole()
        if content is None:
            return self._read_pieces(part)
        self._add(len(content))
        return content.decode("utf-8", "replace")

    def _read_pieces(self, part: Part) -> str:
        pieces = []
        for data in part.chunks:
            self._add(len(data))
            pieces.append(bytes(data))
        return b"".join(pieces).decode("utf-8", "replace")

    def _add(self, size: int) -> None:
        self._bytes += size
        if _above(self._bytes, self._max_bytes):
            raise BodyTooLarge


def _above(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit


def _multipart_content(reader: MultipartReader, part: Part, body: Body, size: int | None) -> Content:
    """The file's bytes. Where the fields and the Content-Length agree on its size, no byte of it is searched."""
    if size is not None and reader.is_last(size, body.length - body.received):
        yield from reader.read_last(size)
    else:
        yield from part.chunks
    limits = _FieldLimits()
    while (extra := reader.next_part()) is not None:
        limits.count_part(extra)
    body.read_rest()


def _without_file(get: _Lookup, form: QueryDict, names: ParamNames) -> IncomingDelete:
    if (get(wire.METHOD) or "").upper() != "DELETE":
        raise MissingFile
    number, text = get.uuid(names.uuid)
    return IncomingDelete(message=DeleteMessage(uuid=number, wire_uuid=text), form=form)


def _parsed_upload(request: HttpRequest, body: Body, names: ParamNames) -> IncomingUpload | IncomingDelete:
    """The same, where a middleware has had Django read the form: the file lies in memory or in a temporary file."""
    body.check_parsed()
    get = _Lookup(request.POST, request.GET)
    file = request.FILES.get(names.file)
    if file is None:
        return _without_file(get, request.POST, names)
    part = Part(names.file, file.name or "", file.content_type or "", iter(()))
    return IncomingUpload(
        message=_upload_message(request, get, request.POST, names, body, part),
        content=file.chunks(),
        form=request.POST,
        from_frame=is_from_frame(request),
    )


def _says_raw(request: HttpRequest, names: ParamNames) -> bool:
    """A body without a type is a raw file only where the query says whose; IE 8 and 9 send deletes without a type."""
    return bool(request.content_type) or bool(request.GET.get(names.uuid))


def _raw_upload(request: HttpRequest, body: Body, names: ParamNames) -> IncomingUpload:
    get = _Lookup(request.GET)
    name = get(names.filename) or get(names.file) or ""
    part = Part(names.file, name, request.headers.get("X-Mime-Type", ""), iter(()))
    return IncomingUpload(
        message=_upload_message(request, get, QueryDict(), names, body, part, size=body.length),
        content=_raw_content(body),
        form=QueryDict(),
        from_frame=False,
    )


def _raw_content(body: Body) -> Content:
    while data := body.read(READ_SIZE):
        yield data


def _post_delete(request: HttpRequest, body: Body, names: ParamNames) -> IncomingDelete:
    form = _read_form(request, body)
    return _without_file(_Lookup(form, request.GET), form, names)


def _upload_message(
    request: HttpRequest,
    get: _Lookup,
    form: QueryDict,
    names: ParamNames,
    body: Body,
    part: Part,
    *,
    size: int | None = None,
) -> UploadMessage:
    number, text = get.uuid(names.uuid)
    filename = get(names.filename)
    total_size = get.integer(names.total_size, MAX_SIZE)
    common: dict[str, Any] = {
        "uuid": number,
        "wire_uuid": text,
        "filename": clean_text(part.filename or "" if filename is None else filename),
        "content_type": _mime_type(part.content_type),
        "params": _custom_params(request, form, names),
        "done_request": _done_marker(get),
        "digest": _digest(get),
        "body_size": body.length,
    }
    # A page's own parameters may be called like a chunk's in a simple upload; only both together mean a chunk.
    if get(names.index) is not None and get(names.total_chunks) is not None:
        return UploadMessage(**common, **_chunk_fields(get, names, total_size, size))
    if size is not None and total_size is not None and size != total_size:
        raise BadChunk("The body is not as long as the file.")
    known = size if total_size is None else total_size
    return UploadMessage(**common, total_size=known, size=known)


def _chunk_fields(get: _Lookup, names: ParamNames, total_size: int | None, size: int | None) -> dict[str, Any]:
    index = get.integer(names.index, MAX_COUNT)
    total_chunks = get.integer(names.total_chunks, MAX_COUNT)
    if index is None or total_chunks is None:
        raise MissingParameter("The chunk's index or the number of chunks is missing.")
    if not index < total_chunks:
        raise BadChunk("The chunk's index is not below the number of chunks.")
    offset, announced = get.decimal(names.offset), get.decimal(names.chunk_size)
    # Fractional part sizes: the browser cuts where Blob.slice rounds, half to even, which is what round() does.
    start, end = round(offset), round(offset + announced)
    if size is not None and size != end - start:
        raise BadChunk("The body is not as long as the chunk.")
    return {
        "chunked": True,
        "index": index,
        "total_chunks": total_chunks,
        "total_size": total_size,
        "offset": start,
        "size": end - start,
        "chunk_size": _nominal_size(index, total_chunks, offset, announced),
        "resumed": get(names.resume) == "true",
    }


def _nominal_size(index: int, total_chunks: int, offset: float, announced: float) -> float | None:
    """The size of every chunk but the last, for which its own size says nothing.

    The offset tells it more exactly than the announced size, which is the difference of two rounded numbers.
    """
    if index:
        return offset / index
    return announced if total_chunks > 1 else None


def _custom_params(request: HttpRequest, form: QueryDict, names: ParamNames) -> dict[str, Any]:
    pairs = [(key, value) for source in (request.GET, form) for key, values in source.lists() for value in values]
    return from_pairs(pairs, names)


def _done_marker(get: _Lookup) -> bool | None:
    return {"true": True, "false": False}.get(get(wire.DONE_MARKER) or "")


def _digest(get: _Lookup) -> str | None:
    value = get(wire.DIGEST)
    if value is not None and not _DIGEST.match(value):
        raise BadParameter(f"The parameter {wire.DIGEST} is not a known algorithm, a colon and hexadecimal digits.")
    return value


def _mime_type(text: str) -> str:
    kind = text.partition(";")[0].strip().lower()
    return kind if _MIME_TYPE.match(kind) else ""


def _done_message(get: _Lookup, names: ParamNames, params: dict[str, Any]) -> DoneMessage:
    number, text = get.uuid(names.uuid)
    return DoneMessage(
        uuid=number,
        wire_uuid=text,
        filename=clean_text(get(names.filename) or ""),
        params=params,
        total_size=get.integer(names.total_size, MAX_SIZE),
        total_chunks=get.integer(names.total_chunks, MAX_COUNT),
    )


def _json_done(request: HttpRequest, values: dict[str, Any], names: ParamNames) -> DoneMessage:
    get = _Lookup({key: _as_text(value) for key, value in values.items()}, request.GET)
    return _done_message(get, names, from_json(values, names))


def _as_text(value: Any) -> str | None:
    """A JSON value where the protocol has a text or a number; anything else is as good as garbage."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return None if value is None else str(value)
    return "[not a text]"


def _parse_json(data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise BadParameter("A parameter is nested too deeply.") from error
    except ValueError as error:
        raise BadBody("The body is not JSON.") from error
    if not isinstance(values, dict):
        raise BadBody("The body is not a JSON object.")
    return values


def _parse_form(data: bytes) -> QueryDict:
    try:
        return QueryDict(data, encoding="utf-8")
    except TooManyFieldsSent as error:
        raise BodyTooLarge("The form has too many fields.") from error


def _read_small(body: Body) -> bytes:
    return body.read_all(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def _read_form(request: HttpRequest, body: Body) -> QueryDict:
    """A small form, however it is encoded and whoever has read it already."""
    if request.content_type != "multipart/form-data":
        return _parse_form(_read_small(body))
    if body.is_parsed:
        body.check_parsed()
        return request.POST
    form = QueryDict(mutable=True)
    _read_fields(MultipartReader(body, find_boundary(request.META.get("CONTENT_TYPE", ""))), form, None)
    body.read_rest()
    return form
