"""The hourly look at ourselves: a few units worked out again from their readings, and compared with what is kept."""

import logging
import threading
from collections.abc import Callable, Iterable

from processors.audit import Audit
from processors.metrics import WorkerMetrics
from processors.ports import OutsideError
from processors.store import StoppedError, Store

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3_600.0
MOST_ROWS = 20_000
"""A unit of more is passed over: some two million readings are as much as a worker may hold beside its work."""
UNITS = 10
"""Units a look, touched last in the past by late readings or a restatement; as many again in turn."""


class SelfAudit:
    """A thread that looks at units of the partitions at hand. A difference is an alarm: `weir_audit_differences_total`."""

    def __init__(
        self,
        store: Store,
        metrics: WorkerMetrics,
        look_at: Callable[[Store, str], Audit],
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """`store` is its own; `look_at` compares one unit."""
        self._store, self._metrics, self._look_at = store, metrics, look_at
        self._every = every_seconds
        self._owned: frozenset[int] = frozenset()
        self._last = ""
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="audit", daemon=True).start()

    def own(self, partitions: Iterable[int]) -> None:
        """Look at units of these partitions from now on."""
        self._owned = frozenset(partitions)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """One look."""
        touched = self._store.touched_last(self._owned, UNITS)
        in_turn = self._store.units_after(self._owned, self._last, UNITS)
        self._last = in_turn[-1] if len(in_turn) == UNITS else ""
        for unit in dict.fromkeys([*touched, *in_turn]):
            if self._stopped.is_set():
                return
            self._compare(unit)

    def _compare(self, unit: str) -> None:
        if not self._store.is_recomputable(unit) or self._store.row_count(unit) > MOST_ROWS:
            return
        try:
            found = self._look_at(self._store, unit)
        except LookupError:
            return  # gone to another worker meanwhile, or not begun
        self._metrics.audited.inc()
        if not found.in_order:
            self._metrics.differences.inc()
            logger.error(
                "what is kept is not what the readings make of it",
                extra={"unit": unit, "hours": len(found.differences), "gaps": found.gaps},
            )

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self.look()
            except StoppedError:
                return
            except OutsideError as error:
                logger.warning("no audit this time", extra={"reason": str(error)})
            except Exception:
                self._metrics.differences.inc()
                logger.exception("the audit failed: what it looked at may be kept wrongly")
