"""Whole uploads over HTTP into an S3 store, and what happens to them when it goes wrong."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from docpages import blocks_of
from fakeuploader import FakeUploader, SocketTransport
from fineuploader_receiver.backends import S3, s3, s3_parts
from fineuploader_receiver.backends.s3 import S3MultipartBackend
from fineuploader_receiver.backends.s3_client import S3Client
from fineuploader_receiver.backends.s3_objects import head_object
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.testing.chunks import assemble, begin, pieces_for, put_pieces, whole
from flowtools import FORM_CSRF, RAW, TOKEN, content, finisher, pattern, purge, row, strict_client, uploader
from stores.faultproxy import Fault, FaultProxy, Passed, in_front_of
from stores.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

if TYPE_CHECKING:
    from pathlib import Path

    from django.contrib.auth.models import User
    from pytest_django import Settings

MIB = 2**20
MONTH = datetime.timedelta(days=30)
DATA = pattern(5 * MIB + 1000)

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
FAULTS: list[tuple[Fault, bytes]] = [
    ("500", b""),
    ("503", SLOW_DOWN),
    ("403", EXPIRED),
    ("reset", b""),
    ("lost", b""),
]


def is_part(request: Passed) -> bool:
    return request.method == "PUT" and "partNumber=" in request.path


def is_completion(request: Passed) -> bool:
    return request.method == "POST" and "uploadId=" in request.path


@pytest.fixture
def proxy(seaweedfs: S3Server) -> Iterator[FaultProxy]:
    with in_front_of(urlsplit(seaweedfs.endpoint).port or 0) as proxy:
        yield proxy


@pytest.fixture
def configure(seaweedfs: S3Server, proxy: FaultProxy, settings: Settings) -> Callable[..., None]:
    """Let the site's storage, which it reaches through the proxy, have other options."""
    options = seaweedfs.options(endpoint_url=f"http://127.0.0.1:{proxy.port}")

    def change(**changes: Any) -> None:
        entry = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**options, **changes}}
        settings.STORAGES = settings.STORAGES | {"default": entry}

    return change


@pytest.fixture(autouse=True)
def site(transactional_db: None, configure: Callable[..., None], settings: Settings) -> None:
    configure()
    settings.FINEUPLOADER_RECEIVERS = {}


@pytest.fixture
def client(user: User) -> Client:
    browser = strict_client()
    browser.force_login(user)
    return browser


@pytest.fixture
def objects(seaweedfs: S3Server) -> Callable[[], set[str]]:
    """What the site has in the bucket, by its names and unfinished uploads too."""

    def names() -> set[str]:
        place = f"{getattr(storages['default'], 'location')}/"  # noqa: B009
        return {key.removeprefix(place) for key in seaweedfs.objects(place)} | seaweedfs.unfinished(place)

    return names


def page_of(client: Client, **changes: Any) -> FakeUploader:
    return finisher(client, **{"part_size": 5 * MIB, **changes})


@pytest.mark.parametrize("encoding", [{}, {"params_in_body": False}, RAW], ids=["body", "query", "raw"])
def test_chunks_become_one_exact_object_and_are_sent_once(
    client: Client, encoding: dict[str, Any], proxy: FaultProxy, objects: Callable[[], set[str]]
) -> None:
    page = page_of(client, **encoding)
    upload = page.add(DATA)
    assert page.upload(upload).success
    assert row(upload.uuid).backend == S3
    assert sum(request.size for request in proxy.passed if request.method == "PUT") == len(DATA)
    assert proxy.answered < 100_000
    assert content(upload.uuid) == DATA
    assert objects() == {row(upload.uuid).file}


