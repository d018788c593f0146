"""Routes of the test site: the app as a site includes it, a second receiver, the admin and a login page."""

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

from fineuploader_receiver.urls import receiver_urls

urlpatterns = [
    path("uploads/", include("fineuploader_receiver.urls")),
    path("videos/", include(receiver_urls("videos"))),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="admin/login.html"), name="login"),
]
