"""The routes under measurement."""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from benchmarks.site import views

urlpatterns: list[URLPattern | URLResolver] = [path("discard/", views.discard), path("floor/", views.floor)]

if getattr(settings, "HAS_PEER", False):
    from chunked_upload.views import ChunkedUploadCompleteView, ChunkedUploadView

    urlpatterns += [
        path("chunked/", ChunkedUploadView.as_view()),
        path("chunked/complete/", ChunkedUploadCompleteView.as_view()),
    ]
else:
    from fineuploader_receiver.urls import receiver_urls

    urlpatterns += [
        path("uploads/", include("fineuploader_receiver.urls")),
        path("without_fsync/", include(receiver_urls("without_fsync"))),
    ]
