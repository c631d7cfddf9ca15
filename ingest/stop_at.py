"""For tests: the process stops itself (SIGSTOP) at a named point, so that it can be killed just there."""

import os
import signal
import sys
from collections.abc import Callable

from schemas.failure_point import VARIABLE, FailurePoint


def chosen_point() -> Callable[[str], None]:
    """What is to be called at each point: it stops at that of `WEIR_TEST_STOP_AT`, if any."""
    chosen = FailurePoint(os.environ.get(VARIABLE, ""))

    def at_point(point: str) -> None:
        if chosen.is_due(point):
            sys.stderr.write(f"stopped at: {point}\n")
            sys.stderr.flush()
            chosen.disarm()
            os.kill(os.getpid(), signal.SIGSTOP)

    return at_point
