"""The example project as a person runs it: its own set-up and server, in processes of their own, in a new folder."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

from fakeuploader import FakeUploader, SocketTransport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

PROJECT = Path(__file__).resolve().parent.parent / "example_project"
PASSWORDS = {"alice": "alice-demo", "bob": "bob-demo", "admin": "admin-demo"}
ADDRESS = re.compile(r"server at (http://127\.0\.0\.1:\d+)/")
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
OPTIONS = re.compile(r'<script[^>]*id="fineuploader-options[\w-]*"[^>]*>(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Project:
    """The example project with its data in one folder, and the client's npm package in another."""

    folder: Path
    client: Path

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the project's commands to its end; a failure raises, with what it wrote."""
        done = subprocess.run(
            self._command(*arguments), env=self._environment(), capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise AssertionError(f"{arguments} failed: {done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Run the development server on a free port until the block ends, and yield its address."""
        command = self._command("runserver", "--noreload", "127.0.0.1:0")
        log = self.folder / "server.log"
        with (
            log.open("wb") as errors,
            subprocess.Popen(command, env=self._environment(), stdout=subprocess.PIPE, stderr=errors, text=True) as run,
        ):
            assert run.stdout is not None
            try:
                found = next(filter(None, map(ADDRESS.search, run.stdout)), None)
                assert found, f"the server did not start: {log.read_text()}"
                yield found[1]
            finally:
                run.terminate()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(PROJECT / "manage.py"), *arguments]

    def _environment(self) -> dict[str, str]:
        """Let the project import itself, and the very package that the tests import."""
        spec = importlib.util.find_spec("fineuploader_receiver")
        assert spec is not None
        assert spec.origin is not None
        unwanted = ("DJANGO_SETTINGS_MODULE", "PYTHONSAFEPATH")
        return {
            **{name: value for name, value in os.environ.items() if name not in unwanted},
            "EXAMPLE_DATA_DIR": str(self.folder),
            "FINE_UPLOADER_DIR": str(self.client),
            "PYTHONPATH": str(Path(spec.origin).parent.parent),
            "PYTHONUNBUFFERED": "1",
        }


class NoRedirects(HTTPRedirectHandler):
    """Hands a redirect to the caller as the answer that it is."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the site answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body of a page."""
        return self.body.decode()


@dataclass(frozen=True)
class Visitor:
    """Somebody with cookies of their own."""

    url: str
    cookies: CookieJar = field(default_factory=CookieJar)

    def request(self, path: str, form: dict[str, str] | None = None, *, method: str | None = None) -> Answer:
        """Ask for a page, or post a form; redirects are not followed."""
        opener = build_opener(HTTPCookieProcessor(self.cookies), NoRedirects)
        request = Request(self.url + path, urlencode(form).encode() if form is not None else None, method=method)
        try:
            response = opener.open(request, timeout=30)
        except HTTPError as error:
            response = error
        with response:
            return Answer(status=response.status, headers=response.headers, body=response.read())

    def log_in(self, name: str) -> None:
        """Sign in with the form of the login page."""
        (token,) = TOKEN.findall(self.request("/login/").text)
        form = {"username": name, "password": PASSWORDS[name], "csrfmiddlewaretoken": token}
        assert self.request("/login/", form).status == 302

    def options(self, page: str = "/") -> dict[str, Any]:
        """Return the options that an upload page gives to the client."""
        (options,) = OPTIONS.findall(self.request(page).text)
        return dict(json.loads(options))

    def uploader(self, page: str = "/", **changes: Any) -> FakeUploader:
        """Return a client as an upload page starts it."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        options = self.options(page)
        cookies = {cookie.name: cookie.value or "" for cookie in self.cookies}
        return FakeUploader.from_page(SocketTransport(parts.hostname, parts.port, cookies=cookies), options, **changes)

    def downloads(self) -> dict[str, str]:
        """Return the names in "My files" with the addresses that their links lead to."""
        found = re.findall(r'<a class="name" href="([^"]+)" title="([^"]*)">', self.request("/files/").text)
        return {name: path for path, name in found}


def visit(url: str, name: str) -> Visitor:
    """Return somebody who is signed in."""
    visitor = Visitor(url)
    visitor.log_in(name)
    return visitor
