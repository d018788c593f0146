"""Routes of the live site: receivers, pages with the genuine client, and what the tests use behind its back."""

from __future__ import annotations

from django.contrib.staticfiles.views import serve as serve_static
from django.urls import include, path
from django.views.static import serve

from fineuploader_receiver.urls import receiver_urls
from livesite import control, pages, settings
from livesite.events import listen_to_all

listen_to_all()

urlpatterns = [
    path("uploads/", include("fineuploader_receiver.urls")),
    *(
        path(f"{alias}/", include(receiver_urls(alias)))
        for alias in settings.FINEUPLOADER_RECEIVERS
        if alias != "default"
    ),
    path("pages/<str:alias>/<str:kind>/", pages.upload_page),
    path("client/<path:path>", serve, {"document_root": settings.CLIENT_FOLDER}),
    path("static/<path:path>", serve_static, {"insecure": True}),
    path("control/login", control.log_in),
    path("control/logout", control.log_out),
    path("control/uploads", control.uploads),
    path("control/purge", control.purge),
    path("control/forget", control.forget),
    path("control/claim", control.claim),
    path("control/chunks", control.chunks),
    path("control/transactions", control.transactions),
    path("control/die", control.die),
]
