"""The options object for the page's Fine Uploader, so that page and server agree."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch, reverse

from .conf import DEFAULT_ALIAS, ReceiverOptions
from .exceptions import UploadError
from .owners import identify
from .protocol.names import DONE_MARKER, ParamNames
from .receivers import Receiver, merged

PART_SIZE = 5 * 2**20
"""Also the smallest part that object stores take."""

RESUME_DAYS = 7


def client_options(receiver: Receiver, request: HttpRequest) -> dict[str, Any]:
    """A Fine Uploader options object, usable as it is: endpoints, names, limits, CSRF header.

    Gives an anonymous visitor the key that owns the uploads, where the receiver allows anonymous uploads.
    """
    if receiver.options.allow_anonymous:
        _make_key(receiver, request)
    csrf = {_csrf_header(): get_token(request)}
    endpoint = _address(receiver, request, "upload")
    generated = {
        "request": {
            "endpoint": endpoint,
            "customHeaders": csrf,
            "params": {DONE_MARKER: "true"},
            **_request_names(receiver.names),
        },
        "chunking": {
            "enabled": True,
            "partSize": part_size(receiver),
            "concurrent": {"enabled": True},
            "success": {"endpoint": _address(receiver, request, "done")},
            **_chunk_names(receiver.names),
        },
        "resume": _resume(receiver),
        "retry": {"enableAuto": True},
        "deleteFile": {"enabled": True, "endpoint": endpoint, "customHeaders": csrf},
        "session": {"endpoint": _address(receiver, request, "session")},
        "validation": _validation(receiver.options),
    }
    return merged(generated, receiver.client_options(request))


def part_size(receiver: Receiver) -> int:
    """Bytes per chunk: within MAX_CHUNK_SIZE, and enough that the largest file is of no more chunks than may be.

    The receiver's limit is MAX_CHUNKS, the store's is its backend's.
    """
    options = receiver.options
    size = PART_SIZE
    if options.max_file_size is not None:
        most = min(filter(None, (options.max_chunks, receiver.backend.most_chunks)))
        size = max(size, -(-options.max_file_size // most))
    return min(size, options.max_chunk_size) if options.max_chunk_size is not None else size


def _make_key(receiver: Receiver, request: HttpRequest) -> None:
    try:
        identify(receiver, request, create=True)
    except UploadError:
        # A page without sessions still gets its options; its uploads will be told what is missing.
        return


def _csrf_header() -> str:
    return str(settings.CSRF_HEADER_NAME).removeprefix("HTTP_").replace("_", "-")


def _address(receiver: Receiver, request: HttpRequest, name: str) -> str:
    """The route's path. The default receiver may be included as a module or by alias, and inside other namespaces."""
    match = request.resolver_match
    here = match.namespaces if match else []
    namespaces = ["fineuploader_receiver", DEFAULT_ALIAS] if receiver.alias == DEFAULT_ALIAS else [receiver.alias]
    candidates = [":".join(here)] if here and here[-1] in namespaces else []
    candidates += [":".join([*here[:depth], space]) for depth in range(len(here), -1, -1) for space in namespaces]
    for candidate in candidates:
        try:
            return reverse(f"{candidate}:{name}")
        except NoReverseMatch:
            continue
    raise NoReverseMatch(f'The URLs of the receiver "{receiver.alias}" are not included in the URLconf.')


def _request_names(names: ParamNames) -> dict[str, str]:
    return _renamed(names, uuidName="uuid", filenameParam="filename", totalFileSizeName="total_size", inputName="file")


def _chunk_names(names: ParamNames) -> dict[str, Any]:
    renamed = _renamed(
        names, partIndex="index", partByteOffset="offset", chunkSize="chunk_size", totalParts="total_chunks"
    )
    return {"paramNames": renamed} if renamed else {}


def _renamed(names: ParamNames, **fields: str) -> dict[str, str]:
    """The client's option keys whose parameter has another name than the client gives it."""
    usual = ParamNames()
    return {
        key: getattr(names, field) for key, field in fields.items() if getattr(names, field) != getattr(usual, field)
    }


def _resume(receiver: Receiver) -> dict[str, Any]:
    """Resume records must not outlive the chunks they speak of."""
    days = min(
        RESUME_DAYS, (receiver.options.expire_after - datetime.timedelta(hours=12)) // datetime.timedelta(days=1)
    )
    options: dict[str, Any] = {"enabled": days > 0}
    if days > 0:
        options["recordsExpireIn"] = days
    if renamed := _renamed(receiver.names, resuming="resume"):
        options["paramNames"] = renamed
    return options


def _validation(options: ReceiverOptions) -> dict[str, Any]:
    rules: dict[str, Any] = {"allowEmpty": True}
    if options.max_file_size is not None:
        rules["sizeLimit"] = options.max_file_size
    if options.allowed_extensions is not None:
        rules["allowedExtensions"] = list(options.allowed_extensions)
    if options.allowed_content_types is not None:
        rules["acceptFiles"] = ",".join(options.allowed_content_types)
    return rules
