"""The pages: upload, my files, download."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from fineuploader_receiver.models import UploadSession

FILES_PER_PAGE = 25


@login_required
def upload(request: HttpRequest, receiver: str = "default") -> HttpResponse:
    """Show the page that uploads to *receiver*."""
    return render(request, "gallery/upload.html", {"receiver": receiver})


@login_required
def files(request: HttpRequest) -> HttpResponse:
    """List the user's complete uploads, newest first."""
    page = Paginator(_complete_uploads(request), FILES_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "gallery/files.html", {"page": page})


@login_required
def download(request: HttpRequest, pk: int) -> FileResponse:
    """Stream one of the user's files, always as an attachment; anyone else's is a 404."""
    upload = get_object_or_404(_complete_uploads(request), pk=pk)
    try:
        file = upload.open()
    except FileNotFoundError as error:  # deleted a moment ago
        raise Http404 from error
    return FileResponse(
        file,
        as_attachment=True,
        filename=upload.filename,
        content_type=upload.content_type or "application/octet-stream",
        # What people upload must never run as a page of this site, whatever the browser takes it for.
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"},
    )


def _complete_uploads(request: HttpRequest) -> QuerySet[UploadSession]:
    uploads = UploadSession.objects.filter(owner_id=request.user.pk, state=UploadSession.State.COMPLETE)
    return uploads.order_by("-completed_at", "-pk")
