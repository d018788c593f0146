"""The client's options that shape the wire, with the client's own defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakeuploader.javascript import Params

Headers = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ParamNames:
    """Names on the wire; each of these can be renamed by an option of the client."""

    uuid: str = "qquuid"
    filename: str = "qqfilename"
    total_size: str = "qqtotalfilesize"
    file: str = "qqfile"
    index: str = "qqpartindex"
    offset: str = "qqpartbyteoffset"
    chunk_size: str = "qqchunksize"
    total_parts: str = "qqtotalparts"
    resuming: str = "qqresume"


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """Options of one uploader on one page. ``success_params`` and ``success_headers`` replace the defaults."""

    endpoint: str = "/server/upload"
    method: str = "POST"
    force_multipart: bool = True
    params_in_body: bool = True
    omit_default_params: bool = False
    require_success_json: bool = True
    custom_headers: Headers = field(default_factory=dict)
    params: Params = field(default_factory=dict)
    form_fields: Params = field(default_factory=dict)
    names: ParamNames = field(default_factory=ParamNames)
    max_connections: int = 3
    chunking: bool = False
    mandatory: bool = False
    concurrent: bool = False
    part_size: float | Callable[[int], float] = 2_000_000
    success_endpoint: str | None = None
    success_method: str = "POST"
    success_json: bool = False
    success_params: Params | None = None
    success_headers: Headers | None = None
    reset_on_status: tuple[int, ...] = ()
    delete_endpoint: str = "/server/upload"
    delete_method: str = "DELETE"
    delete_params: Params = field(default_factory=dict)
    delete_headers: Headers = field(default_factory=dict)
    session_endpoint: str | None = None
    session_params: Params = field(default_factory=dict)
    session_headers: Headers = field(default_factory=dict)
    cors: bool = False
    origin: str | None = None

    def but(self, **changes: Any) -> ClientOptions:
        return dataclasses.replace(self, **changes)


# Where each field stands in the object that a page passes to ``new qq.FineUploader()``.
PAGE_OPTIONS: Mapping[str, str] = {
    "endpoint": "request.endpoint",
    "method": "request.method",
    "force_multipart": "request.forceMultipart",
    "params_in_body": "request.paramsInBody",
    "omit_default_params": "request.omitDefaultParams",
    "require_success_json": "request.requireSuccessJson",
    "custom_headers": "request.customHeaders",
    "params": "request.params",
    "max_connections": "maxConnections",
    "chunking": "chunking.enabled",
    "mandatory": "chunking.mandatory",
    "concurrent": "chunking.concurrent.enabled",
    "part_size": "chunking.partSize",
    "success_endpoint": "chunking.success.endpoint",
    "success_method": "chunking.success.method",
    "success_json": "chunking.success.jsonPayload",
    "reset_on_status": "chunking.success.resetOnStatus",
    "delete_endpoint": "deleteFile.endpoint",
    "delete_method": "deleteFile.method",
    "delete_params": "deleteFile.params",
    "delete_headers": "deleteFile.customHeaders",
    "session_endpoint": "session.endpoint",
    "session_params": "session.params",
    "session_headers": "session.customHeaders",
    "cors": "cors.expected",
}
PAGE_NAMES: Mapping[str, str] = {
    "uuid": "request.uuidName",
    "filename": "request.filenameParam",
    "total_size": "request.totalFileSizeName",
    "file": "request.inputName",
    "index": "chunking.paramNames.partIndex",
    "offset": "chunking.paramNames.partByteOffset",
    "chunk_size": "chunking.paramNames.chunkSize",
    "total_parts": "chunking.paramNames.totalParts",
    "resuming": "resume.paramNames.resuming",
}


def options_from_page(page: Mapping[str, Any]) -> ClientOptions:
    """Read the object that a page gives to the client, as the template tag and the config route write it."""
    return ClientOptions(names=ParamNames(**_found(page, PAGE_NAMES)), **_found(page, PAGE_OPTIONS))


def _found(page: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    values = ((name, _at(page, path.split("."))) for name, path in paths.items())
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values if value is not None}


def _at(page: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(page, Mapping) or key not in page:
            return None
        page = page[key]
    return page
