"""A Chromium to drive."""

from __future__ import annotations

import os
import shutil

from tools.shell import CannotRun, install_debian, read

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str:
    """Return a Chromium that answers: the one in ``CHROMIUM``, one on the PATH, or Debian's, installed now."""
    found = find_installed()
    if found is None:
        install_debian("chromium")
        found = find_installed()
    if found is None:
        raise CannotRun("there is no Chromium on the PATH: install one, or name it in CHROMIUM")
    return found


def find_installed() -> str | None:
    """Return the first Chromium of this machine that can tell its version."""
    paths = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    return next((path for path in paths if path and read(path, "--version")[0]), None)
