"""Years to try a forecast on: made of a real year's weeks, and simulated by a process that the forecast does not share.

Randomness is passed in; one generator, seeded, is one set of years. Amounts are integers of 10⁻⁶, one a business day.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from processors.landing import Days, Floats
from schemas.calendar import BUSINESS, DAY_MS, Instants, year_of, year_start
from schemas.scale import SCALE

Kind = Literal["plant", "resampled", "simulated"]
NEAR = 4
"""A week is drawn from those at most this many weeks away in the year, so that the season stays."""

GROWTH = 0.05
"""Standard deviation of a year's level to the year before."""


@dataclass(frozen=True, slots=True)
class Year:
    """A whole year as it turned out, and the year before where there is one."""

    kind: Kind
    days: Days
    earlier: tuple[Days, ...]


def exact(first: int, amounts: Instants) -> Days:
    """Days that were measured wholly."""
    return Days(first, amounts, amounts, amounts, SCALE)


def resampled(plant: Days, draws: np.random.Generator) -> Year:
    """Two years in a row made of the plant's weeks (each from near its place in the year), the second at a level of its own."""
    weeks, year = _weeks(plant), year_of(plant.first)
    before, this = (_from_weeks(weeks, one, draws) for one in (year + 1, year + 2))
    level = float(np.exp(draws.normal(0, GROWTH)))
    return Year("resampled", _whole(year + 2, this * level), (_whole(year + 1, before),))


def _weeks(plant: Days) -> Instants:
    """The plant's weeks, Monday to Sunday."""
    whole = plant.best[-_weekday(year_of(plant.first)) % 7 :]
    return whole[: len(whole) // 7 * 7].reshape(-1, 7)


def _from_weeks(weeks: Instants, year: int, draws: np.random.Generator) -> Floats:
    """A year's days, each on its own weekday."""
    chosen = (np.arange(54) + draws.integers(-NEAR, NEAR + 1, 54)) % len(weeks)
    begun = _weekday(year)
    days: Floats = weeks[chosen].reshape(-1).astype(np.float64)
    return days[begun : begun + _length(year)]


def simulated(draws: np.random.Generator) -> Year:
    """Two years in a row of a unit with a wet and a dry season, weekends, noise from day to day, stops, a holiday that moves and a step."""
    year = int(draws.integers(2019, 2026))
    swing, phase = draws.uniform(0, 0.25), draws.uniform(0, 1)
    weekend, noisy = draws.choice([1.0, 0.9, 0.3]), draws.uniform(0.05, 0.25)
    mean = float(np.exp(draws.normal(6, 1))) * SCALE
    both = []
    for one in (year - 1, year):
        length = _length(one)
        season = 1 + swing * np.sin(2 * np.pi * (np.arange(length) / length + phase))
        shape = season * _weekends(one, weekend) * _noise(length, noisy, draws)
        both.append(mean * shape * _stops(length, draws) * _holiday(length, draws))
    level = float(np.exp(draws.normal(0, GROWTH)))
    step = _step(len(both[1]), draws)
    return Year("simulated", _whole(year, both[1] * level * step), (_whole(year - 1, both[0]),))


def _length(year: int) -> int:
    return (year_start(year + 1) - year_start(year)) // DAY_MS


def _weekday(year: int) -> int:
    """Day of the week of 1 January, Monday 0."""
    return datetime(year, 1, 1, tzinfo=BUSINESS).weekday()


def _whole(year: int, amounts: Floats) -> Days:
    return exact(year_start(year), np.rint(amounts).astype(np.int64))


def _weekends(year: int, share: float) -> Floats:
    begun = _weekday(year)
    return np.where((np.arange(_length(year)) + begun) % 7 > 4, share, 1.0)  # noqa: PLR2004 - Saturday


def _noise(length: int, spread: float, draws: np.random.Generator) -> Floats:
    """Log-normal days that follow one another: each keeps 0.7 of the last one's deviation."""
    noise = np.empty(length)
    last = draws.normal(0, spread)
    for day in range(length):
        last = 0.7 * last + draws.normal(0, spread * np.sqrt(1 - 0.49))
        noise[day] = last
    return np.exp(noise - spread**2 / 2)


def _stops(length: int, draws: np.random.Generator) -> Floats:
    """One or two stops a year on average, of 3 to 14 days, at a tenth of the load."""
    running = np.ones(length)
    for _ in range(draws.poisson(1.5)):
        begun = int(draws.integers(0, length))
        running[begun : begun + int(draws.integers(3, 15))] = 0.1
    return running


def _holiday(length: int, draws: np.random.Generator) -> Floats:
    """A week at half load around the lunar new year, between 21 January and 20 February."""
    running = np.ones(length)
    begun = int(draws.integers(17, 48))
    running[begun : begun + 7] = 0.5
    return running


def _step(length: int, draws: np.random.Generator) -> Floats:
    """In one year of four the level changes for good, by 10 % either way on average, on a day of any month."""
    running = np.ones(length)
    if draws.random() < 0.25:  # noqa: PLR2004 - one of four
        running[int(draws.integers(0, length)) :] = float(np.exp(draws.normal(0, 0.1)))
    return running
