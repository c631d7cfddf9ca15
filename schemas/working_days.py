"""Working days in mainland China: weekdays, but for holidays and make-up working days, as dated data.

Instants are milliseconds. Working time passes on working days alone, all 24 hours of them: `P1D` of it from Friday noon ends on Monday
noon where Monday is a working day.
"""

import tomllib
from datetime import date, timedelta
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.calendar import BUSINESS, DAY_MS, moment, window_start

LONGEST_DAYS = 4_000
"""Days looked at for an end: more than ten years of holidays are no calendar."""


class WorkingDaysError(ValueError):
    """A calendar that cannot be used; a line for each mistake."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Holiday(_Frozen):
    """Days off, both ends among them."""

    name: str
    first: date
    last: date


class Year(_Frozen):
    """One year by its notice."""

    year: Annotated[int, Field(ge=1970, le=2199)]
    source: Annotated[str, Field(min_length=1)]
    status: Literal["sourced", "unverified"]
    holidays: tuple[Holiday, ...]
    working: tuple[date, ...]
    """Saturdays and Sundays that are worked."""

    @model_validator(mode="after")
    def _days_of_the_year(self) -> Self:
        free = self.free()
        for holiday in self.holidays:
            if holiday.last < holiday.first:
                message = f"{holiday.name}: ends {holiday.last}, before it begins"
                raise ValueError(message)
        for day in (*free, *self.working):
            if day.year != self.year:
                message = f"{day} is not in {self.year}"
                raise ValueError(message)
        for day in self.working:
            if day in free or day.weekday() < _SATURDAY:
                message = f"{day} is no weekend day outside the holidays"
                raise ValueError(message)
        return self

    def free(self) -> frozenset[date]:
        """The days of its holidays."""
        return frozenset(
            holiday.first + timedelta(days=number)
            for holiday in self.holidays
            for number in range((holiday.last - holiday.first).days + 1)
        )


_SATURDAY = 5


class WorkingDays(_Frozen):
    """The calendar of several years."""

    years: tuple[Year, ...] = ()

    @model_validator(mode="after")
    def _each_year_once(self) -> Self:
        named = [one.year for one in self.years]
        if len(set(named)) != len(named):
            message = f"a year is named twice: {sorted(named)}"
            raise ValueError(message)
        return self

    def knows(self, day: date) -> bool:
        """Say whether a notice covers the day's year."""
        return any(one.year == day.year for one in self.years)

    def is_working(self, day: date) -> bool:
        """Say whether `day` is worked: by its year's notice, else Monday to Friday."""
        for year in self.years:
            if year.year == day.year:
                usual = day.weekday() < _SATURDAY and day not in year.free()
                return usual or day in year.working
        return day.weekday() < _SATURDAY

    def after(self, begin: int, working_ms: int) -> int:
        """The first instant with `working_ms` of working time behind it since `begin`; for 0 it is `begin`.

        Raises WorkingDaysError where there is none within eleven years.
        """
        if working_ms == 0:
            return begin
        at, left = begin, working_ms
        for _ in range(LONGEST_DAYS):
            end = window_start("day", at) + DAY_MS
            if self.is_working(day_of(at)):
                if end - at >= left:
                    return at + left
                left -= end - at
            at = end
        message = f"no {working_ms} ms of working time within {LONGEST_DAYS} days"
        raise WorkingDaysError(message)

    def between(self, begin: int, end: int) -> int:
        """Milliseconds of working time in [begin, end)."""
        total, at = 0, begin
        while at < end:
            until = min(window_start("day", at) + DAY_MS, end)
            total += until - at if self.is_working(day_of(at)) else 0
            at = until
        return total


def day_of(at: int) -> date:
    """The business day of an instant."""
    return moment(at).astimezone(BUSINESS).date()


def read_working_days(text: str = "") -> WorkingDays:
    """The calendar of a text, or Weir's own. Raises WorkingDaysError."""
    if not text:
        text = files("schemas").joinpath("working_days.toml").read_text(encoding="utf-8")
    try:
        return WorkingDays.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise WorkingDaysError(message) from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise WorkingDaysError("\n".join(lines)) from error
