"""Whatever a request is called: one record of the log stays one record, and no terminal obeys it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.test import Client

from fakeuploader import DjangoTransport
from fineuploader_receiver.logs import get_logger
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.receivers import Receiver
from hostile.aim import ENCODERS, changed, chunk_params, request, simple_params, urlencoded
from hostile.values import ESCAPE, FORGED
from hostile.world import World

BEGINNING = "WRITTEN "
EVIL = b"a\n" + FORGED + b"\r" + FORGED + "\u2028\x85".encode() + ESCAPE + b"\x9b\x00.txt"


@pytest.fixture
def log() -> Iterator[StringIO]:
    """Everything that is logged, as a plain formatter writes it."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(f"{BEGINNING}%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    old = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(old)


def forged_lines(text: str) -> list[str]:
    """Lines that begin like a record of their own, or hold what a terminal would obey."""
    lines = [line for line in text.split("\n") if line]
    controls = [line for line in lines if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)]
    return controls + [line for line in text.splitlines() if line.strip() and not line.startswith((BEGINNING, "    "))]


class QuotingReceiver(Receiver):
    """Fails in each hook with the name in its words, as a site's own code does."""

    failing = ""

    def has_permission(self, request: HttpRequest, action: str, upload: UploadSession | None) -> bool:
        return self._quote("has_permission", upload) or super().has_permission(request, action, upload)

    def upload_to(self, upload: UploadSession, filename: str) -> str:
        self._quote("upload_to", upload)
        folder = f"../{upload.filename}" if self.failing == "a folder" else upload.params.get("album", "x")
        return f"{folder}/{filename}"

    def validate(self, upload: UploadSession, file: Any) -> None:
        self._quote("validate", upload)
        if self.failing == "a refusal":
            raise ValidationError(upload.filename)

    def completed(self, upload: UploadSession, request: HttpRequest | None) -> None:
        self._quote("completed", upload)
        if self.failing == "a database":
            UploadSession.objects.create(uuid=upload.uuid, owner_key=upload.owner_key, receiver=upload.receiver)

    def _quote(self, hook: str, upload: UploadSession | None) -> bool:
        if self.failing == hook and upload is not None:
            raise RuntimeError(f"{upload.filename} {upload.params}")
        return False


HOOKS = ("has_permission", "upload_to", "a folder", "validate", "a refusal", "completed", "a database")


@pytest.mark.parametrize("failing", HOOKS)
def test_error_that_quotes_a_name_stays_one_record(
    client: Client, settings: Any, log: StringIO, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Regression: a line break in a file name began a new line of the log where an error quoted the name."""
    settings.FINEUPLOADER_RECEIVERS = {"default": {"RECEIVER": "hostile.test_logs.QuotingReceiver"}, "videos": {}}
    # The suite's modules are imported by path; the site imports this one by name.
    from hostile import test_logs

    monkeypatch.setattr(test_logs.QuotingReceiver, "failing", failing)
    params = [*changed(simple_params(), b"qqfilename", EVIL), (b"album", b"x"), (b"note", EVIL)]
    answer = DjangoTransport(client).send(ENCODERS["form"](params))
    assert answer.json()["success"] is False
    assert "WARNING" in log.getvalue() or "ERROR" in log.getvalue()
    assert forged_lines(log.getvalue()) == []


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("parameter", [b"qquuid", b"qqfilename", b"qqtotalparts", b"_method"], ids=bytes.decode)
def test_parameter_cannot_forge_a_record(world: World, log: StringIO, encoding: str, parameter: bytes) -> None:
    params = [*changed(chunk_params(), parameter, EVIL), (EVIL, EVIL)]
    if parameter not in dict(params):
        params.append((parameter, EVIL))
    world.problems_of(ENCODERS[encoding](params))
    assert forged_lines(log.getvalue()) == []


def test_address_and_headers_cannot_forge_a_record(world: World, log: StringIO) -> None:
    for method in ("GET", "DELETE", "POST"):
        for path in ("/uploads/", "/uploads/a/", "/uploads/done/"):
            world.problems_of(request(method, path + urlencoded([(EVIL, b"")])))
    for header in ("Origin", "Referer", "X-CSRFToken", "Cookie", "X-Mime-Type", "Accept"):
        world.problems_of(ENCODERS["raw"](chunk_params()).with_header(header, EVIL.decode("latin-1")))
    assert log.getvalue()
    assert forged_lines(log.getvalue()) == []


def test_record_is_escaped_and_its_traceback_indented(log: StringIO) -> None:
    logger = get_logger("hostile.example")
    try:
        raise ValueError("first\nsecond\x1b[0m")
    except ValueError as error:
        logger.warning("It failed: %s", error, exc_info=True)
    lines = log.getvalue().splitlines()
    assert lines[0] == f"{BEGINNING}WARNING hostile.example It failed: first\\nsecond\\x1b[0m"
    assert lines[-2:] == ["    ValueError: first", "    second\\x1b[0m"]


def test_record_without_control_characters_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Report services group records by their message before its arguments."""
    get_logger("hostile.example").warning("It failed: %s", "quietly")
    (record,) = caplog.records
    assert (record.msg, record.args) == ("It failed: %s", ("quietly",))
