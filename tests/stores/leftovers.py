"""What django-storages leaves behind."""

from __future__ import annotations

import pytest

FORGIVEN = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
"""For tests that open files through it: it leaves temporary files open, of what it unpacks and where there is nothing
to open. They are noticed when the garbage is collected, which may be in another test."""
