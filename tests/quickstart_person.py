"""Somebody who opens the quickstart's page and uploads a file in two chunks, as the page's options say.

Runs as a script in the folder of that site, and prints what was seen.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from typing import Any

import django


def main() -> dict[str, Any]:
    from django.contrib.staticfiles import finders
    from django.test import Client

    client = Client(enforce_csrf_checks=True, headers={"host": "127.0.0.1:8000"})
    stranger_is_sent_to = client.get("/").headers["Location"]
    client.login(username="anna", password="secret")
    page = client.get("/").content.decode()
    options = json.loads(found(r'id="fineuploader-options"[^>]*>(.+?)</script>', page))
    assets = re.findall(r'(?:src|href)="/static/(.+?)"', page)
    number = str(uuid.uuid4())
    answers = [send(client, options, number, index, data) for index, data in ((1, b"klmno"), (0, b"abcdefghij"))]
    listed = client.get(options["session"]["endpoint"]).json()
    return {
        "stranger is sent to": stranger_is_sent_to,
        "assets": len(assets),
        "missing assets": [name for name in assets if finders.find(name) is None],
        "complete": [answer.get("complete") for answer in answers],
        "listed": [item["name"] for item in listed if item["uuid"] == number],
    }


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in {text}"
    return match[1]


def send(client: Any, options: dict[str, Any], number: str, index: int, data: bytes) -> dict[str, Any]:
    """Send one chunk of a file of 15 bytes and return the answer."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    fields = {
        **options["request"]["params"],
        "qqpartindex": index,
        "qqpartbyteoffset": 10 * index,
        "qqchunksize": len(data),
        "qqtotalparts": 2,
        "qqtotalfilesize": 15,
        "qqfilename": "letters.txt",
        "qquuid": number,
        "qqfile": SimpleUploadedFile("blob", data),
    }
    response = client.post(options["request"]["endpoint"], fields, headers=options["request"]["customHeaders"])
    answer: dict[str, Any] = json.loads(response.content)
    return answer


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    django.setup()
    json.dump(main(), sys.stdout)
