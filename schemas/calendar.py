"""The business calendar: Asia/Shanghai, the fixed offset +08:00 (no daylight saving since 1991).

Instants are integers of milliseconds since 1970-01-01 UTC. A window is [start, end).
"""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Literal

import numpy as np
import numpy.typing as npt

OFFSET_MS = 8 * 3_600_000
HOUR_MS = 3_600_000
QUARTER_MS = 900_000
DAY_MS = 86_400_000
BUSINESS = timezone(timedelta(milliseconds=OFFSET_MS))

Instants = npt.NDArray[np.int64]
WindowKind = Literal["hour", "day", "month", "year"]
KINDS: tuple[WindowKind, ...] = ("hour", "day", "month", "year")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMPY_UNIT = {"month": "M", "year": "Y"}


def window_start(kind: WindowKind, at: int) -> int:
    """Start of the window of `kind` that contains the instant `at`."""
    return int(window_starts(kind, np.array([at], dtype=np.int64))[0])


def window_end(kind: WindowKind, start: int) -> int:
    """End of the window of `kind` that begins at `start`."""
    return int(window_ends(kind, np.array([start], dtype=np.int64))[0])


def window_starts(kind: WindowKind, at: Instants) -> Instants:
    """Starts of the windows of `kind` that contain the instants `at`."""
    if kind == "hour":
        return at - at % HOUR_MS
    local = at + OFFSET_MS
    if kind == "day":
        return at - local % DAY_MS
    unit = _NUMPY_UNIT[kind]
    begun = local.astype("datetime64[ms]").astype(f"datetime64[{unit}]")
    return begun.astype("datetime64[ms]").astype(np.int64) - OFFSET_MS


def window_ends(kind: WindowKind, start: Instants) -> Instants:
    """Ends of the windows of `kind` that begin at `start`."""
    if kind == "hour":
        return start + HOUR_MS
    if kind == "day":
        return start + DAY_MS
    unit = _NUMPY_UNIT[kind]
    begun = (start + OFFSET_MS).astype("datetime64[ms]").astype(f"datetime64[{unit}]")
    return (begun + 1).astype("datetime64[ms]").astype(np.int64) - OFFSET_MS


def year_of(at: int) -> int:
    """Business year of an instant."""
    return datetime.fromtimestamp(at / 1000, BUSINESS).year


def year_start(year: int) -> int:
    """First instant of a business year."""
    return instant(datetime(year, 1, 1, tzinfo=BUSINESS))


def day_start(day: date) -> int:
    """First instant of a business day."""
    return instant(datetime(day.year, day.month, day.day, tzinfo=BUSINESS))


def business_day(at: int) -> str:
    """Business day of an instant, as `2026-11-23`."""
    return datetime.fromtimestamp(at / 1000, BUSINESS).date().isoformat()


def business_date(at: int) -> date:
    """Business day of an instant."""
    return date.fromisoformat(business_day(at))


def instant(when: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    if when.tzinfo is None:
        message = f"{when} has no time zone: write an offset such as +08:00 or Z"
        raise ValueError(message)
    return (when - _EPOCH) // _MILLISECOND


def moment(at: int) -> datetime:
    """Aware UTC datetime of an instant."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def rfc3339(at: int) -> str:
    """An instant as people read it, on the business calendar: `2026-11-23T13:45:00+08:00`."""
    return moment(at).astimezone(BUSINESS).isoformat(timespec="auto")
