"""What every query must return: from the oracle and the registry, without any SQL."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any
from unittest.mock import ANY

from oracle import quarter_hours, window_figures
from oracle_claims import allowed, winner
from oracle_energies import Case, Range, net_of
from oracle_figures import Figure, Judged, Window, limit_of
from oracle_pieces import Course, Piece
from schemas.alert import Alert
from schemas.calendar import (
    BUSINESS,
    DAY_MS,
    HOUR_MS,
    WindowKind,
    moment,
    window_start,
    year_of,
    year_start,
)
from schemas.deductions import our_deduction_rules
from schemas.factors import default_pack
from schemas.pack_entries import View
from schemas.pack_reading import our_packs
from schemas.registry import CARRIERS, UNIT_OF_MEASURE, Point, Unit
from schemas.section import Unreadable
from schemas.targets import Target
from tests.dashboards.shown import ALERTS, PROVINCE, QUALITY, REGIONAL, UNIT
from tests.dashboards.world import (
    BY_STANDARD,
    CASES,
    END,
    EVIDENCE,
    KILN,
    LANDINGS,
    LATER,
    LIMITED,
    NO_QUOTA,
    START,
    STOPPED,
    TARGETS,
    UNTOLD,
    Heard,
    Province,
    code,
    landing,
)

Row = tuple[Any, ...]
Rows = list[Row]
QUANTITIES = ("energy", "co2", "electricity", "raw_coal", "output")
WEEK = 7 * DAY_MS


def amount(scaled: int | None) -> Decimal | None:
    """An integer of 10⁻⁶ as the number that it stands for."""
    return None if scaled is None else Decimal(scaled).scaleb(-6)


def at(instant: int | None) -> datetime | None:
    """An instant as an aware datetime."""
    return None if instant is None else moment(instant)


def rounded(number: Decimal, places: str) -> Decimal:
    """As PostgreSQL rounds numeric: half away from zero."""
    return number.quantize(Decimal(places), ROUND_HALF_UP)


@dataclass(frozen=True)
class Standing:
    """A unit as the province's panels need it."""

    unit: Unit
    judged: Judged | None
    region: str
    industry: str

    @property
    def code(self) -> str:
        return self.unit.code

    @property
    def word(self) -> str:
        """Which panel it is in."""
        if self.judged is None:
            return "nothing told yet"
        if self.judged.suspected:
            return "suspected breach"
        words = {
            "FAIL": "confirmed breach",
            "UNDECIDABLE": "cannot be judged",
            "PASS": "within quota",
            None: "no quota",
        }
        return words[self.judged.verdict]

    @property
    def energy(self) -> Figure | None:
        """Of the year."""
        return None if self.judged is None else self.judged.windows["year"].figures["energy"]

    @property
    def year(self) -> int | None:
        return None if self.judged is None else year_of(self.judged.windows["year"].start)

    @property
    def reason(self) -> str | None:
        return None if self.judged is None else self.judged.reason

    @property
    def since(self) -> datetime | None:
        return None if self.judged is None else at(self.judged.since)

    @property
    def quota(self) -> int | None:
        return None if self.year is None else limit_of(self.unit, self.year)

    @property
    def share(self) -> Decimal | None:
        return None if self.energy is None else amount(self.energy.share_measured)

    @property
    def best_of_quota(self) -> Decimal | None:
        if self.energy is None or not self.quota:
            return None
        return rounded(Decimal(self.energy.best) / Decimal(self.quota), "0.0001")

    @property
    def silent(self) -> dict[str, int]:
        return {} if self.judged is None else self.judged.silent

    @property
    def watermark(self) -> datetime | None:
        return None if self.judged is None else at(END)

    @property
    def figures(self) -> Row:
        """Quota, low, best, high."""
        energy = self.energy or Figure(None, None, None, 0)  # type: ignore[arg-type]
        return tuple(amount(one) for one in (self.quota, energy.low, energy.best, energy.high))

    @property
    def link(self) -> Row:
        """Code, and the week that its dashboard opens on."""
        if self.unit.history and self.judged is not None:
            return self.code, str(END - WEEK), str(END)
        return self.code, "now-7d", "now"


@dataclass(frozen=True)
class Expected:
    """The rows of every query, for chosen values of the variables."""

    province: Province
    heard: Heard

    def standings(self) -> list[Standing]:
        """Every registered unit."""
        found = {}
        for configuration in self.province.configurations.values():
            registry = configuration.registry
            regions = {one.code: f"{one.name} ({one.name_zh})" for one in registry.regions}
            industries = {
                one.code: f"{one.code} {one.name} ({one.name_zh})" for one in registry.industries
            }
            for unit in registry.units:
                judged = self.province.judged.get(unit.code)
                found[unit.code] = Standing(
                    unit, judged, regions[unit.region], industries[unit.industry]
                )
        return [found[code] for code in sorted(found)]

    def chosen(self, regions: Sequence[str], industries: Sequence[str]) -> list[Standing]:
        """Those of some cities and industries."""
        return [
            one
            for one in self.standings()
            if one.unit.region in regions and one.unit.industry in industries
        ]

    def one(self, unit: str) -> Standing:
        """One unit."""
        return next(one for one in self.standings() if one.code == unit)


# ---- The province