def test_chunks_become_one_exact_object_over_https(
    client: Client,
    seaweedfs: S3Server,
    configure: Callable[..., None],
    tmp_path: Path,
    objects: Callable[[], set[str]],
) -> None:
    """Where bodies are not signed over TLS, as boto3 prefers, checksums must cover them all the same."""
    authority, bundle = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with in_front_of(urlsplit(seaweedfs.endpoint).port or 0, tls=tls) as proxy:
        configure(endpoint_url=f"https://127.0.0.1:{proxy.port}", verify=str(bundle))
        page = page_of(client)
        upload = page.add(DATA)
        proxy.go_wrong("corrupt", times=1, when=is_part)
        assert page.upload(upload).response["code"] == "storage_error"
        assert page.upload(upload).success
        assert row(upload.uuid).backend == S3
        assert content(upload.uuid) == DATA
        assert objects() == {row(upload.uuid).file}


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_simple_upload_becomes_one_exact_object(client: Client, size: int, objects: Callable[[], set[str]]) -> None:
    page = uploader(client)
    upload = page.add(pattern(size))
    assert page.upload(upload).success
    assert (row(upload.uuid).backend, content(upload.uuid)) == (S3, pattern(size))
    assert objects() == {row(upload.uuid).file}


def test_form_of_an_old_browser_becomes_parts_of_a_fixed_size(client: Client, proxy: FaultProxy) -> None:
    page = uploader(client, params=FORM_CSRF)
    upload = page.add(pattern(9 * MIB))
    assert page.upload_form(upload).success
    assert [request.size for request in proxy.passed if is_part(request)] == [8 * MIB, MIB]
    assert content(upload.uuid) == pattern(9 * MIB)


def test_file_above_the_largest_part_becomes_several_even_parts(
    client: Client, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_parts, "LARGEST_PART", 10 * MIB)
    page = uploader(client)
    upload = page.add(pattern(10 * MIB + 2))
    assert page.upload(upload).success
    assert [request.size for request in proxy.passed if is_part(request)] == [5 * MIB + 1] * 2
    assert content(upload.uuid) == pattern(10 * MIB + 2)


def test_small_parts_go_the_generic_way(client: Client, objects: Callable[[], set[str]]) -> None:
    page = page_of(client, part_size=1000)
    upload = page.add(pattern(4_500))
    assert page.upload(upload).success
    assert (row(upload.uuid).backend, content(upload.uuid)) == (S3MultipartBackend.fallback, pattern(4_500))
    assert objects() == {row(upload.uuid).file}


def test_too_many_parts_are_refused_at_the_first(
    client: Client, monkeypatch: pytest.MonkeyPatch, objects: Callable[[], set[str]]
) -> None:
    monkeypatch.setattr("fineuploader_receiver.backends.s3.MOST_PARTS", 1)
    page = page_of(client)
    outcome = page.upload(page.add(DATA))
    assert (outcome.response["code"], outcome.prevent_retry) == ("too_many_chunks", True)
    assert (objects(), UploadSession.objects.count()) == (set(), 0)


def test_chunks_sent_truly_at_once_become_one_exact_object(
    client: Client, live_server: LiveServer, objects: Callable[[], set[str]]
) -> None:
    host, _, port = live_server.url.removeprefix("http://").partition(":")
    cookies = {"csrftoken": TOKEN, "sessionid": client.cookies["sessionid"].value}
    options = page_of(client, concurrent=True, max_connections=4).options
    page = FakeUploader(SocketTransport(host, int(port), cookies=cookies), options, parallel=True)
    data = pattern(22 * MIB)
    upload = page.add(data)
    assert page.upload(upload, attempts=3).success
    assert content(upload.uuid) == data
    assert objects() == {row(upload.uuid).file}
    assert [thread.name for thread in threading.enumerate() if thread.name == "fineuploader-part"] == []


def test_resumed_upload_is_listed_and_deleted(client: Client, objects: Callable[[], set[str]]) -> None:
    page = page_of(client)
    upload = page.add(DATA)
    assert page.send_chunk(upload, 0).success
    again = page.resume(upload, remaining=[1])
    assert page.upload(again).success
    assert content(upload.uuid) == DATA
    assert [item["uuid"] for item in page.session()] == [upload.uuid]
    assert page.delete(upload.uuid).success
    assert (objects(), page.session()) == (set(), [])


