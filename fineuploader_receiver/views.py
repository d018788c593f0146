"""The routes: who asks, which message, and what is answered. Rules live in `lifecycle`, the wire in `protocol`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, DataError, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.decorators.common import no_append_slash
from django.views.decorators.csrf import csrf_exempt

from . import lifecycle
from .client_options import client_options
from .csrf import check_csrf
from .exceptions import (
    BadBody,
    BadParameter,
    BodyTooLarge,
    Busy,
    LoginRequired,
    MethodNotAllowed,
    NoSession,
    NotFound,
    ServerError,
    UploadError,
)
from .logs import get_logger
from .owners import Caller, identify
from .protocol import requests, responses
from .protocol.body import Body
from .receivers import Receiver, get_receiver

logger = get_logger(__name__)

BODY_METHODS = ("POST", "PUT", "PATCH")

Handler = Callable[..., HttpResponse]


def route(*methods: str, private: bool = False) -> Callable[[Handler], Handler]:
    """Make a view of a handler: it answers only `methods` (and OPTIONS), and every outcome in the protocol's shape.

    Exempt from Django's own CSRF check (`check_csrf` runs ours), login redirect, slash redirect and ATOMIC_REQUESTS.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def view(request: HttpRequest, alias: str, **arguments: Any) -> HttpResponse:
            response = _guarded(request, alias, methods, lambda: handler(request, get_receiver(alias), **arguments))
            if private and response.status_code >= 400:
                response["Content-Type"] = responses.JSON
            if private:
                add_never_cache_headers(response)
                patch_vary_headers(response, ("Cookie",))
            return response

        exempt: Handler = csrf_exempt(login_not_required(no_append_slash(view)))
        for database in settings.DATABASES:
            exempt = transaction.non_atomic_requests(using=database)(exempt)
        return exempt

    return decorate


@route(*BODY_METHODS)
def upload(request: HttpRequest, receiver: Receiver) -> HttpResponse:
    """A simple upload, a chunk, or a delete that was sent as a POST."""
    body = Body(request)
    try:
        incoming = requests.read_upload(request, body, receiver.names)
        caller = _authenticated(request, receiver, incoming.form)
        if isinstance(incoming, requests.IncomingDelete):
            lifecycle.delete(receiver, caller, incoming.message)
            return responses.answer({"success": True, "uuid": incoming.message.wire_uuid})
        receipt = lifecycle.receive(receiver, caller, incoming.message, incoming.content)
    except Exception:
        body.drain()
        raise
    payload = responses.render_receipt(receipt, wire_uuid=incoming.message.wire_uuid)
    return responses.frame_answer(request, payload) if incoming.from_frame else responses.answer(payload)


@route(*BODY_METHODS)
def done(request: HttpRequest, receiver: Receiver) -> HttpResponse:
    """The client's success request."""
    body = Body(request)
    try:
        message, form = requests.read_done(request, body, receiver.names)
        caller = _authenticated(request, receiver, form)
    except Exception:
        body.drain()
        raise
    receipt = lifecycle.complete(receiver, caller, message)
    return responses.answer(responses.render_receipt(receipt, wire_uuid=message.wire_uuid))


@route("DELETE", "GET", "HEAD", private=True)
def file(request: HttpRequest, receiver: Receiver, uuid: str) -> HttpResponse:
    """Delete or abort an upload, or tell its status."""
    if request.method == "DELETE":
        message = requests.delete_message(uuid)
        lifecycle.delete(receiver, _authenticated(request, receiver, None), message)
        return responses.answer({"success": True, "uuid": message.wire_uuid})
    try:
        number = requests.read_uuid(uuid)
    except UploadError as error:
        raise NotFound from error
    caller = Caller(identify(receiver, request), request)
    return responses.answer(lifecycle.status(receiver, caller, number), content_type=responses.JSON)


@route("GET", "HEAD", private=True)
def session(request: HttpRequest, receiver: Receiver) -> HttpResponse:
    """The client's initial file list, a bare array."""
    caller = Caller(identify(receiver, request, create=True), request)
    return responses.answer(lifecycle.list_uploads(receiver, caller), content_type=responses.JSON)


@route("GET", "HEAD", private=True)
def config(request: HttpRequest, receiver: Receiver) -> HttpResponse:
    """The options object that the template tag renders."""
    identify(receiver, request, create=True)
    return responses.answer(client_options(receiver, request), content_type=responses.JSON)


@route("GET", "HEAD", "DELETE", *BODY_METHODS)
def nothing(request: HttpRequest, receiver: Receiver) -> HttpResponse:
    """Everything else below the prefix: JSON, and never a redirect that would turn a POST into a GET."""
    raise NotFound


def _authenticated(request: HttpRequest, receiver: Receiver, form: QueryDict | None) -> Caller:
    """The caller, once the request has proved that its page meant to send it."""
    check_csrf(request, form)
    return Caller(identify(receiver, request), request)


def _guarded(
    request: HttpRequest, alias: str, methods: tuple[str, ...], handle: Callable[[], HttpResponse]
) -> HttpResponse:
    """Run a handler and turn whatever goes wrong into an answer that tells the client, and nobody else, something."""
    if request.method == "OPTIONS":
        return responses.allow(HttpResponse(status=204), methods)
    try:
        if request.method not in methods:
            raise MethodNotAllowed
        return handle()
    except Exception as error:
        refusal = _as_refusal(error)
        if isinstance(refusal, (LoginRequired, NoSession)):
            _keep_cookie(request)
        response = _refuse(request, alias, refusal)
        return responses.allow(response, methods) if isinstance(refusal, MethodNotAllowed) else response


def _keep_cookie(request: HttpRequest) -> None:
    """Let Django not delete the session's cookie, as it does with an answer to a request whose session is gone.

    After a login chunks with the cookie from before are still on their way: deleting it by its name would end the new
    session in the browser.
    """
    request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)


def _as_refusal(error: Exception) -> UploadError:
    """The error that the client may know of; the site's log gets the rest."""
    if isinstance(error, UploadError):
        if error.status >= 500:
            logger.warning("An upload request was answered %s, %s.", error.status, error.code, exc_info=error)
        return error
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(error, SuspiciousOperation):
        logger.warning("An upload request was refused.", exc_info=error)
        return BadBody()
    if isinstance(error, DataError):
        # What a database will not even look up, as a session's cookie with NUL in it on PostgreSQL.
        logger.warning("An upload request held what the database cannot take.", exc_info=error)
        return BadParameter()
    if isinstance(error, DatabaseError):
        logger.error("The database failed during an upload request.", exc_info=error)
        return Busy()
    logger.error("An upload request failed.", exc_info=error)
    return ServerError()


def _refuse(request: HttpRequest, alias: str, error: UploadError) -> HttpResponse:
    if requests.is_from_frame(request):
        try:
            payload = responses.render_error(error, wire_uuid=requests.echoed_uuid(request, get_receiver(alias).names))
            return responses.frame_answer(request, payload, status=error.status)
        except (SuspiciousOperation, ImproperlyConfigured):
            # The query or the host is what is wrong with the request: then there is nothing to tell the page by.
            logger.info("A form upload was refused without an answer for its frame.")
    return responses.answer(responses.render_error(error), status=error.status)
