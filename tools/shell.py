"""Commands, and Debian's packages where the machine lets us install them."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


class CannotRun(Exception):
    """The machine lacks something; the message says what."""


def run(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> int:
    """Show a command, run it without standard input, and return its exit status."""
    words = [str(word) for word in command]
    print(f"$ {shlex.join(words)}", flush=True)
    env = {**os.environ, **(environment or {})}
    return subprocess.run(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=False).returncode


def require(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
    """Run a command that the rest depends on; raise ``CannotRun`` when it fails."""
    if run(*command, cwd=cwd, environment=environment):
        raise CannotRun(f"`{shlex.join(map(str, command))}` failed")


def read(*command: str | Path, environment: Mapping[str, str] | None = None) -> tuple[bool, str]:
    """Run a command in silence; return whether it succeeded, and the last line that it printed."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        return False, str(error)
    return done.returncode == 0, (done.stdout.strip().splitlines() or [""])[-1]


def install_debian(*packages: str) -> None:
    """Install Debian packages; raise ``CannotRun`` where this is not Debian, or we are not root."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CannotRun(f"{names} is not installed, and only root on Debian can install it here")
    update_debian()
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    require(*command, environment={"DEBIAN_FRONTEND": "noninteractive"})


@functools.cache
def update_debian() -> None:
    """Fetch the list of Debian's packages, once."""
    require("apt-get", "update", "-q")
