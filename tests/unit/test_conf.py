"""Options: every one has a default, a rule, and a message that names it when the rule is broken."""

from __future__ import annotations

import dataclasses
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InMemoryStorage

from fineuploader_receiver import conf
from fineuploader_receiver.conf import OptionError, ReceiverOptions, load_options
from fineuploader_receiver.protocol.names import WIRE_NAMES
from fineuploader_receiver.receivers import Receiver, get_receiver, merged

DAY = datetime.timedelta(days=1)


def load(settings: Any, **options: Any) -> ReceiverOptions:
    settings.FINEUPLOADER_RECEIVERS = {"videos": options}
    return load_options("videos")


def test_defaults(settings: Any) -> None:
    del settings.FINEUPLOADER_RECEIVERS
    assert dataclasses.asdict(load_options("default")) == {
        "alias": "default",
        "receiver": "fineuploader_receiver.receivers.Receiver",
        "storage": "default",
        "backend": None,
        "staging_dir": None,
        "upload_to": "uploads/%Y/%m/%d/",
        "expire_after": 8 * DAY,
        "unclaimed_after": None,
        "max_file_size": None,
        "max_chunk_size": None,
        "max_chunks": 50_000,
        "allowed_extensions": None,
        "allowed_content_types": None,
        "validators": (),
        "max_active_uploads": None,
        "max_staged_bytes": None,
        "min_free_space": 64 * 2**20,
        "allow_anonymous": False,
        "done_request": None,
        "durability": "publish",
        "digest": None,
        "param_names": {},
    }


def test_every_option_has_a_rule() -> None:
    fields = {field.name.upper() for field in dataclasses.fields(ReceiverOptions)} - {"ALIAS"}
    assert set(conf._RULES) == fields


POSITIVE = ("MAX_FILE_SIZE", "MAX_CHUNK_SIZE", "MAX_CHUNKS", "MAX_ACTIVE_UPLOADS", "MAX_STAGED_BYTES")
NULLABLE = (
    "BACKEND",
    "STAGING_DIR",
    "UNCLAIMED_AFTER",
    "MAX_FILE_SIZE",
    "MAX_CHUNK_SIZE",
    "ALLOWED_EXTENSIONS",
    "ALLOWED_CONTENT_TYPES",
    "MAX_ACTIVE_UPLOADS",
    "MAX_STAGED_BYTES",
    "DONE_REQUEST",
    "DIGEST",
)
GOOD: list[tuple[str, Any]] = [
    ("RECEIVER", "a.B"),
    ("STORAGE", "videos"),
    ("BACKEND", "a.B"),
    ("STAGING_DIR", "/var/staging"),
    ("STAGING_DIR", Path("/var/staging")),
    ("UPLOAD_TO", ""),
    ("UPLOAD_TO", str.upper),
    ("EXPIRE_AFTER", datetime.timedelta(seconds=1)),
    ("UNCLAIMED_AFTER", DAY),
    *((name, 1) for name in POSITIVE),
    ("MIN_FREE_SPACE", 0),
    ("ALLOWED_EXTENSIONS", []),
    ("ALLOWED_EXTENSIONS", {"jpg"}),
    ("ALLOWED_CONTENT_TYPES", ("image/*",)),
    ("VALIDATORS", ["a.b", print]),
    ("ALLOW_ANONYMOUS", True),
    ("DONE_REQUEST", False),
    ("DURABILITY", "none"),
    ("DURABILITY", "chunk"),
    ("DIGEST", "sha256"),
    ("PARAM_NAMES", {"qquuid": "id"}),
    ("PARAM_NAMES", {name: f"x{name}" for name in WIRE_NAMES}),
    *((name, None) for name in NULLABLE),
]
BAD: list[tuple[str, Any]] = [
    ("RECEIVER", None),
    ("RECEIVER", ""),
    ("RECEIVER", Receiver),
    ("STORAGE", None),
    ("STORAGE", InMemoryStorage),
    ("BACKEND", ""),
    ("STAGING_DIR", ""),
    ("STAGING_DIR", 1),
    ("UPLOAD_TO", None),
    ("UPLOAD_TO", 1),
    ("EXPIRE_AFTER", None),
    ("EXPIRE_AFTER", 8),
    ("EXPIRE_AFTER", 0 * DAY),
    ("EXPIRE_AFTER", -DAY),
    ("UNCLAIMED_AFTER", 0 * DAY),
    ("UNCLAIMED_AFTER", 30),
    *((name, bad) for name in POSITIVE for bad in (0, -1, 1.5, True, "1")),
    ("MAX_CHUNKS", None),
    ("MIN_FREE_SPACE", None),
    ("MIN_FREE_SPACE", -1),
    ("MIN_FREE_SPACE", False),
    ("ALLOWED_EXTENSIONS", "jpg"),
    ("ALLOWED_EXTENSIONS", [""]),
    ("ALLOWED_EXTENSIONS", [1]),
    ("ALLOWED_CONTENT_TYPES", "image/png"),
    ("VALIDATORS", None),
    ("VALIDATORS", print),
    ("VALIDATORS", [1]),
    ("ALLOW_ANONYMOUS", None),
    ("ALLOW_ANONYMOUS", 1),
    ("DONE_REQUEST", "yes"),
    ("DURABILITY", None),
    ("DURABILITY", "always"),
    ("DIGEST", "crc32"),
    ("DIGEST", True),
    ("PARAM_NAMES", None),
    ("PARAM_NAMES", {"uuid": "id"}),
    ("PARAM_NAMES", {"qquuid": ""}),
    ("PARAM_NAMES", {"qquuid": 1}),
    ("PARAM_NAMES", {"qquuid": "same", "qqfile": "same"}),
    ("PARAM_NAMES", {"qquuid": "qqfile"}),
]


