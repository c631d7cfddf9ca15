"""What the answer to a try says about a unit, line by line: ok or not, and what to do. Pure."""

from collections.abc import Iterator
from datetime import datetime

from schemas.calendar import instant
from schemas.feedback import DO, UNKNOWN_UNIT, Counts, Standing, Tried
from schemas.finding import Finding

CLOCK_OFF_MS = 60_000
"""A clock further off than this is to be set; 5 minutes ahead, readings are refused as `future`."""
SILENT_MS = 86_400_000
"""A point that is not covered for longer is worth a look."""


def findings(answer: Tried, *, sent_at: int, heard_at: int) -> Iterator[Finding]:
    """Of an answer to a try that was sent and heard at these instants of our clock (ms)."""
    yield _clock(instant(datetime.fromisoformat(answer.received_at)), sent_at, heard_at)
    if UNKNOWN_UNIT in answer.reasons:
        said = f"{answer.unit} is not registered"
        yield Finding("registry", ok=False, said=said, do=DO[UNKNOWN_UNIT])
        return
    said = f"{answer.unit} is registered, {len(answer.points)} points are valid"
    do = "ask the regulator to register the points"
    yield Finding("registry", bool(answer.points), said, do)
    yield from (_point(point, heard_at) for point in answer.points)
    yield from (_day(day) for day in answer.days)


def _clock(received_at: int, sent_at: int, heard_at: int) -> Finding:
    """Between sending and hearing our clock showed these; the gateway's showed received_at."""
    off = max(sent_at - received_at, received_at - heard_at, 0)
    if off <= CLOCK_OFF_MS:
        return Finding("clock", ok=True, said="within a minute of the gateway's")
    ahead = "ahead of" if sent_at > received_at else "behind"
    said = f"{off // 1_000:,} s {ahead} the gateway's"
    return Finding("clock", ok=False, said=said, do="set this machine's clock (NTP)")


def _point(point: Standing, now: int) -> Finding:
    name = f"point {point.point}"
    what = f"{point.statement} in {point.unit}"
    if point.covered_until == point.valid_from:
        said = f"{what}, no reading counted since {point.valid_from}"
        do = "send readings under exactly this name, statement and unit of measure"
        return Finding(name, ok=False, said=said, do=do)
    silent = now - instant(datetime.fromisoformat(point.covered_until))
    said = f"{what}, covered until {point.covered_until}"
    do = "nothing counted for more than a day: is its meter read, and its gateway sending?"
    return Finding(name, silent <= SILENT_MS, said, do)


def _day(day: Counts) -> Finding:
    good = day.accepted + day.repeated + day.superseded
    bad = day.rejected + day.unreadable
    said = f"{good:,} readings taken, {bad:,} refused or unreadable"
    do = "the reasons are on the feedback topic, each with what to do"
    return Finding(f"day {day.day}", not bad, said, do)