def test_object_is_what_the_storage_itself_would_have_made(
    client: Client, seaweedfs: S3Server, configure: Callable[..., None]
) -> None:
    parameters = {"CacheControl": "max-age=60", "ContentDisposition": "attachment", "Metadata": {"from": "here"}}
    configure(object_parameters=parameters, default_acl="private")
    page = page_of(client)
    upload = page.add(DATA, name="report.pdf")
    assert page.upload(upload).success
    theirs = storages["default"].save("theirs/report.pdf", ContentFile(DATA))

    def properties(name: str) -> dict[str, Any]:
        key = f"{getattr(storages['default'], 'location')}/{name}"  # noqa: B009
        head = seaweedfs.client.head_object(Bucket=BUCKET, Key=key)
        names = ("ContentLength", "ContentType", "CacheControl", "ContentDisposition", "Metadata")
        return {name: head.get(name) for name in names}

    ours = properties(row(upload.uuid).file)
    assert ours == properties(theirs)
    assert (ours["ContentType"], ours["Metadata"]) == ("application/pdf", {"from": "here"})


# What django-storages unpacks, it does not close.
@pytest.mark.usefixtures("garbage_collected")
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
@pytest.mark.parametrize("options", [{"gzip": True}, {"object_parameters": {"ChecksumAlgorithm": "SHA256"}}], ids=str)
def test_object_that_only_the_storage_can_make_goes_the_generic_way(
    client: Client, configure: Callable[..., None], options: dict[str, Any]
) -> None:
    configure(**options)
    page = uploader(client)
    upload = page.add(pattern(5000), name="a.css")
    assert page.upload(upload).success
    assert (row(upload.uuid).backend, content(upload.uuid)) == (S3MultipartBackend.fallback, pattern(5000))


def test_purge_aborts_what_expired_and_what_has_no_row(
    client: Client, objects: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(client)
    expired, orphan, alive = (page.add(DATA) for _ in range(3))
    for upload in (expired, orphan, alive):
        assert page.send_chunk(upload, 0).success
    purge(expired.uuid)
    UploadSession.objects.filter(uuid=orphan.uuid).delete()
    assert len(objects()) == 2
    call_command("purge_expired_uploads", "--orphans", verbosity=0)
    assert len(objects()) == 2
    monkeypatch.setattr("fineuploader_receiver.lifecycle.purge.ORPHAN_AGE", -MONTH)
    call_command("purge_expired_uploads", "--orphans", verbosity=0)
    assert len(objects()) == 1
    assert page.upload(alive).success
    assert content(alive.uuid) == DATA


def test_rows_without_an_object_are_deleted_and_purged_all_the_same(client: Client, seaweedfs: S3Server) -> None:
    page = page_of(client)
    finished, unfinished = page.add(DATA), page.add(DATA)
    assert page.upload(finished).success
    assert page.send_chunk(unfinished, 0).success
    drop_everything(seaweedfs)
    assert page.delete(finished.uuid).success
    purge(unfinished.uuid)
    assert UploadSession.objects.count() == 0


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=str)
def test_part_that_fails_is_told_and_the_clients_repeat_completes(
    client: Client, proxy: FaultProxy, fault: Fault, error: bytes, objects: Callable[[], set[str]]
) -> None:
    page = page_of(client)
    upload = page.add(DATA)
    proxy.go_wrong(fault, times=1, when=is_part, error=error)
    outcome = page.upload(upload)
    assert (outcome.success, outcome.response.get("code")) == (False, "storage_error")
    assert not outcome.prevent_retry
    assert page.upload(upload).success
    assert content(upload.uuid) == DATA
    assert objects() == {row(upload.uuid).file}


@pytest.mark.parametrize(("fault", "error"), [*FAULTS, ("200", INTERNAL)], ids=str)
@pytest.mark.parametrize("times", [1, 3])
def test_completion_that_fails_ends_in_the_exact_file(
    client: Client, proxy: FaultProxy, fault: Fault, error: bytes, times: int, objects: Callable[[], set[str]]
) -> None:
    page = page_of(client)
    upload = page.add(DATA)
    proxy.go_wrong(fault, times=times, when=is_completion, error=error)
    outcome = page.upload(upload)
    assert outcome.success or outcome.response.get("code") == "storage_error"
    assert page.upload(upload, attempts=3).success
    assert content(upload.uuid) == DATA
    assert objects() == {row(upload.uuid).file}


