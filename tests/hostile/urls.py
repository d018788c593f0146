"""Routes of the receivers in the table of who may do what."""

from django.urls import include, path

from fineuploader_receiver.urls import receiver_urls

urlpatterns = [path(f"{alias}/", include(receiver_urls(alias))) for alias in ("closed", "open", "denying")]
