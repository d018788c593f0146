"""Django's CSRF check, run when we say so: after the form's fields have been read and before its file.

Django's own arrangement parses the whole body before it looks at a token, and answers with HTML.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict

from .exceptions import CsrfFailed


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed


def _checked_view(request: HttpRequest) -> HttpResponse:
    """Stands for the view that is checked: it is not exempt."""
    return HttpResponse()


def check_csrf(request: HttpRequest, form: QueryDict | None) -> None:
    """Raise CsrfFailed unless the request carries a good token: in the header, or for POST in the form's fields so far.

    The query is not looked at. A request without any cookie or REMOTE_USER, whose Origin is this site's or a trusted
    one, needs no token: it carries nothing that could be abused, and no cookie that a token could be compared with.
    """
    if form is not None and "_post" not in request.__dict__:
        request._post = form  # type: ignore[attr-defined]
        request._files = MultiValueDict()  # type: ignore[attr-defined]
    check = _Check(_checked_view)
    ambient = request.COOKIES or request.META.get("REMOTE_USER")
    if not ambient and "HTTP_ORIGIN" in request.META and check._origin_verified(request):  # type: ignore[attr-defined]
        return
    check.process_request(request)
    check.process_view(request, _checked_view, (), {})