@pytest.mark.parametrize("times", [1, 2], ids=["as it arrives", "spooled"])
def test_part_that_changes_on_the_way_is_noticed(client: Client, proxy: FaultProxy, times: int) -> None:
    page = page_of(client)
    upload = page.add(DATA)
    proxy.go_wrong("corrupt", times=times, when=is_part)
    outcomes = [page.upload(upload) for _ in range(times + 1)]
    assert [outcome.response.get("code") for outcome in outcomes] == ["storage_error"] * times + [None]
    assert content(upload.uuid) == DATA


def test_store_that_stalls_fails_the_chunk_in_time(
    client: Client, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fineuploader_receiver.backends.s3_client.READ_TIMEOUT", 2)
    proxy.go_wrong("stall", times=1, when=is_part)
    page = page_of(client)
    upload = page.add(DATA)
    outcome = page.upload(upload)
    assert (outcome.success, outcome.response.get("code")) == (False, "storage_error")
    assert page.upload(upload).success
    assert content(upload.uuid) == DATA


def test_upload_that_the_store_dropped_starts_again(client: Client, seaweedfs: S3Server) -> None:
    page = page_of(client)
    upload = page.add(DATA)
    assert page.send_chunk(upload, 0).success
    upload.remaining = [1]
    drop_everything(seaweedfs)
    outcomes = [page.upload(upload) for _ in range(3)]
    assert outcomes[-1].success
    assert content(upload.uuid) == DATA


def test_object_that_another_process_has_just_completed_is_waited_for(
    seaweedfs: S3Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against giving up a good upload because its parts are gone and the object does not show yet."""
    backend = S3MultipartBackend(seaweedfs.storage(endpoint_url=f"http://127.0.0.1:{proxy.port}"))
    staging = begin(backend)
    chunks = put_pieces(backend, staging, range(len(pieces_for(backend))))
    name = assemble(backend, staging, chunks)
    looks: list[str] = []

    def late(client: S3Client, key: str) -> dict[str, Any] | None:
        looks.append(key)
        return head_object(client, key) if len(looks) > 2 else None

    monkeypatch.setattr(s3, "head_object", late)
    monkeypatch.setattr(s3, "PAUSES", (0.0,) * 4)
    proxy.go_wrong("404", times=1, when=is_completion, error=b"<Error><Code>NoSuchUpload</Code></Error>")
    assert assemble(backend, staging, chunks, name=name) == name
    assert len(looks) > 2
    with backend.open(name) as file:
        assert file.read() == whole(backend)


def test_nothing_that_is_said_or_logged_tells_the_secret(
    client: Client, configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    configure(secret_key=f"{SECRET_KEY}-but-wrong")
    page = page_of(client)
    outcome = page.upload(page.add(DATA))
    assert outcome.response["code"] == "storage_error"
    said = str(outcome.response) + caplog.text
    assert SECRET_KEY not in said
    assert ACCESS_KEY not in said


def test_deployment_check_is_silent_where_all_is_well_and_names_what_is_refused(
    configure: Callable[..., None], settings: Settings
) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"default": {"MAX_FILE_SIZE": MIB}}
    assert "W013" not in deployment_check()
    configure(secret_key="wrong")
    told = deployment_check()
    assert 'The bucket "uploads" did not let us begin a multipart upload' in told
    configure(bucket_name="missing")
    assert "NoSuchBucket" in deployment_check()


def test_settings_of_the_documentation_work(
    client: Client, seaweedfs: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    namespace: dict[str, Any] = {}
    exec(next(block.text for block in blocks_of("s3") if block.file == "mysite/settings.py"), namespace)
    settings.STORAGES = namespace["STORAGES"]
    page = page_of(client)
    upload = page.add(DATA)
    assert page.upload(upload).success
    assert (row(upload.uuid).backend, content(upload.uuid)) == (S3, DATA)


def deployment_check() -> str:
    output = StringIO()
    call_command("check", "--deploy", stdout=output, stderr=output)
    return output.getvalue()


def drop_everything(server: S3Server) -> None:
    """Let the store lose what the site has in it, finished or not."""
    prefix = f"{getattr(storages['default'], 'location')}/"  # noqa: B009
    for key in server.objects(prefix):
        server.client.delete_object(Bucket=BUCKET, Key=key)
    for upload in server.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ()):
        server.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
