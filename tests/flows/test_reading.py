"""The routes that only read: status, the initial list, and the options object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.template import Context, Template
from django.test import Client, RequestFactory

from fakeuploader import DjangoTransport, FakeUploader, WireRequest, WireResponse
from fineuploader_receiver.models import UploadSession
from flowtools import (
    UNKNOWN_UUID,
    answered,
    chunker,
    content,
    pattern,
    refused,
    row,
    strict_client,
    uploader,
)

NOT_FOUND = refused(404, "not_found", preventRetry=True)


def get(client: Client, path: str) -> WireResponse:
    return DjangoTransport(client).send(WireRequest(method="GET", url=path, headers=(("Accept", "application/json"),)))


def assert_private(answer: WireResponse) -> None:
    assert "no-store" in answer.headers["cache-control"]
    assert "cookie" in answer.headers["vary"].lower()
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


# Status


def status(client: Client, uuid: str) -> dict[str, Any]:
    answer = get(client, f"/uploads/{uuid}")
    assert answer.status == 200
    assert_private(answer)
    body: dict[str, Any] = answer.json()
    return body


def test_status_of_a_running_upload_says_what_is_there(client: Client) -> None:
    page = chunker(client)
    upload = page.add(pattern(65))
    for index in (0, 1, 3, 5, 6):
        page.send(page.chunk_request(upload, index))
    body = status(client, upload.uuid)
    expires = row(upload.uuid).expires_at
    assert expires is not None
    assert {key: body[key] for key in ("uuid", "state", "received", "bytes", "total")} == {
        "uuid": upload.uuid,
        "state": "receiving",
        "received": [[0, 1], [3, 3], [5, 6]],
        "bytes": 45,
        "total": 65,
    }
    assert body["expires"] is not None


def test_status_of_a_finished_upload_says_that_it_is_complete(client: Client) -> None:
    page = uploader(client)
    upload = page.add(pattern(65))
    page.upload(upload)
    body = status(client, upload.uuid)
    assert {key: body[key] for key in ("uuid", "state", "bytes", "total", "expires")} == {
        "uuid": upload.uuid,
        "state": "complete",
        "bytes": 65,
        "total": 65,
        "expires": None,
    }


def test_status_names_no_place_on_the_server(client: Client) -> None:
    page = uploader(client)
    upload = page.add(b"x")
    page.upload(upload)
    assert row(upload.uuid).file not in get(client, f"/uploads/{upload.uuid}").text


def test_status_of_an_unknown_or_foreign_upload_is_not_found(client: Client, other_client: Client) -> None:
    page = uploader(client)
    upload = page.add(b"x")
    page.upload(upload)
    foreign, unknown = (get(other_client, f"/uploads/{uuid}") for uuid in (upload.uuid, UNKNOWN_UUID))
    assert answered(foreign) == answered(unknown) == NOT_FOUND
    assert_private(foreign)


def test_status_of_a_malformed_uuid_is_refused(client: Client) -> None:
    assert answered(get(client, "/uploads/not-a-uuid"))["status"] in (400, 404)


def test_staff_have_no_extra_rights(client: Client, admin_user: Any) -> None:
    page = uploader(client)
    upload = page.add(b"x")
    page.upload(upload)
    admin = strict_client()
    admin.force_login(admin_user)
    boss = uploader(admin)
    assert answered(get(admin, f"/uploads/{upload.uuid}")) == NOT_FOUND
    assert boss.session() == []
    assert boss.delete(upload.uuid).success
    assert content(upload.uuid) == b"x"


# The initial list


def test_session_lists_finished_uploads_newest_first(client: Client) -> None:
    page = chunker(client)
    uploads = [page.add(pattern(size), name=f"{size}.txt") for size in (3, 4, 5)]
    for upload in uploads:
        page.upload(upload)
    page.send(page.chunk_request(page.add(pattern(25)), 0))
    newest_first = [{"uuid": upload.uuid, "name": upload.name, "size": upload.size} for upload in reversed(uploads)]
    items = page.session()
    assert [{key: item[key] for key in ("uuid", "name", "size")} for item in items] == newest_first
    assert_private(page.log[-1][1])
    assert isinstance(page.log[-1][1].json(), list)


def test_session_leaves_claimed_uploads_out(client: Client) -> None:
    page = uploader(client)
    kept, taken = page.add(b"a"), page.add(b"b")
    for upload in (kept, taken):
        page.upload(upload)
    row(taken.uuid).claim()
    assert [item["uuid"] for item in page.session()] == [kept.uuid]


def test_session_shows_nobody_else_s_uploads(client: Client, other_client: Client) -> None:
    uploader(client).upload(b"x")
    assert uploader(other_client).session() == []


def test_session_is_the_receiver_s_own(client: Client) -> None:
    uploader(client).upload(b"x")
    assert uploader(client, "/videos").session() == []


def test_session_items_all_have_names(client: Client) -> None:
    """Regression: the client drops an item without a name, and every item after it."""
    page = uploader(client)
    for name in ("", " ", "real.txt"):
        page.upload(page.add(b"x", name=name))
    assert len(page.session()) == 3


def test_session_stops_at_the_newest_1000(client: Client) -> None:
    page = uploader(client)
    page.upload(b"x")
    model = UploadSession.objects.get()
    UploadSession.objects.bulk_create(
        [_copy(model, f"00000000-0000-4000-8000-{number:012d}") for number in range(1000)]
    )
    assert len(page.session()) == 1000


def _copy(upload: UploadSession, uuid: str) -> UploadSession:
    values = {field.attname: getattr(upload, field.attname) for field in UploadSession._meta.concrete_fields}
    return UploadSession(**{**values, "id": None, "uuid": uuid})


def test_listed_file_can_be_deleted(client: Client) -> None:
    page = uploader(client)
    page.upload(b"x")
    [item] = page.session()
    assert page.delete(item["uuid"]).success
    assert page.session() == []


# The options object


def config(client: Client, prefix: str = "/uploads") -> dict[str, Any]:
    answer = get(client, f"{prefix}/config")
    assert answer.status == 200
    assert_private(answer)
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("prefix", ["/uploads", "/videos"])
def test_page_built_on_the_generated_options_works_as_it_is(client: Client, prefix: str) -> None:
    client.cookies.clear()
    client.force_login(_owner())
    page = FakeUploader.from_page(DjangoTransport(client), config(client, prefix), chunking=True, part_size=10)
    small, large = page.add(b"small"), page.add(pattern(65))
    assert page.upload(small).success
    assert page.upload(large).success
    assert [content(upload.uuid) for upload in (small, large)] == [b"small", pattern(65)]
    assert {item["uuid"] for item in page.session()} == {small.uuid, large.uuid}
    assert page.delete(small.uuid).success
    assert [item["uuid"] for item in page.session()] == [large.uuid]
    assert {request.path.split("/")[1] for request, _ in page.log} == {prefix.strip("/")}


def _owner() -> Any:
    return get_user_model().objects.get(username="anna")


def test_generated_marker_is_not_a_param(client: Client) -> None:
    page = FakeUploader.from_page(DjangoTransport(client), config(client), chunking=True, part_size=10)
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert row(upload.uuid).params == {}


def test_generated_options_follow_the_renamed_parameters(client: Client, settings: Any) -> None:
    names = {"qquuid": "id", "qqpartindex": "part", "qqfile": "upload", "qqtotalfilesize": "size"}
    settings.FINEUPLOADER_RECEIVERS = {"default": {"PARAM_NAMES": names}, "videos": {}}
    page = FakeUploader.from_page(DjangoTransport(client), config(client), chunking=True, part_size=10)
    assert (page.names.uuid, page.names.index, page.names.file, page.names.total_size) == tuple(names.values())
    upload = page.add(pattern(25))
    assert page.upload(upload).success
    assert content(upload.uuid) == pattern(25)


def test_template_tag_and_config_route_give_the_same_options(client: Client) -> None:
    request = RequestFactory().get("/")
    request.COOKIES["csrftoken"] = client.cookies["csrftoken"].value
    request.user = _owner()
    request.session = client.session
    html = Template("{% load fineuploader %}{% fineuploader_options %}").render(Context({"request": request}))
    opening, _, rest = html.strip().partition(">")
    assert set(opening.split()) == {"<script", 'type="application/json"', 'id="fineuploader-options"'}
    options = json.loads(rest.removesuffix("</script>"))
    assert _without_tokens(options) == _without_tokens(config(client))


def _without_tokens(options: dict[str, Any]) -> dict[str, Any]:
    """Django masks the token anew each time."""
    for part in ("request", "deleteFile", "session"):
        headers = options.get(part, {}).get("customHeaders", {})
        options[part] = {**options.get(part, {}), "customHeaders": sorted(name.lower() for name in headers)}
    return options


@pytest.mark.parametrize("path", ["session", "config", UNKNOWN_UUID])
def test_reading_needs_a_login(stranger: Client, path: str) -> None:
    assert answered(get(stranger, f"/uploads/{path}")) == refused(403, "login_required")