@pytest.mark.parametrize(("option", "value"), GOOD, ids=repr)
def test_value_that_an_option_takes(settings: Any, option: str, value: Any) -> None:
    load(settings, **{option: value})


@pytest.mark.parametrize(("option", "value"), BAD, ids=repr)
def test_value_that_an_option_does_not_take(settings: Any, option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f'FINEUPLOADER_RECEIVERS["videos"]["{option}"] must be ')):
        load(settings, **{option: value})


@pytest.mark.parametrize("option", ["MAX_SIZE", "max_file_size", "ALIAS", 5])
def test_option_that_there_is_not(settings: Any, option: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"videos": {option: 1}}
    with pytest.raises(OptionError, match="is not an option"):
        load_options("videos")


def test_values_are_brought_into_one_form(settings: Any) -> None:
    options = load(
        settings, ALLOWED_EXTENSIONS=[".JPG", "Png"], ALLOWED_CONTENT_TYPES=["Image/PNG"], STAGING_DIR=Path("/var/s")
    )
    found = (options.allowed_extensions, options.allowed_content_types, options.staging_dir)
    assert found == (("jpg", "png"), ("image/png",), "/var/s")


@pytest.mark.parametrize(
    "setting",
    [[], "default", {"videos": None}, {"videos": []}, {"": {}}, {"v" * 65: {}}, {5: {}}, {None: {}}],
    ids=repr,
)
def test_setting_that_cannot_be_used(settings: Any, setting: Any) -> None:
    """Guards against a check that breaks on the very setting it is to explain."""
    settings.FINEUPLOADER_RECEIVERS = setting
    with pytest.raises(ImproperlyConfigured, match="FINEUPLOADER_RECEIVERS"):
        list(map(load_options, conf.configured()))


def test_unknown_receiver(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"videos": {}}
    with pytest.raises(ImproperlyConfigured, match='no receiver "pictures"'):
        load_options("pictures")


def test_default_receiver_is_always_there(settings: Any) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"videos": {}}
    assert list(conf.configured()) == ["default", "videos"]
    settings.FINEUPLOADER_RECEIVERS = None
    assert list(conf.configured()) == ["default"]


@pytest.mark.parametrize(
    "path", ["nowhere.Receiver", "fineuploader_receiver.receivers.Nothing", "uuid.UUID", "uuid.uuid4"]
)
def test_receiver_that_is_none(settings: Any, path: str) -> None:
    settings.FINEUPLOADER_RECEIVERS = {"videos": {"RECEIVER": path}}
    with pytest.raises(OptionError, match=r'\["videos"\]\["RECEIVER"\]'):
        get_receiver("videos")


def test_receiver_follows_its_settings(settings: Any, tmp_path: Path) -> None:
    """Guards against tests that change a setting and meet the receiver of the test before."""
    settings.FINEUPLOADER_RECEIVERS = {"videos": {"MAX_CHUNKS": 1}}
    first = get_receiver("videos")
    assert get_receiver("videos") is first
    settings.FINEUPLOADER_RECEIVERS = {"videos": {"MAX_CHUNKS": 2}}
    assert get_receiver("videos").options.max_chunks == 2
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    assert isinstance(get_receiver("videos").storage, InMemoryStorage)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"a": 1, "b": {"c": 2, "d": {"e": 3}}}),
        ({"a": 9}, {"a": 9, "b": {"c": 2, "d": {"e": 3}}}),
        ({"b": {"d": {"f": 4}}}, {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}}),
        ({"b": None}, {"a": 1, "b": None}),
        ({"a": {"x": 1}}, {"a": {"x": 1}, "b": {"c": 2, "d": {"e": 3}}}),
    ],
)
def test_options_objects_are_merged_dictionary_by_dictionary(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    options = {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
    assert merged(options, changes) == expected
    assert options == {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
