"""Weighted time: what a point's dated hourly profiles make of time of which nothing is known.

Rules: schemas/RULES.md, section 1. Q(t) is the time since 1970 weighted by percents of the rated maximum, 50 before the first profile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.ports import Ints
from schemas.calendar import HOUR_MS, OFFSET_MS
from schemas.registry import Profile

HALF = 50
"""Percent where no profile says otherwise."""
WEEK_HOURS = 168
_MONDAY_MS = 3 * 24 * HOUR_MS + OFFSET_MS
"""From the Monday midnight before 1970 to 1970-01-01 UTC, a Thursday, on the business calendar."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Dated profiles as tables; the first era is that of half the rated maximum."""

    begins: Ints
    """Of the eras but the first (ms)."""
    offset: Ints
    """What Q is greater by than the era's own weighted time (percent · ms)."""
    week: Ints
    """[era, hour of the week]: percent · hours before that hour; the last is the whole week's."""

    def weighted(self, at: Ints) -> Ints:
        """Q at instants (percent · ms)."""
        era = np.searchsorted(self.begins, at, side="right")
        result: Ints = self.offset[era] + _weighted(self.week, era, at)
        return result


def weights_of(profiles: Sequence[Profile]) -> Weights:
    """The tables of a point's profiles, which are in order."""
    percents = np.array([(HALF,) * WEEK_HOURS, *(one.week for one in profiles)], np.int64)
    week = np.zeros((len(percents), WEEK_HOURS + 1), np.int64)
    week[:, 1:] = percents.cumsum(axis=1)
    begins = np.array([one.begins for one in profiles], np.int64)
    era = np.arange(len(begins))
    steps = _weighted(week, era, begins) - _weighted(week, era + 1, begins)
    first = -_weighted(week, np.zeros(1, np.int64), np.zeros(1, np.int64))
    return Weights(begins, np.concatenate([first, first + np.cumsum(steps)]), week)


def _weighted(week: Ints, era: Ints, at: Ints) -> Ints:
    """The time from a Monday on to `at`, weighted by an era's week."""
    hours, rest = np.divmod(at + _MONDAY_MS, HOUR_MS)
    weeks, hour = np.divmod(hours, WEEK_HOURS)
    before = week[era, hour]
    result: Ints = (weeks * week[era, -1] + before) * HOUR_MS + (
        week[era, hour + 1] - before
    ) * rest
    return result
