"""Signals that only tell: whoever listens, and whatever they raise, nothing changes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.dispatch import Signal

from fineuploader_receiver import signals
from fineuploader_receiver.lifecycle import boot
from fineuploader_receiver.lifecycle.notify import notify
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.protocol.messages import Receipt
from unittools import DATA, Page, content


def test_receivers_are_told_with_the_model_as_sender() -> None:
    told: list[dict[str, Any]] = []

    def listen(**arguments: Any) -> None:
        told.append(arguments)

    signal = Signal()
    upload = UploadSession(uuid=uuid.uuid4())
    signal.connect(listen, sender=UploadSession)
    notify(signal, upload=upload, request="the request")
    assert told == [{"signal": signal, "sender": UploadSession, "upload": upload, "request": "the request"}]


def test_receiver_that_raises_is_logged_and_the_next_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def fail(**_: Any) -> None:
        raise RuntimeError("the mail server is away")

    def listen(**_: Any) -> None:
        told.append("told")

    signal = Signal()
    upload = UploadSession(uuid=uuid.uuid4())
    signal.connect(fail)
    signal.connect(listen)
    with caplog.at_level(logging.ERROR):
        notify(signal, upload=upload)
    assert told == ["told"]
    (record,) = (record for record in caplog.records if record.name == "fineuploader_receiver.lifecycle.notify")
    assert str(upload.uuid) in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["upload_started", "chunk_received"])
def test_upload_does_not_fail_over_a_receiver(page: Page, number: uuid.UUID, name: str) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the mail server is away")

    signal: Signal = getattr(signals, name)
    signal.connect(fail)
    try:
        assert page.simple(number) == Receipt(complete=True)
    finally:
        signal.disconnect(fail)
    assert content(number) == DATA


@pytest.fixture
def unknown_boot() -> Callable[[], str]:
    """The question which start of the machine this is, asked anew."""
    return boot.current_boot.__wrapped__


def test_boot_is_the_kernel_s_word(unknown_boot: Callable[[], str]) -> None:
    assert str(uuid.UUID(unknown_boot())) == boot.current_boot()


def test_boot_is_unknown_where_the_system_has_no_word(
    unknown_boot: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(boot, "_PATH", tmp_path / "nothing")
    assert unknown_boot() == ""
