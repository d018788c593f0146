"""Routes of the site: those of the live site, and what these tests do behind its back."""

from __future__ import annotations

from django.urls import include, path

from crashes import control
from crashes.settings import FINEUPLOADER_RECEIVERS
from fineuploader_receiver.urls import receiver_urls
from livesite.urls import urlpatterns as live_site

urlpatterns = [
    *live_site,
    *(path(f"{alias}/", include(receiver_urls(alias))) for alias in FINEUPLOADER_RECEIVERS if alias != "default"),
    path("control/clean", control.clean),
    path("control/settle", control.settle),
    path("control/result", control.result),
]
