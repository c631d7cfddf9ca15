"""The load of the chaos runs: the benchmark's workload, with revised, withdrawn, too fast and unknown readings in it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from schemas.section import WITHDRAWN, Section

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from workload import Workload

_BACK = 8
"""Revisions and withdrawals reach so many pairs of quarter hours back, at most."""
_TOO_FAST = 10_000


@dataclass(frozen=True)
class Troubled(Workload):
    """Everything follows from the seed, as in Workload."""

    units: int = 400
    late: float = 0.03
    repeated: float = 0.02
    odd: float = 0.04
    """Sections beside which another, odd one comes."""

    def arrivals(self, pair: int) -> Iterator[tuple[int, tuple[Section, ...]]]:
        """Records that come at the end of this pair of quarter hours."""
        rng = np.random.default_rng((self.seed, pair, 2))
        for partition, sections in super().arrivals(pair):
            yield (
                partition,
                tuple(one for section in sections for one in self._troubled(section, pair, rng)),
            )

    def _troubled(self, section: Section, pair: int, rng: np.random.Generator) -> Iterator[Section]:
        yield section
        if rng.random() >= self.odd:
            return
        number = int(section.unit[-5:])
        earlier = max(self.begins // 2, pair - int(rng.integers(0, _BACK + 1)))
        old = self.section(number, earlier, received=pair)
        kind = rng.integers(0, 4)
        if kind == 0:
            yield replace(old, revision=1, value=old.value + 10**6)
        elif kind == 1:
            yield replace(old, flags=WITHDRAWN, value=np.zeros_like(old.value))
        elif kind == 2:
            yield replace(old, rank=3, value=old.value * _TOO_FAST)
        else:
            yield replace(old, names=tuple(f"X{name}" for name in old.names))
