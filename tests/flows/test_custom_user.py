"""A site with a user model of its own, which cannot be swapped in a process that has loaded another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def test_uploads_belong_to_people_of_a_custom_user_model(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "customuser.settings",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "TEST_RUN_FOLDER": str(tmp_path),
    }
    command = [sys.executable, "-m", "customuser.upload"]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == {
        "check": "System check identified no issues (0 silenced).",
        "success": True,
        "listed": True,
        "owner": "anna@example.com",
        "owner afterwards": None,
        "exact": True,
    }