def counts(some: Iterable[Standing]) -> tuple[Row, Row]:
    """Units by standing; and silent points, lowest share, oldest watermark."""
    units = list(some)
    words = [one.word for one in units]
    told = tuple(
        words.count(word)
        for word in ("confirmed breach", "suspected breach", "cannot be judged", "within quota")
    )
    shares = [one.share for one in units if one.share is not None]
    return (*told, words.count("no quota") + words.count("nothing told yet")), (
        sum(len(one.silent) for one in units) if units else None,
        min(shares, default=None),
        at(END) if any(one.watermark for one in units) else None,
    )


def summary(units: list[Standing], _: Expected) -> Rows:
    by_standing, rest = counts(units)
    return [(*by_standing, len(units), *rest)]


def how_far(_: list[Standing], expected: Expected) -> Rows:
    live = [one for one in expected.standings() if not one.unit.history]
    history = [one for one in expected.standings() if one.unit.history]
    return [
        (word, len(units), sum(one.watermark is None for one in units), at(END), at(END), ANY)
        for word, units in (("live units", live), ("units in history", history))
    ]


def tail(one: Standing) -> Row:
    """Share measured, silent points, unverified, contested by nothing, as of, watermark, and the link."""
    unverified = None if one.judged is None else factors(one.unit, "energy", START)[1]
    return one.share, len(one.silent), unverified, None, one.watermark, one.watermark, *one.link


def who(one: Standing) -> Row:
    """Name, city, industry, year."""
    return one.unit.name, one.region, one.industry, one.year


def budget(one: Standing) -> Row | None:
    """Of a unit with a budget; who is meant in another view cannot be judged, and nobody's is broken or forecast here."""
    if one.judged is None or not one.unit.budgets:
        return None
    (held,) = one.unit.budgets
    co2 = one.judged.windows["year"].figures["co2"]
    in_view = held.view == "provincial average, Sichuan"
    assert co2.high is None or co2.high <= held.amount
    word, reason = ("within budget", None) if in_view else ("cannot be judged", "other factor view")
    share = rounded(Decimal(co2.best) / Decimal(held.amount), "0.0001")
    ends = (amount(held.amount), amount(co2.low), amount(co2.best), amount(co2.high))
    told = (amount(co2.share_measured), one.watermark, one.watermark)
    unverified = factors(one.unit, "co2", START)[1]
    left = None if co2.high is None else held.amount - co2.high
    safe = 0 if left is None else left * DAY_MS // (year_start(2027) - END)
    # Two days are too few, and by another view nothing is said at all.
    landing_ = ("cannot be said", None, amount(safe) if in_view else None)
    return (word, reason, None, share, *ends, held.view, unverified, *landing_, None, *told)


def budgets(units: list[Standing], _: Expected) -> Rows:
    found = [(one, row) for one in units if (row := budget(one)) is not None]
    found.sort(key=lambda pair: (pair[1][0] != "cannot be judged", pair[0].code))
    return [(*who(one), *row, *one.link) for one, row in found]


def budget_of_unit(one: Standing, _: Expected) -> Rows:
    row = budget(one)
    return [] if row is None else [row]


def in_breach(units: list[Standing], _: Expected) -> Rows:
    found = [one for one in units if one.word == "confirmed breach"]
    found.sort(key=lambda one: -one.figures[1] / one.figures[0])
    return [
        (*who(one), one.since, one.figures[1] - one.figures[0], *one.figures, *tail(one))
        for one in found
    ]


def suspected(units: list[Standing], _: Expected) -> Rows:
    found = [one for one in units if one.word == "suspected breach"]
    found.sort(key=lambda one: -one.figures[2] / one.figures[0])
    return [(*who(one), one.reason, one.best_of_quota, *one.figures, *tail(one)) for one in found]


def not_judged(units: list[Standing], _: Expected) -> Rows:
    found = [one for one in units if one.word == "cannot be judged"]
    found.sort(key=lambda one: (one.share, one.code))
    return [(*who(one), one.reason, one.best_of_quota, *one.figures, *tail(one)) for one in found]


def others(units: list[Standing], _: Expected) -> Rows:
    words = {"within quota", "no quota", "nothing told yet"}
    found = [one for one in units if one.word in words]
    found.sort(key=lambda one: (one.best_of_quota is None, one.best_of_quota, one.code))
    return [(*who(one), one.word, one.best_of_quota, *one.figures, *tail(one)) for one in found]


def silent_points(units: list[Standing], _: Expected) -> Rows:
    found = []
    for one in units:
        for number, point in enumerate(one.unit.points):
            if point.name in one.silent:
                end = one.silent[point.name]
                row = (
                    one.unit.name,
                    point.name,
                    point.quantity,
                    at(end),
                    rounded(Decimal(END - end) / HOUR_MS, "0.01"),
                    amount(allowed(point.rated, end, END)),
                    point.unit_of_measure,
                    one.share,
                    at(END),
                    *one.link,
                )
                found.append(((end, one.code, number), row))
    return [row for _, row in sorted(found)]


def alerts_now(units: list[Standing], expected: Expected) -> Rows:
    chosen = {one.code: one for one in units}
    severities = ("critical", "warning", "info")
    summaries = {n.id: n.annotations["summary"] for n in expected.heard.notices}

    def place(alert: Alert) -> Row:
        key = alert.key
        return alert.state, severities.index(alert.severity), alert.since, key.unit, key.rule

    return [
        (
            alert.state,
            alert.kind,
            chosen[alert.key.unit].unit.name,
            at(alert.since),
            summaries.get(alert.episode or ""),
            None,
            chosen[alert.key.unit].share,
            at(alert.told_at),
            at(END),
            *chosen[alert.key.unit].link,
        )
        for alert in sorted(expected.heard.alerts, key=place)
        if alert.key.unit in chosen
    ]


