"""An nginx to put in front of the live site."""

from __future__ import annotations

import os
import shutil

from tools.shell import CannotRun, install_debian, read

# Debian keeps it where only root's PATH looks. The variable NGINX is nginx's own.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def find_nginx() -> str:
    """Return an nginx that answers: ``NGINX_PROGRAM``, one on the PATH, or Debian's, installed now."""
    found = find_installed()
    if found is None:
        install_debian("nginx-light")
        found = find_installed()
    if found is None:
        raise CannotRun("there is no nginx on the PATH: install one, or name it in NGINX_PROGRAM")
    return found


def find_installed() -> str | None:
    """Return the first nginx of this machine that can tell its version."""
    paths = (os.environ.get("NGINX_PROGRAM"), shutil.which("nginx", path=PLACES))
    return next((path for path in paths if path and read(path, "-v")[0]), None)
