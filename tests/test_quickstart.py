"""The quickstart, followed to the letter: what it says is typed, and what it says is written into files.

Only what needs a network or a person has a stand-in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import fineuploader_receiver
from docpages import Block, blocks_of

CLIENT = "node_modules/fine-uploader/fine-uploader"
NO_COMMAND = ":"
STAND_INS = {
    "python3 -m venv .venv": NO_COMMAND,  # the environment of the tests, which has the package
    ". .venv/bin/activate": NO_COMMAND,
    "python -m pip install /path/to/django-fineuploader-receiver": NO_COMMAND,
    "npm install fine-uploader@5.16.2": (
        f"mkdir -p {CLIENT}/templates && cd {CLIENT}"
        " && touch fine-uploader.min.js fine-uploader-gallery.min.css templates/gallery.html"
    ),
    "python manage.py createsuperuser": "python manage.py createsuperuser --noinput",
    "python manage.py runserver": "python quickstart_person.py",
}
"""Commands that cannot run here, and what does instead."""
SEEN = {
    "stranger is sent to": "/admin/login/?next=/",
    "assets": 2,
    "missing assets": [],
    "complete": [False, True],
    "listed": ["letters.txt"],
}

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Site:
    """The folder of somebody who follows the quickstart, and what each of its commands said."""

    folder: Path
    said: dict[str, Done] = field(default_factory=dict)

    def run(self, command: str) -> Done:
        """Run a command line of the quickstart, or its stand-in."""
        line = STAND_INS.get(command, command)
        done = subprocess.run(
            ["bash", "-ec", line], cwd=self.folder, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def write(self, block: Block) -> None:
        """Write the file that a block is, or the end of the settings."""
        path = self.folder / block.file
        before = path.read_text("utf-8") if path.name == "settings.py" else ""
        path.write_text(before + block.text, "utf-8")


def environment() -> dict[str, str]:
    """A shell's environment, without the settings and flags of this test run."""
    package = Path(fineuploader_receiver.__file__).resolve().parent
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(package.parent),
        "DJANGO_SUPERUSER_USERNAME": "anna",
        "DJANGO_SUPERUSER_EMAIL": "anna@example.com",
        "DJANGO_SUPERUSER_PASSWORD": "secret",
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site after the last step."""
    site = Site(tmp_path_factory.mktemp("quickstart"))
    shutil.copy(Path(__file__).with_name("quickstart_person.py"), site.folder)
    for block in blocks_of("quickstart"):
        if block.language == "sh":
            site.said.update((command, site.run(command)) for command in block.text.splitlines())
        else:
            site.write(block)
    return site


def test_every_command_that_has_a_stand_in_is_in_the_quickstart(site: Site) -> None:
    assert STAND_INS.keys() <= site.said.keys()


def test_check_has_nothing_to_say(site: Site) -> None:
    said = site.said["python manage.py check"]

    assert (said.stdout, said.stderr) == ("System check identified no issues (0 silenced).\n", "")


def test_page_uploads_when_the_server_is_to_run(site: Site) -> None:
    assert json.loads(site.said["python manage.py runserver"].stdout) == SEEN


def test_file_lies_below_the_media_folder(site: Site) -> None:
    files = [path.read_bytes() for path in (site.folder / "media" / "uploads").rglob("letters.txt")]

    assert files
    assert set(files) == {b"abcdefghijklmno"}


def test_hook_of_the_last_step_is_called(site: Site) -> None:
    done = site.run("python manage.py runserver")

    assert json.loads(done.stdout) == SEEN
    assert "anna uploaded letters.txt, 15 bytes" in done.stderr
