"""How many examples the tests of whole schedules take: few and always the same ones, or as many as were asked for."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings


def examples(usual: int, *, steps: int = 50) -> settings:
    """``TEST_EXAMPLES`` asks for that many random examples; else there are ``usual`` ones, the same every time.

    Making a failing schedule shorter can take minutes, so only who asks for examples waits for that.
    """
    asked = os.environ.get("TEST_EXAMPLES")
    return settings(
        max_examples=int(asked or usual),
        stateful_step_count=steps,
        derandomize=asked is None,
        phases=(Phase.explicit, Phase.generate, *((Phase.shrink,) if asked else ())),
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
