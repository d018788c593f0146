"""What the tests do behind the site's back: log people in, look at rows and files, and lose them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from datetime import timedelta
from io import StringIO
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model, login, logout
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from fineuploader_receiver.models import UploadChunk, UploadSession

OPEN_TRANSACTIONS = {
    "postgresql": (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND xact_start IS NOT NULL AND backend_type = 'client backend'"
    ),
    "mysql": (
        "SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist "
        "ON id = trx_mysql_thread_id WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    ),
}


@csrf_exempt
def log_in(request: HttpRequest) -> HttpResponse:
    """Log in whoever is named, as a user made for the purpose."""
    user, _ = get_user_model().objects.get_or_create(username=request.POST["username"])
    login(request, user)
    return HttpResponse(status=204)


@csrf_exempt
def log_out(request: HttpRequest) -> HttpResponse:
    """Log the visitor out."""
    logout(request)
    return HttpResponse(status=204)


def uploads(request: HttpRequest) -> JsonResponse:
    """List the uploads that the query's lookups match, oldest first, with the digest of what is stored for each."""
    rows = UploadSession.objects.filter(**request.GET.dict()).order_by("created_at", "pk")
    return JsonResponse([describe(upload) for upload in rows], safe=False)


def describe(upload: UploadSession) -> dict[str, Any]:
    """Return what the tests compare; ``sha256`` is of the stored file, None before there is one."""
    return {
        "uuid": str(upload.uuid),
        "receiver": upload.receiver,
        "state": str(upload.state),
        "filename": upload.filename,
        "total_size": upload.total_size,
        "total_chunks": upload.total_chunks,
        "params": upload.params,
        "file": upload.file,
        "sha256": digest(upload) if upload.state == UploadSession.State.COMPLETE else None,
    }


def digest(upload: UploadSession) -> str:
    """Return the SHA-256 of the finished file, read back through the upload."""
    with upload.open() as file:
        return hashlib.sha256(file.read()).hexdigest()


@csrf_exempt
def purge(request: HttpRequest) -> JsonResponse:
    """Let one upload grow too old, or all where none is named, and run the purge command as cron would."""
    long_ago = timezone.now() - timedelta(days=1)
    named = {"uuid": request.POST["uuid"]} if request.POST["uuid"] else {}
    UploadSession.objects.filter(**named, completed_at=None).update(expires_at=long_ago)
    output = StringIO()
    call_command("purge_expired_uploads", "--format", "json", stdout=output)
    return JsonResponse(json.loads(output.getvalue()))


@csrf_exempt
def forget(request: HttpRequest) -> JsonResponse:
    """Delete every row about one upload, as a database restored from before it would have none."""
    while True:
        try:
            return JsonResponse({"deleted": forget_once(request.POST["uuid"])})
        except (IntegrityError, OperationalError):
            continue  # a chunk arrived in between


@csrf_exempt
def die(request: HttpRequest) -> HttpResponse:
    """Kill the process that serves this request, and whatever else its threads are at. Nothing is answered."""
    os.kill(os.getpid(), signal.SIGKILL)
    return HttpResponse()


@csrf_exempt
def claim(request: HttpRequest) -> JsonResponse:
    """Take a file, as a site does."""
    upload = UploadSession.objects.filter(uuid=request.POST["uuid"]).first()
    return JsonResponse({"claimed": upload is not None and upload.claim()})


def chunks(request: HttpRequest) -> JsonResponse:
    """Count the rows of chunks, whatever upload they belong to."""
    return JsonResponse({"chunks": UploadChunk.objects.count()})


def transactions(request: HttpRequest) -> JsonResponse:
    """Count the transactions that others have open in the site's database; on SQLite, those in the way of a writer."""
    count = count_writers if connection.vendor == "sqlite" else count_transactions
    return JsonResponse({"open": count()})


def count_writers() -> int:
    """Try to begin to write, with no patience at all."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            cursor.execute("BEGIN EXCLUSIVE")
        except OperationalError:
            return 1
        cursor.execute("ROLLBACK")
    return 0


def count_transactions() -> int:
    """Ask the server."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_TRANSACTIONS[connection.vendor])
        return int(cursor.fetchone()[0])


@transaction.atomic
def forget_once(uuid: str) -> int:
    """Delete the rows of every model that knows uploads by their uuid, and what hangs on them."""
    models = apps.get_app_config("fineuploader_receiver").get_models()
    known = [model for model in models if any(field.name == "uuid" for field in model._meta.get_fields())]
    return sum(model._default_manager.filter(uuid=uuid).delete()[0] for model in known)
