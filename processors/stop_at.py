"""For tests: the worker stops itself (SIGSTOP) at a named point, so that it can be killed just there.

`WEIR_TEST_STOP_AT="before commit:3"` stops at the third time or later, as soon as a next step is prepared ahead then.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

from schemas.failure_point import FailurePoint

_PATIENCE = 1.0
"""Seconds to wait for the next step; it may itself wait for the one at hand, and then another time must do."""
_WITHOUT_STEPS = "during load"


class StopAt:
    """Counts the points passed."""

    def __init__(self, wanted: str) -> None:
        self._point = FailurePoint(wanted)
        self._is_ahead: Callable[[], bool] = bool

    def watch(self, is_ahead: Callable[[], bool]) -> None:
        """Who tells whether a step is prepared ahead."""
        self._is_ahead = is_ahead

    def at_point(self, point: str) -> None:
        """Stop here, if this is the time."""
        if not self._point.is_due(point):
            return
        if not (point == _WITHOUT_STEPS or self._comes_ahead()):
            return
        sys.stderr.write(f"stopped at: {point}; step prepared ahead: {self._is_ahead()}\n")
        sys.stderr.flush()
        self._point.disarm()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _comes_ahead(self) -> bool:
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ahead() and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._is_ahead()
