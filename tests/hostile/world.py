"""What must be true after every hostile request, whatever it tried."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

import fineuploader_receiver
from fakeuploader import DjangoTransport, WireRequest, WireResponse
from fineuploader_receiver.exceptions import BY_CODE
from fineuploader_receiver.models import UploadSession, UploadTombstone

OWN_PLACES = ("media/uploads/", "media/.fineuploader/")
REFUSAL_KEYS = {"success", "error", "code", "preventRetry", "reset", "uuid"}
RECEIPT_KEYS = {"success", "uuid", "complete"}
LEAKS = re.compile(rb"Traceback|File \"|site-packages|<html|<!doctype|Error at /|\.py\b|SELECT |INSERT |django\.", re.I)
PLACES = (Path(fineuploader_receiver.__file__).parent, Path(sys.prefix))

Rows = dict[tuple[str, Any], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Every file and every row there is."""

    files: dict[str, bytes]
    rows: Rows

    def without(self, owner_key: str) -> Snapshot:
        """What one owner cannot change: files elsewhere, and the rows of everybody else."""
        mine = {pk for (_, pk), row in self.rows.items() if row.get("owner_key") == owner_key}
        rows = {
            key: row
            for key, row in self.rows.items()
            if row.get("owner_key") != owner_key and row.get("session_id") not in mine
        }
        return Snapshot(self.files, rows)


class World:
    """A site with other people's uploads in it, and one attacker with a login."""

    def __init__(self, folder: Path, client: Client, owner_key: str) -> None:
        self.folder = folder
        self.transport = DjangoTransport(client)
        self.owner_key = owner_key
        self.before = self.look()

    def look(self) -> Snapshot:
        files = {str(path.relative_to(self.folder)): path.read_bytes() for path in _files(self.folder)}
        rows: Rows = {}
        for model in _models():
            rows |= {
                (model._meta.label, row["pk"]): row for row in model._default_manager.values("pk", *_columns(model))
            }
        return Snapshot(files, rows)

    def attack(self, requests: Mapping[str, WireRequest]) -> dict[str, list[str]]:
        """Send each request, and return what was wrong with which."""
        problems = {}
        for name, request in requests.items():
            if found := self.problems_of(request):
                problems[name] = found
        return problems

    def problems_of(self, request: WireRequest) -> list[str]:
        answer = self.transport.send(request)
        after = self.look()
        found = [*shape_problems(answer), *leak_problems(answer, self.folder), *self._damage(answer, after)]
        if after != self.before:
            self._restore()
        return found

    def _damage(self, answer: WireResponse, after: Snapshot) -> list[str]:
        if not 200 <= answer.status < 300 and not _is_reset(answer):
            return (
                []
                if after == self.before
                else [f"{answer.status} and something changed: {_difference(self.before, after)}"]
            )
        foreign, before = after.without(self.owner_key), self.before.without(self.owner_key)
        old = {name: foreign.files.get(name) for name in before.files}
        new = [name for name in foreign.files if name not in before.files and not name.startswith(OWN_PLACES)]
        problems = [f"a file outside: {name}" for name in new]
        if foreign.rows != before.rows:
            problems.append(f"other rows changed: {_difference(before, foreign)}")
        if old != before.files:
            problems.append("a file of others changed")
        return problems

    def _restore(self) -> None:
        """Take away what the attacker's own upload left."""
        UploadSession.objects.filter(owner_key=self.owner_key).delete()
        UploadTombstone.objects.filter(owner_key=self.owner_key).delete()
        for path in _files(self.folder):
            if str(path.relative_to(self.folder)) not in self.before.files:
                path.unlink()
        assert self.look() == self.before


def _models() -> list[Any]:
    own = list(apps.get_app_config("fineuploader_receiver").get_models())
    return [*own, Session, get_user_model()]


def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name)


def _difference(before: Snapshot, after: Snapshot) -> str:
    files = before.files.keys() ^ after.files.keys()
    rows = [key for key in before.rows.keys() | after.rows.keys() if before.rows.get(key) != after.rows.get(key)]
    return f"files {sorted(files)}, rows {rows}"


def _is_reset(answer: WireResponse) -> bool:
    return b'"reset":true' in answer.body


def shape_problems(answer: WireResponse) -> list[str]:
    """What is not as the protocol has it: no 5xx, JSON, a boolean `success`, a known code with its own status."""
    if answer.status >= 500:
        return [f"{answer.status} {answer.text[:200]}"]
    if answer.status == 204 and not answer.body:
        return []
    problems = []
    if answer.headers.get("x-content-type-options") != "nosniff":
        problems.append("no nosniff")
    if answer.headers.get("content-type", "").partition(";")[0] not in ("text/plain", "application/json"):
        problems.append(f"{answer.status} of type {answer.headers.get('content-type')}")
    try:
        return problems + _body_problems(answer.status, json.loads(answer.body))
    except ValueError:
        return [*problems, f"{answer.status} and no JSON: {answer.body[:100]!r}"]


def _body_problems(status: int, body: Any) -> list[str]:
    if isinstance(body, list) and status == 200:
        return []
    if not isinstance(body, dict):
        return [f"JSON that is {type(body)}"]
    if body.get("success") is False:
        error = BY_CODE.get(body.get("code", ""))
        if error is None or error.status != status:
            return [f"{status} with code {body.get('code')}"]
        well = isinstance(body["error"], str) and body["error"] and set(body) <= REFUSAL_KEYS
        return [] if well else [f"a refusal of another shape: {body}"]
    if status != 200:
        return [f"{status} with {body}"]
    known = set(body) <= RECEIPT_KEYS or "request" in body or "state" in body
    return [] if known else [f"an answer of another shape: {body}"]


def leak_problems(answer: WireResponse, *places: Path) -> list[str]:
    """What tells a stranger about the server."""
    text = answer.body + "".join(f"{name}: {value}\n" for name, value in answer.headers.items()).encode()
    found = [f"tells of {place}" for place in (*PLACES, *places) if str(place).encode() in text]
    return found + [f"tells {match[0]!r}" for match in [LEAKS.search(answer.body)] if match]