def grouped(units: list[Standing], key: Callable[[Standing], Row]) -> Rows:
    groups: dict[Row, list[Standing]] = defaultdict(list)
    for one in units:
        groups[key(one)].append(one)
    return [
        (*name, len(some), *by_standing, *rest)
        for name, some in sorted(groups.items())
        for by_standing, rest in [counts(some)]
    ]


def by_city(units: list[Standing], _: Expected) -> Rows:
    return grouped(units, lambda one: (one.unit.region, one.region))


def by_industry(units: list[Standing], _: Expected) -> Rows:
    return grouped(units, lambda one: (one.industry,))


# ---- A unit


def verdict(one: Standing, _: Expected) -> Rows:
    return [(one.word, one.year, one.reason, one.since, None, one.share, one.watermark)]


def against_quota(one: Standing, _: Expected) -> Rows:
    quota, _, best, high = one.figures
    rooms = [None if quota is None else max(Decimal(0), quota - end) for end in (high, best)]
    told = (one.share, one.watermark, one.watermark)
    return [(*one.figures, one.best_of_quota, *rooms, None, *told)]


def figures(one: Standing, _: Expected) -> Rows:
    if one.judged is None:
        return []
    rows = []
    for kind in ("year", "month", "day"):
        window = one.judged.windows[kind]
        for quantity in QUANTITIES:
            if quantity in window.figures:
                figure = window.figures[quantity]
                span = at(window.start), at(window.end)
                rows.append(
                    (
                        kind,
                        *span,
                        quantity,
                        *(amount(bound) for bound in figure[:3]),
                        UNIT_OF_MEASURE[quantity],
                        amount(figure.share_measured),
                        *factors(one.unit, quantity, window.start),
                        None,
                        at(END),
                        at(END),
                    )
                )
    return rows


def factors(unit: Unit, quantity: str, start: int) -> tuple[str | None, bool | None]:
    """Ids of the factors of a converted figure, and whether one of them is unverified."""
    if quantity not in {"energy", "co2"}:
        return None, None
    carried = [one for one in CARRIERS if any(point.quantity == one for point in unit.points)]
    pack, year = default_pack(), year_of(start)
    used = [pack.factor(carrier, quantity, year) for carrier in carried]  # type: ignore[arg-type]
    return ", ".join(one.id for one in used), any(one.unverified for one in used)


def load(one: Standing, expected: Expected) -> Rows:
    if one.judged is None:
        return []
    world = expected.province.world(one.code)
    names = [point.name for point in one.unit.points if point.quantity == "electricity"]
    columns = [quarter_hours(world, name, START, END) for name in names]
    rows = []
    for parts in zip(*columns, strict=True):
        start = parts[0][0]
        bounds = [4 * sum(part[i] for _, part in parts) for i in range(3)]
        day = window_start("day", start)
        share = window_figures(world, day, day + DAY_MS, END)["electricity"].share_measured
        rows.append((at(start), *map(amount, bounds), amount(share), END))
    return rows


def windows(one: Standing, expected: Expected, length: int) -> Rows:
    if one.judged is None:
        return []
    world = expected.province.world(one.code)
    rows = []
    for start in range(START, END, length):
        low, best, high, share = map(amount, window_figures(world, start, start + length)["energy"])
        rows.append((at(start), low, best, high, share, END))
    return rows


def hours(one: Standing, expected: Expected) -> Rows:
    return windows(one, expected, HOUR_MS)


def days(one: Standing, expected: Expected) -> Rows:
    return windows(one, expected, DAY_MS)


def points(one: Standing, expected: Expected) -> Rows:
    courses = expected.province.world(one.code).courses
    return [
        (
            point.name,
            point.quantity,
            point.statement,
            amount(point.rated),
            point.unit_of_measure,
            at(courses[point.name].end) if courses[point.name].end > point.begins else None,
            point.name in one.silent,
            one.watermark,
        )
        for point in one.unit.points
    ]


def gaps(one: Standing, expected: Expected) -> Rows:
    found = [
        (row[2], row[0], (*row, one.share, one.watermark))
        for course in expected.province.world(one.code).courses.values()
        for row in gaps_of(one, course, expected)
    ]
    found.sort(key=lambda row: row[1])
    found.sort(key=lambda row: row[0], reverse=True)
    return [row for _, _, row in found]


def gaps_of(one: Standing, course: Course, expected: Expected) -> Iterator[Row]:
    point = course.point
    is_register = point.statement == "register"
    registers = dict(registers_of(one.code, point, expected)) if is_register else {}
    for piece in course.pieces:
        kind = kind_of(piece, point)
        if kind and piece.start < END and piece.end > START:
            start = piece.start if is_register else max(piece.start, START - DAY_MS)
            most = piece.high if piece.kind == "known" else allowed(point.rated, start, piece.end)
            yield (
                *(point.name, kind, at(start), at(piece.end)),
                *(amount(piece.low), amount(most), point.unit_of_measure),
                *(registers.get(piece.start), registers.get(piece.end)),
            )
    if point.name in one.silent:
        most = allowed(point.rated, course.end, END)
        yield (
            *(point.name, "silent", at(course.end), None),
            *(0, amount(most), point.unit_of_measure, None, None),
        )


