"""Builds every request of the client, and sends none of them."""

from __future__ import annotations

import secrets
import string
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fakeuploader.javascript import (
    BrowserFile,
    FormEntry,
    JSValue,
    Params,
    encode_multipart,
    form_entries,
    obj2url,
    stringify,
    text,
)
from fakeuploader.uploads import ChunkOverrides, ClientUpload
from fakeuploader.wire import WireRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fakeuploader.options import ClientOptions, ParamNames

URLENCODED = "application/x-www-form-urlencoded"
PAGE_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SAFE_HEADERS = ("accept", "content-type")
SAFE_TYPES = (URLENCODED, "multipart/form-data", "text/plain")


class RequestBuilder:
    """Builds the requests of one page from its options (docs/protocol.md, section 1)."""

    def __init__(self, options: ClientOptions) -> None:
        self.options = options

    @property
    def names(self) -> ParamNames:
        return self.options.names

    def simple_request(self, upload: ClientUpload) -> WireRequest:
        return self._upload_request(upload, upload.file, {}, ChunkOverrides())

    def chunk_request(
        self,
        upload: ClientUpload,
        index: int,
        *,
        resuming: bool = False,
        overrides: ChunkOverrides | None = None,
    ) -> WireRequest:
        chunk = upload.chunk(index)
        defaults: dict[str, JSValue] = {}
        if not self.options.omit_default_params:
            defaults |= {
                self.names.index: chunk.index,
                self.names.offset: chunk.start,
                self.names.chunk_size: chunk.size,
                self.names.total_parts: upload.total_parts,
                self.names.total_size: upload.size,
            }
            if self._multipart:
                defaults[self.names.filename] = upload.name
        if resuming:
            defaults[self.names.resuming] = True
        return self._upload_request(upload, chunk.file, defaults, overrides or ChunkOverrides())

    def done_request(self, upload: ClientUpload) -> WireRequest:
        method = self.options.success_method
        assert self.options.success_endpoint is not None
        url, params = self.options.success_endpoint, self._done_params(upload)
        extra = self.options.custom_headers if self.options.success_headers is None else self.options.success_headers
        headers = {"Accept": "application/json"}
        if method in ("GET", "DELETE"):
            return self._request(method, obj2url(params, url), headers | dict(extra))
        media_type, body = (
            ("application/json", stringify(params)) if self.options.success_json else (URLENCODED, obj2url(params))
        )
        headers["Content-Type"] = media_type if method in ("POST", "PUT") else "text/plain;charset=UTF-8"
        return self._request(method, url, headers | dict(extra), body.encode())

    def delete_request(self, uuid: str, *, params: Params | None = None, endpoint: str | None = None) -> WireRequest:
        """Delete by the configured method; ``params`` and ``endpoint`` are those of a session item."""
        method, url = self.options.delete_method.upper(), endpoint or self.options.delete_endpoint
        sent = dict(self.options.delete_params if params is None else params)
        headers = self._ajax_headers(method)
        if method == "DELETE":
            return self._request(method, obj2url(sent, f"{url}/{uuid}"), headers | dict(self.options.delete_headers))
        body = obj2url(sent | {self.names.uuid: uuid, "_method": "DELETE"})
        headers["Content-Type"] = URLENCODED
        return self._request(method, url, headers | dict(self.options.delete_headers), body.encode())

    def session_request(self) -> WireRequest:
        assert self.options.session_endpoint is not None
        params = dict(self.options.session_params) | {"qqtimestamp": int(time.time() * 1000)}
        headers = self._ajax_headers("GET") | dict(self.options.session_headers)
        return self._request("GET", obj2url(params, self.options.session_endpoint), headers)

    def form_request(self, upload: ClientUpload) -> WireRequest:
        """Build the form that a browser without the File API submits into a hidden frame."""
        params = self._custom_params(upload) | {self.names.uuid: upload.uuid, self.names.filename: upload.name}
        in_body = self.options.params_in_body
        url = self.options.endpoint if in_body else obj2url(params, self.options.endpoint)
        # The fields are text inputs, which lose every newline when their value is set.
        fields: list[FormEntry] = [
            (name, text(value).replace("\r", "").replace("\n", "")) for name, value in form_entries(params) if in_body
        ]
        headers = {"Accept": PAGE_ACCEPT, "Upgrade-Insecure-Requests": "1"}
        if self.options.method.lower() == "get":
            query = urlencode([*fields, (self.names.file, upload.file.part_filename)])
            return self._request("GET", f"{url.partition('?')[0]}?{query}", headers)
        return self._multipart_request("POST", url, headers, [*fields, (self.names.file, upload.file)])

    def preflight(self, request: WireRequest, *, origin: str) -> WireRequest | None:
        """Build what a browser asks before it sends the request to another origin, or None where it asks nothing."""
        unsafe = sorted(name.lower() for name, value in request.headers if not _is_safe(name, value))
        if not unsafe and request.method in ("GET", "POST"):
            return None
        headers = [("Origin", origin), ("Access-Control-Request-Method", request.method)]
        if unsafe:
            headers.append(("Access-Control-Request-Headers", ",".join(unsafe)))
        return WireRequest(method="OPTIONS", url=request.url, headers=(*headers, ("Accept", "*/*")))

    @property
    def _multipart(self) -> bool:
        return self.options.force_multipart or self.options.params_in_body

    def _custom_params(self, upload: ClientUpload) -> dict[str, JSValue]:
        own = self.options.params if upload.params is None else upload.params
        return dict(own) | dict(self.options.form_fields) | dict(upload.read_only)

    def _done_params(self, upload: ClientUpload) -> Params:
        if self.options.success_params is not None:
            return self.options.success_params
        return self._custom_params(upload) | {
            self.names.uuid: upload.uuid,
            self.names.filename: upload.name,
            self.names.total_size: upload.size,
            self.names.total_parts: upload.total_parts,
        }

    def _all_params(self, upload: ClientUpload, defaults: Params, overrides: ChunkOverrides) -> dict[str, JSValue]:
        custom = self._custom_params(upload) | dict(overrides.params)
        if self.options.omit_default_params:
            return custom
        params = custom | dict(defaults) | {self.names.uuid: upload.uuid, self.names.filename: upload.name}
        if self._multipart:
            return params | {self.names.total_size: upload.size}
        return params | {self.names.file: upload.name}

    def _upload_request(
        self, upload: ClientUpload, body: BrowserFile, defaults: Params, overrides: ChunkOverrides
    ) -> WireRequest:
        params = self._all_params(upload, defaults, overrides)
        method, url = overrides.method or self.options.method, overrides.endpoint or self.options.endpoint
        if not self.options.params_in_body:
            url = obj2url(params, url)
        headers = self._upload_headers(upload) if overrides.headers is None else dict(overrides.headers)
        if not self._multipart:
            return self._request(method, url, headers, body.data)
        fields = form_entries(params) if self.options.params_in_body else ()
        return self._multipart_request(method, url, headers, [*fields, (self.names.file, body)])

    def _upload_headers(self, upload: ClientUpload) -> dict[str, str]:
        headers = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest", "Cache-Control": "no-cache"}
        if not self._multipart:
            headers |= {"Content-Type": "application/octet-stream", "X-Mime-Type": upload.file.type}
        return headers | dict(self.options.custom_headers)

    def _ajax_headers(self, method: str) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.options.cors and method in ("GET", "POST"):
            return headers
        return headers | {"X-Requested-With": "XMLHttpRequest", "Cache-Control": "no-cache"}

    def _multipart_request(
        self, method: str, url: str, headers: dict[str, str], entries: Sequence[FormEntry]
    ) -> WireRequest:
        boundary = "----WebKitFormBoundary" + "".join(secrets.choice(string.ascii_letters) for _ in range(16))
        typed = headers | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._request(method, url, typed, encode_multipart(entries, boundary))

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> WireRequest:
        sent = dict(headers)
        if self.options.origin is not None and method != "GET":
            sent["Origin"] = self.options.origin
        length = None if body is None else len(body)
        return WireRequest(method=method, url=url, headers=tuple(sent.items()), body=body or b"", content_length=length)


def _is_safe(name: str, value: str) -> bool:
    lower = name.lower()
    return lower == "origin" or (lower in SAFE_HEADERS and (lower != "content-type" or _is_safe_type(value)))


def _is_safe_type(value: str) -> bool:
    return value.partition(";")[0].strip().lower() in SAFE_TYPES
