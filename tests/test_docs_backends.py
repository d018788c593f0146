"""The backend that the documentation shows passes the suite that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from docpages import ROOT, blocks_of

SHOWN = ("mysite/backends.py", "tests/test_backends.py")


def test_documented_backend_passes_the_documented_suite(tmp_path: Path) -> None:
    shown = {block.file: block.text for block in blocks_of("backends") if block.file in SHOWN}
    for name in SHOWN:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(shown[name])
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-o", f"pythonpath={tmp_path}"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), *filter(None, sys.path))),
        "DJANGO_SETTINGS_MODULE": "settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path / SHOWN[1])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (passed,) = re.findall(r"^(\d+) passed", done.stdout, flags=re.MULTILINE)
    assert int(passed) > 40
