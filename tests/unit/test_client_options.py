"""The generated options: they agree with the receiver, and a page can use them as they are."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import NoReverseMatch, include, path, resolve, set_script_prefix

from fineuploader_receiver.client_options import client_options, part_size
from fineuploader_receiver.owners import SESSION_KEY
from fineuploader_receiver.receivers import get_receiver
from fineuploader_receiver.urls import receiver_urls

Options = Callable[..., None]
MIB = 2**20
DAY = datetime.timedelta(days=1)

renamed = [path("files/", include(receiver_urls("videos")))]
nested = [path("shop/", include(([path("uploads/", include("fineuploader_receiver.urls"))], "shop")))]
aliased = [path("inbox/", include(receiver_urls("default")))]


@pytest.fixture(autouse=True)
def receivers(options: Options) -> None:
    options("default")
    options("videos")


def request(address: str = "/page/", **environment: Any) -> HttpRequest:
    return RequestFactory().get(address, **environment)


def made(alias: str = "default", page: HttpRequest | None = None) -> dict[str, Any]:
    return client_options(get_receiver(alias), page or request())


def test_options_by_default() -> None:
    page = request()
    token = {"X-CSRFTOKEN": get_token(page)}
    found = made(page=page)
    headers = [found["request"].pop("customHeaders"), found["deleteFile"].pop("customHeaders")]
    assert [list(header) for header in headers] == [["X-CSRFTOKEN"]] * 2
    assert all(len(header["X-CSRFTOKEN"]) == len(token["X-CSRFTOKEN"]) for header in headers)
    assert found == {
        "request": {"endpoint": "/uploads/", "params": {"qqdonerequest": "true"}},
        "chunking": {
            "enabled": True,
            "partSize": 5 * MIB,
            "concurrent": {"enabled": True},
            "success": {"endpoint": "/uploads/done"},
        },
        "resume": {"enabled": True, "recordsExpireIn": 7},
        "retry": {"enableAuto": True},
        "deleteFile": {"enabled": True, "endpoint": "/uploads/"},
        "session": {"endpoint": "/uploads/session"},
        "validation": {"allowEmpty": True},
    }


def test_header_has_the_site_s_own_name(settings: Any) -> None:
    settings.CSRF_HEADER_NAME = "HTTP_X_MY_TOKEN"
    assert list(made()["request"]["customHeaders"]) == ["X-MY-TOKEN"]


def test_limits_of_the_receiver(options: Options) -> None:
    options(MAX_FILE_SIZE=10 * MIB, ALLOWED_EXTENSIONS=[".JPG", "png"], ALLOWED_CONTENT_TYPES=["image/*"])
    assert made()["validation"] == {
        "allowEmpty": True,
        "sizeLimit": 10 * MIB,
        "allowedExtensions": ["jpg", "png"],
        "acceptFiles": "image/*",
    }


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 5 * MIB),
        ({"MAX_FILE_SIZE": MIB}, 5 * MIB),
        ({"MAX_FILE_SIZE": 5 * MIB * 50_000}, 5 * MIB),
        ({"MAX_FILE_SIZE": 5 * MIB * 50_000 + 1}, 5 * MIB + 1),
        ({"MAX_FILE_SIZE": 1000 * MIB, "MAX_CHUNKS": 10}, 100 * MIB),
        ({"MAX_CHUNK_SIZE": MIB}, MIB),
        ({"MAX_CHUNK_SIZE": 100 * MIB}, 5 * MIB),
        ({"MAX_FILE_SIZE": 1000 * MIB, "MAX_CHUNKS": 10, "MAX_CHUNK_SIZE": 20 * MIB}, 20 * MIB),
    ],
    ids=str,
)
def test_part_size_keeps_within_the_limits(options: Options, limits: dict[str, int], expected: int) -> None:
    options(**limits)
    assert part_size(get_receiver("default")) == expected


def test_part_size_is_enough_for_a_store_that_takes_few_parts(options: Options) -> None:
    options(BACKEND="backends_for_tests.NamedBackend", MAX_FILE_SIZE=100 * MIB)
    assert part_size(get_receiver("default")) == 25 * MIB


@pytest.mark.parametrize(
    ("expire_after", "expected"),
    [
        (8 * DAY, {"enabled": True, "recordsExpireIn": 7}),
        (30 * DAY, {"enabled": True, "recordsExpireIn": 7}),
        (7 * DAY, {"enabled": True, "recordsExpireIn": 6}),
        (1.5 * DAY, {"enabled": True, "recordsExpireIn": 1}),
        (1.4 * DAY, {"enabled": False}),
        (DAY / 24, {"enabled": False}),
    ],
    ids=str,
)
def test_page_forgets_before_the_server_does(
    options: Options, expire_after: datetime.timedelta, expected: dict[str, Any]
) -> None:
    options(EXPIRE_AFTER=expire_after)
    assert made()["resume"] == expected


def test_names_that_the_site_has_given(options: Options) -> None:
    names = ("uuid", "filename", "totalfilesize", "file", "partindex", "partbyteoffset", "chunksize", "totalparts")
    options(PARAM_NAMES={f"qq{name}": f"my_{name}" for name in (*names, "resume")})
    found = made()
    assert {key: found["request"][key] for key in ("uuidName", "filenameParam", "totalFileSizeName", "inputName")} == {
        "uuidName": "my_uuid",
        "filenameParam": "my_filename",
        "totalFileSizeName": "my_totalfilesize",
        "inputName": "my_file",
    }
    assert found["chunking"]["paramNames"] == {
        "partIndex": "my_partindex",
        "partByteOffset": "my_partbyteoffset",
        "chunkSize": "my_chunksize",
        "totalParts": "my_totalparts",
    }
    assert found["resume"]["paramNames"] == {"resuming": "my_resume"}


def test_receiver_has_the_last_word(options: Options) -> None:
    options(RECEIVER="receivers_for_tests.DescribingReceiver")
    found = made()
    assert found["maxConnections"] == 5
    assert found["request"]["params"] == {"qqdonerequest": "true", "page": "mine"}
    assert found["request"]["endpoint"] == "/uploads/"


# Addresses.


def endpoints(alias: str = "default", page: HttpRequest | None = None) -> list[str]:
    found = made(alias, page)
    return [
        found["request"]["endpoint"],
        found["chunking"]["success"]["endpoint"],
        found["deleteFile"]["endpoint"],
        found["session"]["endpoint"],
    ]


def below(prefix: str) -> list[str]:
    return [prefix, f"{prefix}done", prefix, f"{prefix}session"]


def test_addresses_of_receivers() -> None:
    assert endpoints() == below("/uploads/")
    assert endpoints("videos") == below("/videos/")


def test_addresses_below_a_script_name() -> None:
    set_script_prefix("/site/")
    try:
        assert endpoints() == below("/site/uploads/")
    finally:
        set_script_prefix("/")


@pytest.mark.parametrize(
    ("urlconf", "alias", "expected"),
    [
        (renamed, "videos", "/files/"),
        (aliased, "default", "/inbox/"),
    ],
)
def test_addresses_wherever_the_site_has_put_them(settings: Any, urlconf: list[Any], alias: str, expected: str) -> None:
    settings.ROOT_URLCONF = tuple(urlconf)
    assert endpoints(alias) == below(expected)


def test_addresses_inside_another_namespace(settings: Any) -> None:
    settings.ROOT_URLCONF = tuple(nested)
    page = request("/shop/uploads/config")
    page.resolver_match = resolve("/shop/uploads/config")
    assert endpoints(page=page) == below("/shop/uploads/")


def test_receiver_without_addresses_is_told(settings: Any) -> None:
    settings.ROOT_URLCONF = tuple(renamed)
    with pytest.raises(NoReverseMatch, match='"default"'):
        made()


# Anonymous visitors.


@pytest.mark.django_db
def test_visitor_gets_a_key_where_anonymous_uploads_are_allowed(options: Options) -> None:
    options(ALLOW_ANONYMOUS=True)
    page = request()
    page.session = SessionStore()
    made(page=page)
    key = page.session[SESSION_KEY]
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    made(page=page)
    assert page.session[SESSION_KEY] == key


@pytest.mark.django_db
def test_visitor_gets_no_key_elsewhere() -> None:
    page = request()
    page.session = SessionStore()
    made(page=page)
    assert SESSION_KEY not in page.session


def test_page_without_sessions_gets_its_options_all_the_same(options: Options) -> None:
    options(ALLOW_ANONYMOUS=True)
    assert made()["request"]["endpoint"] == "/uploads/"


# The template tag.


def rendered(source: str, **context: Any) -> str:
    return Template("{% load fineuploader %}" + source).render(Context({"request": request(), **context}))


@pytest.mark.parametrize(
    ("source", "element", "endpoint"),
    [
        ("{% fineuploader_options %}", "fineuploader-options", "/uploads/"),
        ('{% fineuploader_options "default" %}', "fineuploader-options", "/uploads/"),
        ('{% fineuploader_options "videos" %}', "fineuploader-options-videos", "/videos/"),
        ("{% fineuploader_options alias %}", "fineuploader-options-videos", "/videos/"),
    ],
)
def test_tag_is_a_script_element_with_the_options(source: str, element: str, endpoint: str) -> None:
    text = rendered(source, alias="videos")
    match = re.fullmatch(rf'<script id="{element}" type="application/json">(.*)</script>', text)
    assert match is not None
    found = json.loads(match[1])
    assert found["request"]["endpoint"] == endpoint
    assert len(found["request"]["customHeaders"]["X-CSRFTOKEN"]) == 64


def test_tag_cannot_be_broken_out_of(options: Options) -> None:
    options(ALLOWED_EXTENSIONS=["</script><script>alert(1)</script>"])
    text = rendered("{% fineuploader_options %}")
    assert text.count("<script") == 1
    assert text.count("</script>") == 1
