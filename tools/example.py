"""The example project: set up, then served."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from tools.client import fetch_client
from tools.pythons import install, make_venv
from tools.shell import ROOT, require

PROJECT = ROOT / "example_project"
STATIC = PROJECT / "static" / "fine-uploader"
CLIENT_FOLDERS = ("fine-uploader", "all.fine-uploader")


def set_up() -> Path:
    """Make the environment, fetch the client, fill the database, and return the environment's Python."""
    python = make_venv(ROOT / ".venv", Path(sys.executable))
    install(python, "--editable", ".")
    copy_client(fetch_client(python))
    require(python, PROJECT / "manage.py", "setup_demo")
    return python


def serve(python: Path, *, port: int) -> NoReturn:
    """Become the server, so that whoever stops this process stops it."""
    print(f"\nThe example project is at http://127.0.0.1:{port}/ (Control-C stops it)\n", flush=True)
    os.execv(python, [str(python), str(PROJECT / "manage.py"), "runserver", "--noreload", f"127.0.0.1:{port}"])


def copy_client(package: Path) -> None:
    """Lay the client's scripts, styles and templates where the example project's static files are."""
    for name in CLIENT_FOLDERS:
        shutil.copytree(package / name, STATIC / name, dirs_exist_ok=True)
