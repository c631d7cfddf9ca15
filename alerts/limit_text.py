"""What is said of a product line that is held to a limit: summaries and figures of alerts, in English and Chinese."""

from datetime import date, timedelta

from schemas.alert import HeldToLimit, Transition
from schemas.calendar import business_date
from schemas.indicator import LimitJudged
from schemas.scale import as_text

_DAY = timedelta(days=1)
_VERBS = {
    "limit broken": "is above its limit",
    "limit probably broken": "is probably above its limit",
    "limit cannot be judged": "cannot be judged against its limit",
}


def limit_summary(transition: Transition, held: HeldToLimit) -> str:
    """Return one line: who, which line, which limit."""
    what = f"line {held.line} of unit {transition.unit}"
    about = f"{held.limit.limit}, {held.window} to date"
    if transition.kind == "limit to come":
        return _summary_to_come(transition, held, what)
    if transition.state == "firing":
        return f"Product limit: {what} {_VERBS[transition.kind]} ({about})"
    return f"{transition.state.capitalize()}: product limit: {what} ({about})"


def _summary_to_come(transition: Transition, held: HeldToLimit, what: str) -> str:
    """Before the day; on it; or that it is not so any more."""
    limit, coming = held.limit.limit, held.limit.coming
    if transition.state == "firing" and coming is not None:
        sure = "would break" if coming.verdict == "FAIL" else "would probably break"
        return f"Product limit to come: {what} {sure} {limit}, in force {in_days(transition)}"
    if coming is None:
        return f"Product limit in force: {limit}, which {what} was told of before"
    return f"{transition.state.capitalize()}: product limit to come: {what} ({limit}, in force {in_days(transition)})"


def in_days(transition: Transition) -> str:
    """Return from which day a limit is in force, and how far that is from the instant told: `from 2027-01-01, in 38 days`."""
    held = transition.evidence.held
    if held is None or held.limit.coming is None:
        return ""
    day = held.limit.coming.from_day
    return f"from {day}, in {days_until(day, transition.at)} days"


def days_until(day: str, at: int) -> int:
    """Return how many business days lie between an instant's and a day."""
    return (date.fromisoformat(day) - business_date(at)) // _DAY


def limit_figures(held: HeldToLimit) -> list[str]:
    """Return what was known, with regime, basis and status."""
    limit = held.limit
    reason = f" ({limit.reason})" if limit.reason else ""
    would = f", would be {limit.coming.verdict}" if limit.coming else ""
    return [
        f"{held.name} used {used_of_limit(limit)}; the limit is {bounds_of_limit(limit)}.",
        f"Verdict {limit.verdict}{reason}{would}, regime {limit.regime}, {limit.basis}.",
        f"By {', '.join(limit.entries)} ({limit.law}).",
        f"{'; '.join(limit.notes)}." if limit.notes else "",
    ]


def used_of_limit(limit: LimitJudged) -> str:
    """Return the interval of what was used a unit of output, with its best estimate."""
    low, best, high = (_text(one) for one in (limit.low, limit.best, limit.high))
    if limit.low is not None and limit.low == limit.high:
        return f"{low} {limit.unit_of_measure}"
    return f"between {low} and {high} {limit.unit_of_measure} (best estimate {best})"


def bounds_of_limit(limit: LimitJudged) -> str:
    """Return the corrected limit: an interval where something is not declared."""
    ends = dict.fromkeys((_text(limit.limit_low), _text(limit.limit_high)))
    return f"{' to '.join(ends)} {limit.unit_of_measure}"


def limit_in_chinese(held: HeldToLimit, at: int) -> list[str]:
    """Return the same figures in Chinese."""
    limit = held.limit
    if limit.coming is not None:
        day = limit.coming.from_day
        coming = f"该限额{day}起施行，距今{days_until(day, at)}天，按其判定为{limit.coming.verdict}；施行前不作判定。"
    else:
        coming = f"判定{limit.verdict}。"
    low, high = _text(limit.low), _text(limit.high)
    used = f"产线{held.line}（{limit.limit}）单位产品用能{low}至{high} {limit.unit_of_measure}，"
    return [
        f"{used}限额{bounds_of_limit(limit)}，依据{'、'.join(limit.entries)}（{limit.basis}）。{coming}"
    ]


def _text(number: int | None) -> str:
    return as_text(number) or "unknown"
