"""Purges that never rest, each in a process of its own."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from livesite.server import LiveSite

PROCESSES = 2


@contextlib.contextmanager
def purging(site: LiveSite) -> Iterator[None]:
    """Purge again and again while the block runs. Fails where a purge has failed, or none has run."""
    command = [sys.executable, "-m", "races.purging"]
    processes = [
        subprocess.Popen(command, cwd=site.folder, env=dict(site.environment), stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "purged\n"
        yield
    finally:
        for process in processes:
            process.terminate()
        outcomes = [(process.communicate(timeout=60)[0], process.returncode) for process in processes]
    assert outcomes == [("", 0)] * PROCESSES


def purge_for_ever() -> None:
    """Run the command until the process is asked to end; say so after the first time."""
    import django
    from django.core.management import call_command

    django.setup()
    asked: list[Any] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    said = False
    while not asked:
        call_command("purge_expired_uploads", orphans=True, unclaimed=True, verbosity=0, stdout=io.StringIO())
        if not said:
            print("purged", flush=True)  # noqa: T201
            said = True


if __name__ == "__main__":
    purge_for_ever()
