"""The site's routes: its own pages, the receivers' endpoints, and the admin."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from fineuploader_receiver.urls import receiver_urls
from gallery import views
from gallery.demo import DEMO_USERS

urlpatterns = [
    path("", views.upload, name="upload"),
    path("pictures/", views.upload, {"receiver": "pictures"}, name="pictures"),
    path("files/", views.files, name="files"),
    path("files/<int:pk>/", views.download, name="download"),
    path(
        "login/",
        LoginView.as_view(
            template_name="gallery/login.html",
            redirect_authenticated_user=True,
            extra_context={"demo_users": DEMO_USERS},
        ),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("uploads/", include("fineuploader_receiver.urls")),
    path("picture-uploads/", include(receiver_urls("pictures"))),
    path("admin/", admin.site.urls),
]