def kind_of(piece: Piece, point: Point) -> str | None:
    """What a piece is called where it is no exact amount in its time."""
    if point.statement != "register":
        return "missing periods" if piece.kind == "hole" else None
    if piece.kind != "known":
        return "register event" if piece.kind == "event" else "before the first reading"
    if not piece.exact:
        return "gap, amount in bounds"
    long = piece.end - piece.start > point.cadence_ms + point.tolerance
    return "gap, amount known" if long else None


def registers_of(
    unit: str, point: Point, expected: Expected
) -> Iterator[tuple[int, Decimal | None]]:
    """What a register showed, by its winners."""
    claims = defaultdict(list)
    for claim in expected.province.outcome.claims[unit]:
        if claim.point == point.name and claim.statement == "register":
            claims[claim.at].append(claim)
    for instant, some in claims.items():
        if won := winner(some):
            yield instant, amount(won.value)


def account(one: Standing, expected: Expected) -> Rows:
    names = ("received", "accepted", "repeated", "superseded", "rejected", "unreadable")
    told = {
        day: row
        for (unit, day), row in expected.province.outcome.account.items()
        if unit == one.code
    }
    return [
        (date.fromisoformat(day), *(told[day][name] for name in names), one.watermark)
        for day in sorted(told, reverse=True)
    ][:31]


