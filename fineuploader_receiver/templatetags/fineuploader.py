"""`{% load fineuploader %}`, then `{% fineuploader_options %}` or `{% fineuploader_options "videos" %}`."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils.html import json_script
from django.utils.safestring import SafeString

from ..client_options import client_options
from ..conf import DEFAULT_ALIAS
from ..receivers import get_receiver

register = template.Library()


@register.simple_tag(takes_context=True)
def fineuploader_options(context: Context, alias: str = DEFAULT_ALIAS) -> SafeString:
    """A JSON script element with the client's options; its id is `fineuploader-options`, then `-alias` for others.

    The template must be rendered with a request.
    """
    element = "fineuploader-options" if alias == DEFAULT_ALIAS else f"fineuploader-options-{alias}"
    return json_script(client_options(get_receiver(alias), context["request"]), element)
