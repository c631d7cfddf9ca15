"""What is said of a product line that is held to a limit: summaries and figures of alerts, in English and Chinese."""

from schemas.alert import HeldToLimit, Transition
from schemas.indicator import LimitJudged
from schemas.scale import as_text

_VERBS = {
    "limit broken": "is above its limit",
    "limit probably broken": "is probably above its limit",
    "limit cannot be judged": "cannot be judged against its limit",
}


def limit_summary(transition: Transition, held: HeldToLimit) -> str:
    """Return one line: who, which line, which limit."""
    what = f"line {held.line} of unit {transition.unit}"
    about = f"{held.limit.limit}, {held.window} to date"
    if transition.state == "firing":
        return f"Product limit: {what} {_VERBS[transition.kind]} ({about})"
    return f"{transition.state.capitalize()}: product limit: {what} ({about})"


def limit_figures(held: HeldToLimit) -> list[str]:
    """Return what was known, with regime, basis and status."""
    limit = held.limit
    reason = f" ({limit.reason})" if limit.reason else ""
    return [
        f"{held.name} used {used_of_limit(limit)}; the limit is {bounds_of_limit(limit)}.",
        f"Verdict {limit.verdict}{reason}, regime {limit.regime}, {limit.basis}.",
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


def limit_in_chinese(held: HeldToLimit) -> list[str]:
    """Return the same figures in Chinese."""
    limit = held.limit
    low, high = _text(limit.low), _text(limit.high)
    used = f"产线{held.line}（{limit.limit}）单位产品用能{low}至{high} {limit.unit_of_measure}，"
    return [f"{used}限额{bounds_of_limit(limit)}，判定{limit.verdict}。"]


def _text(number: int | None) -> str:
    return as_text(number) or "unknown"
