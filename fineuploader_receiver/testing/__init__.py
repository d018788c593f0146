"""For the tests of backends that others write: `backend_contract` is the suite. Needs pytest."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.backend_contract")