def rejections(one: Standing, expected: Expected) -> Rows:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for refusal in expected.province.outcome.rejected[one.code]:
        if START <= refusal.claim.at < END:
            found[refusal.reason, refusal.claim.point].append(refusal.claim.at)
    return [
        (*key, len(times), at(min(times)), at(max(times)), one.watermark)
        for key, times in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def refusals(one: Standing, expected: Expected) -> Rows:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for _, _, record in expected.province.log:
        for part in record.body if isinstance(record.body, tuple) else ():
            if part.unit != one.code:
                continue
            if isinstance(part, Unreadable):
                found["unreadable", part.reason].append(part.received_at)
            else:
                for bad in part.refused:
                    found["refused", bad.reason].append(part.received_at)
    return [
        (*key, len(times), at(min(times)), at(max(times)), one.watermark)
        for key, times in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def watermark(one: Standing, _: Expected) -> Rows:
    return [(one.watermark, "Watermark (数据截至)")] if one.watermark else []


def transitions(one: Standing, expected: Expected) -> Rows:
    return [
        (at(n.at), f"{n.kind}: {n.previous} → {n.state}", n.annotations["summary"], n.severity)
        for n in expected.heard.notices
        if n.unit == one.code and START <= n.at <= END
    ]


def landed(one: Standing, _: Expected) -> Rows:
    """Of the last midnight in the time that is looked at."""
    at_ = max((time for time in LANDINGS if time <= END), default=0)
    told = landing(at_)
    assert told.projected is not None
    end = told.projected.year_end
    row = (
        *("will break", None, "seasonal", amount(told.quota)),
        *(amount(end.low), amount(end.best), amount(end.high)),
        *("2026-11-14", "2026-10-15", None, Decimal("1.152"), None, amount(820_765), True, None),
        *(amount(told.share_measured), at(at_), one.watermark),
    )
    return [row] if one.code == code(1) else []


def landings(one: Standing, _: Expected) -> Rows:
    """Midnight by midnight, the band and the quota."""
    assert one.code != code(1) or one.watermark is not None
    found = []
    for time in LANDINGS if one.code == code(1) else ():
        told = landing(time)
        if time <= END and told.projected is not None:
            end = told.projected.year_end
            ends = (amount(end.low), amount(end.best), amount(end.high), amount(told.quota))
            mark = int((one.watermark or moment(0)).timestamp() * 1000)
            found.append((at(time), *ends, amount(told.share_measured), mark))
    return found


def line_limits(one: Standing, _: Expected) -> Rows:
    """Only one unit has a line."""
    told = LIMITED
    row = (
        *("kiln", told.limit, told.level, told.verdict, told.reason, None),
        *map(amount, (told.low, told.best, told.high, told.limit_low, told.limit_high)),
        *(told.unit_of_measure, None, amount(KILN.share_measured), at(END), one.watermark),
    )
    return [row] if one.code == code(1) else []


# ---- Regions and industries


def scopes(one: Standing) -> tuple[str, ...]:
    """Whose sums a unit is in."""
    return "province:510000", f"city:{one.unit.region}", f"industry:{one.unit.industry}"


def scope_names(expected: Expected) -> dict[str, str]:
    """As people read them; the registry has no province."""
    names = {"province:510000": "province:510000"}
    for one in expected.standings():
        names[f"city:{one.unit.region}"] = f"{one.unit.region} {one.region}"
        names[f"industry:{one.unit.industry}"] = one.industry
    return names


def region_sums(_: str, expected: Expected) -> Rows:
    """By the oracle, at the end: all units but the two that were registered after the last tick."""
    groups: dict[str, list[Standing]] = defaultdict(list)
    for one in expected.standings():
        for scope in scopes(one) if one.code not in {NO_QUOTA, UNTOLD} else ():
            groups[scope].append(one)
    names = scope_names(expected)
    rows = []
    for scope, some in sorted(groups.items()):
        years = [one.judged.windows["year"].figures for one in some if one.judged is not None]
        sums = [
            amount(None if None in ends else sum(ends))
            for name in ("energy", "co2")
            for ends in zip(*(year[name][:3] for year in years), strict=True)
        ]
        share = sum(year["energy"].share_measured for year in years) // len(years)
        words = [one.judged.verdict for one in some if one.judged is not None]
        silent = sum(bool(one.silent) for one in some)
        told = (len(some), len(some), 0, silent, words.count("FAIL"), words.count("UNDECIDABLE"), 0)
        rows.append((names[scope], scope, *told, *sums, amount(share), at(END)))
    return rows


def region_hours(scope: str, expected: Expected) -> Rows:
    """The year's rows, as the core told them."""
    return [
        (
            at(hour),
            *(amount(end) for end in (row.energy.low, row.energy.best, row.energy.high)),
            amount(row.share_measured),
            hour,
        )
        for hour, told in expected.heard.hours
        for span, rows in told.windows.items()
        for of, row in rows.items()
        if of == scope and span.kind == "year" and span.start < hour <= span.end
    ]


def targets_now(_: str, expected: Expected) -> Rows:
    """At the end: what is allowed by time alone, and verdicts against the oracle's sums."""
    sums = {row[0]: row for row in region_sums("", expected)}
    names, year = scope_names(expected), window_start("year", START)
    rows = []
    for target in TARGETS.targets:
        row = sums[names[target.scope]]
        low, best, high = row[9:12] if target.quantity == "energy" else row[12:15]
        is_whole = target.covers == "whole society"
        reason = "remainder unknown" if is_whole else ""
        verdict = "FAIL" if low > target.amount else "PASS" if high <= target.amount else None
        allowed_now = target.limit * (END - year) // (365 * DAY_MS)
        rows.append(
            (
                *(target.id, names[target.scope], 2026, target.quantity, target.covers, None),
                *(*LEVELS[target.id], "UNDECIDABLE" if is_whole else verdict, reason),
                *(low, best, high, amount(allowed_now), target.amount),
                *("calendar", *_rests(target, expected), 0, row[15], at(END), target.scope),
            )
        )
    return sorted(rows, key=lambda row: (row[6] is None, row[6] or 0, row[0]))


def _rests(target: Target, expected: Expected) -> tuple[str | None, bool]:
    """The view of CO2, and whether a factor of a unit is unverified."""
    units = [one.unit for one in expected.standings() if one.judged and target.scope in scopes(one)]
    view = None if target.quantity == "energy" else "provincial average, Sichuan"
    return view, any(factors(unit, target.quantity, START)[1] for unit in units)


LEVELS = {
    "huge": (3, ""),
    "tiny": (1, ""),
    "close": (None, "interval too wide"),
    "society": (None, "remainder unknown"),
}


def level_changes(_: str, expected: Expected) -> Rows:
    """As the core told them, newest first."""
    names = scope_names(expected)
    found = []
    for hour, told in expected.heard.hours:
        for one in told.judged:
            changed = one.said.changed
            for line in () if changed is None else changed.lines:
                key = (-hour, one.said.target, -abs(line.best), line.unit, line.cause)
                row = (
                    *(at(hour), one.said.target, names[one.stand.target.scope]),
                    *(changed.before, changed.after, line.unit, line.cause),
                    *(amount(end) for end in (line.low, line.best, line.high)),
                    at(hour),
                )
                found.append((key, row))
    return [row for _, row in sorted(found)]


def newest_change(scope: str, expected: Expected) -> Rows:
    """Of the newest change of level in the scope: where it stood, what moved it, where it stands."""
    changes = [
        (hour, one, told)
        for hour, told in expected.heard.hours
        for one in told.judged
        if one.stand.target.scope == scope and one.said.changed is not None
    ]
    if not changes:
        return []
    hour, one, told = min(changes, key=lambda change: (-change[0], change[1].said.target))
    lines = sorted(one.said.changed.lines, key=lambda line: (-abs(line.best), line.unit, line.cause))  # fmt: skip
    after = one.said.used.best - one.said.allowed
    begins = after - sum(line.best for line in lines)
    share = next(
        rows[scope].share_measured
        for span, rows in told.windows.items()
        if span.kind == "year" and span.start < hour <= span.end
    )
    rest = (amount(share), 0, hour)

    def bar(step: str, first: int, last: int, kind: int) -> tuple[object, ...]:
        low, high = min(first, last), max(first, last)
        ends = (max(0, high) - max(0, low), min(0, low) - min(0, high))
        pairs = [(None, None)] * 3
        pairs[kind] = (amount(ends[0]), amount(ends[1]))  # type: ignore[call-overload]
        base = (0, 0) if kind == 0 else (max(0, low), min(0, high))
        return (step, *map(amount, base), *(end for pair in pairs for end in pair), *rest)

    rows = [bar("Before (变化前)", 0, begins, 0)]
    assert len(lines) < 13, "none is left for all others"
    for line in lines:
        name = " ".join(part for part in (line.unit, CAUSES[line.cause]) if part)
        rows.append(bar(name, begins, begins + line.best, 1 if line.best > 0 else 2))
        begins += line.best
    return [*rows, bar("After (变化后)", 0, after, 0)]


CAUSES = {
    "time passing": "Time passing (时间推移，允许量增加)",
    "reading": "Reading (读数)",
    "late reading": "Late reading (补报读数)",
    "newly counted, reading": "Newly counted, reading (新计入，读数)",
}


def region_energies(scope: str, expected: Expected) -> Rows:
    """Sums of the units' own, end by end."""
    mine = [one for one in expected.standings() if one.code != NO_QUOTA and scope in scopes(one)]
    rows = []
    for kind in ("year", "month"):
        told = [list(_energies(one, kind))[: len(PURPOSES)] for one in mine if one.judged]
        for some in zip(*told, strict=True):
            _, begin, name, _, purpose, *_ = some[0]
            ends = [
                None if None in of else sum(of)
                for of in zip(*(row[5:8] for row in some), strict=True)
            ]
            share = sum(int(row[14] * 10**6) for row in some) // len(some)
            rows.append((kind, begin, name, purpose, *ends, 0, amount(share), at(END)))
    return rows


def levels_by_hour(scope: str, expected: Expected) -> Rows:
    """The worst of each quantity's targets."""
    rows = []
    for hour, told in expected.heard.hours:
        mine = [one.said for one in told.judged if one.stand.target.scope == scope]
        shares = [
            some[scope].share_measured
            for span, some in told.windows.items()
            if span.kind == "year" and span.start < hour <= span.end and scope in some
        ]
        levels = [
            min((one.level for one in mine if one.quantity == kind and one.level), default=None)
            for kind in ("energy", "co2")
        ]
        if mine:
            rows.append((at(hour), *levels, amount(shares[0]), 0, hour))
    return rows


def region_landings(scope: str, expected: Expected) -> Rows:
    """Only one unit has any."""
    one = expected.one(code(1))
    return landings(one, expected) and [
        (*row[:6], int(row[0].timestamp() * 1000))
        for row in landings(one, expected)
        if scope in scopes(one)
    ]


def region_units(scope: str, expected: Expected) -> Rows:
    """Those in breach first."""
    words = ["confirmed breach", "suspected breach", "cannot be judged"]
    some = [one for one in expected.standings() if scope in scopes(one)]
    some.sort(key=lambda one: (one.best_of_quota is None, -(one.best_of_quota or 0), one.code))
    some.sort(key=lambda one: words.index(one.word) if one.word in words else len(words))
    return [
        (
            *(one.unit.name, one.region, one.industry, one.word, one.best_of_quota),
            *(*one.figures, None, one.share, one.watermark, *one.link),
        )
        for one in some
    ]


# ---- Who will be in breach; the cities


def will_break(units: list[Standing], _: Expected) -> Rows:
    """By the newest midnight, whatever the time range."""
    told = landing(LANDINGS[-1])
    assert told.projected is not None
    end = told.projected.year_end
    return [
        (
            *(one.unit.name, one.region, one.industry, "will break", amount(told.quota)),
            *(amount(end.low), amount(end.best), amount(end.high), "2026-11-14", amount(820_765)),
            *(None, amount(told.share_measured), at(LANDINGS[-1]), one.watermark, *one.link),
        )
        for one in units
        if one.code == code(1)
    ]


def barometer(_: list[Standing], expected: Expected) -> Rows:
    """Every city that has units, whatever is chosen; one has a target."""
    targets = {row[1]: row for row in targets_now("", expected)}
    rows = []
    for row in region_sums("", expected):
        if row[1].startswith("city:"):
            told = targets.get(row[0])
            told = (None,) * 8 if told is None else (told[0], told[3], *told[6:8], *told[10:14])
            rows.append((row[0], *told, row[8], row[15], at(END), row[1]))
    return sorted(rows, key=lambda row: (row[3] is None, row[3] or 0, row[-1]))


# ---- Data quality

CLASSES = ("received", "accepted", "repeated", "superseded", "rejected", "unreadable")


def accounts(units: Iterable[Standing], expected: Expected) -> dict[date, list[int]]:
    """What came from some units, by the days that the time range touches."""
    codes = {one.code for one in units}
    found: dict[date, list[int]] = defaultdict(lambda: [0] * len(CLASSES))
    for (unit, day), row in expected.province.outcome.account.items():
        arrived = date.fromisoformat(day)
        if unit in codes and DAYS[0] <= arrived <= DAYS[1]:
            found[arrived] = [
                a + row[name] for a, name in zip(found[arrived], CLASSES, strict=True)
            ]
    return found


DAYS = (moment(START).astimezone(BUSINESS).date(), moment(END).astimezone(BUSINESS).date())


def came_of(units: Iterable[Standing], expected: Expected) -> Row:
    """Sums of the days; nothing where nothing came."""
    days = accounts(units, expected).values()
    return tuple(sum(column) for column in zip(*days, strict=True)) or (None,) * len(CLASSES)


def came(units: list[Standing], expected: Expected) -> Rows:
    return [(*came_of(units, expected), *counts(units)[1])]


def came_by_day(units: list[Standing], expected: Expected) -> Rows:
    oldest = counts(units)[1][2]
    return [
        (day, *row, oldest) for day, row in sorted(accounts(units, expected).items(), reverse=True)
    ]


def least_measured(units: list[Standing], expected: Expected) -> Rows:
    units = sorted(units, key=lambda one: (one.share is not None, one.share or 0, one.code))
    rows = []
    for one in units:
        received, _, _, _, rejected, unreadable = came_of([one], expected)
        behind = None if one.watermark is None else Decimal(0)
        rows.append(
            (
                *(one.unit.name, one.region, one.word, len(one.silent), behind),
                *(received, rejected, unreadable, one.share, one.watermark, *one.link),
            )
        )
    return rows


def repairs(units: list[Standing], expected: Expected) -> Rows:
    found = []
    for one in units:
        for row in gaps(one, expected) if one.watermark else ():
            point, kind, start, end, low, high, measure, *_ = row
            if high > low:
                key = (measure, low - high, one.code, point, start)
                told = (one.unit.name, point, kind, start, end, high - low, measure)
                found.append((key, (*told, one.share, one.watermark, *one.link)))
    return [row for _, row in sorted(found)]


def by_unit(
    rows_of: Callable[[Standing, Expected], Rows],
) -> Callable[[list[Standing], Expected], Rows]:
    """Rows of units of which something was rejected or unreadable in these days, the most first."""

    def rows(units: list[Standing], expected: Expected) -> Rows:
        found = [
            ((-row[2], one.code, *row[:2]), (one.unit.name, *row, *one.link))
            for one in units
            if sum(came_of([one], expected)[4:] if accounts([one], expected) else ())
            for row in rows_of(one, expected)
        ]
        return [row for _, row in sorted(found)]

    return rows


# ---- Alerts


def alert_counts(units: list[Standing], expected: Expected) -> Rows:
    codes = {one.code for one in units}
    some = [alert for alert in expected.heard.alerts if alert.key.unit in codes]
    firing = [alert.kind for alert in some if alert.state == "firing"]
    kinds = (
        "confirmed breach",
        "suspected breach",
        "will break",
        "cannot be judged",
        "silent points",
    )
    return [(*map(firing.count, kinds), len(some) - len(firing), counts(units)[1][2])]


def cases(_: list[Standing], __: Expected) -> Rows:
    """The graver first."""
    return [
        (
            *(kind, severity, name, len(of), 1, at(START), owner),
            *("asked" if owner else None, at(LATER) if owner else None, at(END)),
        )
        for name, kind, severity, of, owner in reversed(CASES)
    ]


def alerts_with_severity(units: list[Standing], expected: Expected) -> Rows:
    """As on the province's dashboard, and how grave it is."""
    severities = {
        (alert.key.unit, alert.kind, at(alert.since)): alert.severity
        for alert in expected.heard.alerts
    }
    return [
        (*row[:2], severities[row[9], row[1], row[3]], *row[2:4], None, *row[4:])
        for row in alerts_now(units, expected)
    ]


def happened(units: list[Standing], expected: Expected) -> Rows:
    names = {one.code: one.unit.name for one in units}
    return [
        (
            at(n.at),
            n.previous,
            n.state,
            n.kind,
            n.cause,
            names[n.unit],
            n.annotations["summary"],
            at(END),
        )
        for n in reversed(expected.heard.notices)
        if n.unit in names and START <= n.at <= END
    ]


def rules(units: list[Standing], expected: Expected) -> Rows:
    codes = {one.code for one in units}
    groups = defaultdict(list)
    for n in expected.heard.notices:
        if n.unit in codes and START <= n.at <= END:
            groups[n.rule, n.kind].append(n)
    rows = []
    for key, some in groups.items():
        states = [n.state for n in some]
        fired = {n.unit for n in some if n.state == "firing"}
        ended = (states.count("resolved"), states.count("retracted"))
        last = at(max(n.at for n in some))
        rows.append((*key, states.count("firing"), len(fired), *ended, last, counts(units)[1][2]))
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


def stops(units: list[Standing], _: Expected) -> Rows:
    """What is declared, by hand; not what was withdrawn."""
    told = ("maintenance", moment(START), moment(END), "E1", "notice 1", "Li", ANY)
    return [
        (one.unit.name, *told, one.watermark, *one.link)
        for one in units
        if one.code == code(STOPPED)
    ]


def breach(one: Standing, _: Expected) -> Rows:
    if (
        one.word != "confirmed breach"
        or one.since is None
        or not moment(START) <= one.since <= moment(END)
    ):
        return []
    return [(one.since, "Breach of the annual quota (超年度指标)")]


def corrections(one: Standing, expected: Expected) -> Rows:
    return [
        (at(n.at), n.cause, n.annotations["summary"])
        for n in expected.heard.notices
        if n.unit == one.code and n.cause in CORRECTING and START <= n.at <= END
    ]


CORRECTING = {"late reading", "limit", "restatement", "factor"}

OF_PROVINCE: dict[str, Callable[[list[Standing], Expected], Rows]] = {
    "panel 1": summary,
    "panel 2": how_far,
    "panel 3": in_breach,
    "panel 4": suspected,
    "panel 5": not_judged,
    "panel 6": silent_points,
    "panel 7": alerts_now,
    "panel 8": by_city,
    "panel 9": by_industry,
    "panel 10": others,
    "panel 11": will_break,
    "panel 12": barometer,
    "panel 13": budgets,
}
OF_QUALITY: dict[str, Callable[[list[Standing], Expected], Rows]] = {
    "panel 1": came,
    "panel 2": came_by_day,
    "panel 3": least_measured,
    "panel 4": repairs,
    "panel 5": by_unit(rejections),
    "panel 6": by_unit(refusals),
    "panel 7": stops,
}
OF_ALERTS: dict[str, Callable[[list[Standing], Expected], Rows]] = {
    "panel 1": alert_counts,
    "panel 2": cases,
    "panel 3": alerts_with_severity,
    "panel 4": happened,
    "panel 5": rules,
}
OF_CHOSEN = {PROVINCE: OF_PROVINCE, QUALITY: OF_QUALITY, ALERTS: OF_ALERTS}
"""Of dashboards that cities and industries are chosen in."""
PURPOSES = {
    "gross": "the unit's annual quota",
    "net of feedstock": "a region's total without raw-material use",
    "net of non-fossil": "a region's total without renewable and nuclear energy",
    "net of feedstock and non-fossil": "dual control of energy: total and intensity",
}


def energies(unit: Standing, _: Expected) -> Rows:
    """Of the year and the month, four each; a line's by its standard behind those of the year."""
    if unit.judged is None or unit.code == NO_QUOTA:  # that one was told behind the last hour's cut
        return []
    return [row for kind in ("year", "month") for row in _energies(unit, kind)]


def _energies(unit: Standing, kind: WindowKind) -> Iterator[Row]:
    assert unit.judged is not None
    window = unit.judged.windows[kind]
    share = amount(window.figures["energy"].share_measured)
    used, is_unverified = factors(unit.unit, "energy", window.start)
    admitted = [one for one in EVIDENCE.evidence if one.unit == unit.code]
    for name, purpose in PURPOSES.items():
        parts = [part for part in ("feedstock", "non-fossil") if part in name]
        net = net_of(_case(window), admitted, parts, our_deduction_rules())
        proven = admitted if "non-fossil" in name else []
        rules = ["deduction.green-power.2024"] if proven else []
        yield (
            *(kind, at(window.start), name, None, purpose),
            *(amount(None if end == inf else int(end)) for end in net),
            *("tce", "equivalent value", ", ".join(one.id for one in proven)),
            ", ".join([str(used), *rules]),
            *(is_unverified, None, share, at(END)),
            unit.watermark,
        )
    if (kind, unit.code) == ("year", code(1)):
        yield (
            *("year", at(START), "by the product standard", "kiln", BY_STANDARD.indicator),
            *(amount(BY_STANDARD.low), amount(BY_STANDARD.best), None, "tce", "equivalent value"),
            *("", "electricity.energy.equivalent", False, None, amount(KILN.share_measured)),
            *(at(END), unit.watermark),
        )


def _case(window: Window) -> Case:
    used = {name: default_pack().factor(name, "energy", 2026) for name in CARRIERS}
    nothing = Figure(0, 0, 0, 0)
    return Case(
        energy=_range(window.figures["energy"]),
        natives={name: _range(window.figures.get(name, nothing)) for name in CARRIERS},
        factors={name: Fraction(one.numerator, one.denominator) for name, one in used.items()},
        start=window.start,
        till=END,
    )


def _range(figure: Figure) -> Range:
    return Range(figure.low, figure.best, inf if figure.high is None else figure.high)


VIEWS: tuple[tuple[View, str], ...] = (
    ("provincial average", "sichuan"),
    ("regional average", "southwest"),
    ("national average", "china"),
    ("national residual", "china"),
)


def co2_views(unit: Standing, _: Expected) -> Rows:
    """CO2 as told, and with each other factor for its electricity; a line's that told none has no views."""
    if unit.judged is None:
        return []
    return [row for kind in ("year", "month") for row in _co2_views(unit, kind)]


def _co2_views(unit: Standing, kind: WindowKind) -> Iterator[Row]:
    assert unit.judged is not None
    window = unit.judged.windows[kind]
    co2, power = (window.figures.get(name, Figure(0, 0, 0, 0)) for name in ("co2", "electricity"))
    packs = our_packs()
    told = packs.power("sichuan", "provincial average", 2026).entry
    fuels = default_pack()
    coal = fuels.factor("raw_coal", "co2", 2026).unverified and "raw_coal" in window.figures
    for view, region in VIEWS:
        one = packs.power(region, view, 2026).entry
        assert one.value is not None
        assert told.value is not None
        by = (Fraction(one.value) - Fraction(told.value)) / 1000
        high = None if None in {co2.high, power.high} else co2.high + ceil(power.high * by)
        yield (
            *(kind, at(window.start), None, view, region, one.id == told.id),
            *(amount(co2.low + floor(power.low * by)), amount(co2.best + round(power.best * by))),
            *(amount(high), "t", one.id, one.year, one.status == "unverified" or coal, None),
            *(amount(co2.share_measured), at(END), unit.watermark),
        )


OF_UNIT: dict[str, Callable[[Standing, Expected], Rows]] = {
    "panel 1": verdict,
    "panel 2": against_quota,
    "panel 3": figures,
    "panel 4": load,
    "panel 5": hours,
    "panel 6": days,
    "panel 7": points,
    "panel 8": gaps,
    "panel 9": account,
    "panel 10": rejections,
    "panel 11": refusals,
    "panel 12": landed,
    "panel 13": landings,
    "panel 14": line_limits,
    "panel 15": energies,
    "panel 16": budget_of_unit,
    "panel 17": co2_views,
    "annotation Watermark (数据截至)": watermark,
    "annotation Contested (存在争议)": lambda _, __: [],
    "annotation Alerts (告警)": transitions,
    "annotation Breach (超指标)": breach,
    "annotation Corrections (更正)": corrections,
}
OF_REGIONS: dict[str, Callable[[str, Expected], Rows]] = {
    "panel 1": region_sums,
    "panel 2": region_hours,
    "panel 3": targets_now,
    "panel 4": level_changes,
    "panel 5": region_landings,
    "panel 6": region_units,
    "panel 7": newest_change,
    "panel 8": levels_by_hour,
    "panel 9": region_energies,
}
NAMES = {uid: set(of) for uid, of in (OF_CHOSEN | {UNIT: OF_UNIT, REGIONAL: OF_REGIONS}).items()}
