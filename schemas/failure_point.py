"""Named points at which tests let a process stop: one form for all services, `WEIR_TEST_STOP_AT="before commit:3"`.

Who reads the environment, and stops, is each service's shell (`stop_at.py`): services share only this.
"""

VARIABLE = "WEIR_TEST_STOP_AT"


class FailurePoint:
    """Counts how often one point was passed."""

    def __init__(self, wanted: str) -> None:
        """`name:count`, or `name` for the first time; empty: never."""
        self.name, _, count = wanted.partition(":")
        self._left = int(count or 1)

    def is_due(self, point: str) -> bool:
        """Pass a point; whether it is the one, for the counted time or later."""
        if not self.name or point != self.name:
            return False
        self._left -= 1
        return self._left <= 0

    def disarm(self) -> None:
        """Never again: who was stopped and goes on is not stopped once more."""
        self.name = ""
