"""The admin: uploads can be looked at and found, and nothing can be changed."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.contrib.admin import site
from django.test import Client
from django.utils import timezone

from fineuploader_receiver.admin import UploadSessionAdmin
from fineuploader_receiver.models import UploadSession
from unittools import Page, row

pytestmark = pytest.mark.django_db

LIST = "/admin/fineuploader_receiver/uploadsession/"


@pytest.fixture
def uploads(page: Page, other_page: Page) -> list[uuid.UUID]:
    """One upload that is complete, one that is half here, and one that never said how large it is."""
    numbers = [uuid.uuid4() for _ in range(3)]
    page.chunks(numbers[0], 0, 1, 2, filename="whole.txt", params={"album": "holidays"})
    page.chunks(numbers[1], 0, filename="half <b>.txt")
    other_page.chunk(numbers[2], 0, filename="other.txt", total_size=None)
    return numbers


def test_list_shows_state_progress_and_age(admin_client: Client, uploads: list[uuid.UUID]) -> None:
    text = admin_client.get(LIST).content.decode()
    for words in (
        "whole.txt",
        "half &lt;b&gt;.txt",
        "other.txt",
        "100 %",
        "40 %",
        "?",
        "complete",
        "receiving",
        "anna",
    ):
        assert words in text


@pytest.mark.parametrize("state", UploadSession.State.values)
def test_list_is_filtered_by_state(admin_client: Client, uploads: list[uuid.UUID], state: str) -> None:
    text = admin_client.get(LIST, {"state__exact": state}).content.decode()
    assert ("whole.txt" in text, "other.txt" in text) == (state == "complete", state == "receiving")


def test_list_is_filtered_by_receiver_and_date(admin_client: Client, uploads: list[uuid.UUID]) -> None:
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).isoformat()
    found = admin_client.get(LIST, {"receiver": "default", "created_at__lt": tomorrow}).content.decode()
    assert "whole.txt" in found
    assert "whole.txt" not in admin_client.get(LIST, {"receiver": "videos"}).content.decode()
    assert "whole.txt" not in admin_client.get(LIST, {"created_at__gte": tomorrow}).content.decode()


def test_list_asks_the_database_for_no_time_zones() -> None:
    """Guards against a list that MariaDB cannot show before its time zone tables have been loaded."""
    assert UploadSessionAdmin.date_hierarchy is None


@pytest.mark.parametrize("search", ["whole", "WHOLE.TXT", "uuid", "UUID"])
def test_upload_is_found_by_its_name_and_its_uuid(admin_client: Client, uploads: list[uuid.UUID], search: str) -> None:
    text = {"uuid": str(uploads[0]), "UUID": str(uploads[0]).upper()}.get(search, search)
    found = admin_client.get(LIST, {"q": text}).content.decode()
    assert "whole.txt" in found
    assert "other.txt" not in found


@pytest.mark.parametrize("search", ["nothing", "0f8fad5b", "'; --", "%", "a" * 2000])
def test_search_for_what_is_not_there_finds_nothing(
    admin_client: Client, uploads: list[uuid.UUID], search: str
) -> None:
    response = admin_client.get(LIST, {"q": search})
    assert response.status_code == 200
    assert "whole.txt" not in response.content.decode()


def test_page_of_one_upload_shows_its_facts_and_changes_none(admin_client: Client, uploads: list[uuid.UUID]) -> None:
    upload = row(uploads[0])
    address = f"{LIST}{upload.pk}/change/"
    text = admin_client.get(address).content.decode()
    for words in (str(upload.uuid), upload.file, "holidays", "100 %"):
        assert words in text
    assert 'name="_save"' not in text
    assert admin_client.post(address, {"filename": "changed", "state": "removing"}).status_code == 403
    assert row(uploads[0]).filename == "whole.txt"


@pytest.mark.parametrize("what", ["add", "delete", "delete_selected"])
def test_nothing_is_added_or_deleted(admin_client: Client, uploads: list[uuid.UUID], what: str) -> None:
    pk = row(uploads[0]).pk
    if what == "add":
        assert admin_client.post(f"{LIST}add/", {"uuid": uuid.uuid4()}).status_code == 403
    elif what == "delete":
        assert admin_client.post(f"{LIST}{pk}/delete/", {"post": "yes"}).status_code == 403
    else:
        admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert UploadSession.objects.count() == 3


def test_person_without_permission_sees_nothing(client: Client, user: Any, uploads: list[uuid.UUID]) -> None:
    user.is_staff = True
    user.save()
    client.force_login(user)
    assert client.get(LIST).status_code == 403


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": "complete", "total_size": 0, "received_bytes": 0}, "100 %"),
        ({"total_size": None, "received_bytes": 7}, "?"),
        ({"total_size": 0, "received_bytes": 0}, "?"),
        ({"total_size": 3, "received_bytes": 2}, "66 %"),
    ],
)
def test_progress(fields: dict[str, Any], expected: str) -> None:
    admin = UploadSessionAdmin(UploadSession, site)
    assert admin.progress(UploadSession(**fields)) == expected


@pytest.mark.parametrize("use_tz", [True, False])
def test_age(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ = use_tz
    upload = UploadSession(created_at=timezone.now() - datetime.timedelta(hours=3, seconds=5))
    assert UploadSessionAdmin(UploadSession, site).age(upload) == "3\xa0hours"
