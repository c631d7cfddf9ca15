"""The section of a report that holds units to their annual limits: energy to the quota, CO2 to the budget, each alone."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from processors.report_document import (
    Bounded,
    Cell,
    Chart,
    Column,
    Interval,
    Noted,
    Say,
    Section,
    Table,
    columns,
)
from processors.report_numbers import moment
from processors.report_rows import YearLimit
from processors.report_words import LANDINGS, REASONS, standing, word

_LIMITS = {
    "energy": ("annual energy quota", "年度能耗指标"),
    "co2": ("annual CO2 budget", "年度碳排放预算"),
}
_MEASURES = {"energy": "tce", "co2": "t CO2"}
_GAUGED = 12


def limits_section(limits: Sequence[YearLimit], say: Say) -> Iterator[Section]:
    """Of a unit; nothing where it has no limit."""
    if limits:
        yield Section(
            say("Annual limits and where the year lands", "年度限额与年末预测"),
            _lead(say),
            (*_gauges(limits, say), _table(limits, say)),
        )


def budgets_section(limits: Sequence[YearLimit], say: Say) -> Iterator[Section]:
    """CO2 of a region's units; nothing where none has a budget."""
    budgets = [one for one in limits if one.quantity == "co2"]
    if budgets:
        yield Section(
            say("CO2 budgets of units", "各单位碳排放预算"),
            _lead(say),
            (*_gauges(budgets, say), _table(budgets, say)),
        )


def _lead(say: Say) -> str:
    return say(
        "Quota and CO2 budget are judged each alone. The landing is a forecast (80 % interval) of the last midnight, and no verdict.",
        "能耗指标与碳排放预算分别判定。年末预测为最近零点所作（80% 区间），不是判定。",
    )


def _gauges(limits: Sequence[YearLimit], say: Say) -> Iterator[Chart]:
    """CO2 in percent of each budget; the quota has a gauge of its own."""
    points = tuple(
        Bounded(one.name or one.unit, _percent(one.used, one.amount))
        for one in limits
        if one.quantity == "co2" and one.amount and not one.is_other_view
    )[:_GAUGED]
    if points:
        title = say("CO2 of the year in percent of the budget", "年度碳排放占预算的百分比")
        yield Chart("gauge", title, "%", points, Decimal(100), say("budget", "预算"))


def _percent(used: Interval, limit: Decimal) -> Interval:
    high = None if used.high is None else 100 * used.high / limit
    return Interval(100 * used.low / limit, 100 * used.best / limit, high)


def _table(limits: Sequence[YearLimit], say: Say) -> Table:
    return Table(
        "limits",
        columns(
            say,
            ("Unit and limit", "单位与限额"),
            ("Verdict", "判定"),
            ("Since, or why", "起始时间或原因"),
            ("Used", "已用"),
            ("Limit", "限额"),
            ("Left this year", "本年剩余"),
            ("Lands at", "年末预计"),
            ("Forecast", "预测"),
            ("Still keeps it, a day", "此后日均上限"),
            Column(say("Unit of measure", "计量单位"), on_page=False),
            Column(say("Rests on", "口径与依据"), on_page=False),
            Column(say("As of", "截至"), on_page=False),
            Column(say("Code", "信用代码"), on_page=False),
        ),
        tuple(_row(one, say) for one in limits),
        "",
        500,
    )


def _row(one: YearLimit, say: Say) -> tuple[Cell, ...]:
    why = word(say, REASONS, one.reason) if one.reason else ""
    forecast = word(say, LANDINGS, one.landing) if one.landing else say("none yet", "尚无")
    if one.exhausted_best:
        forecast += say(f", passed on {one.exhausted_best}", f"，{one.exhausted_best} 用尽")
    measure, rests = _MEASURES[one.quantity], tuple(_rests(one, say))
    return (
        Noted(
            f"{say(*_LIMITS[one.quantity])} {one.year}, {measure}",
            "; ".join((one.name or one.unit, *rests)),
        ),
        standing(say, one.standing),
        moment(one.since) if one.since else why,
        one.used,
        one.amount,
        one.left,
        one.year_end,
        forecast,
        one.per_day_safe,
        measure,
        "; ".join(rests),
        one.as_of,
        one.unit,
    )


def _rests(one: YearLimit, say: Say) -> Iterator[str]:
    """Basis or view, source, status, and what is doubted."""
    if one.factor_view is None:
        yield say("equivalent value", "当量值")
    else:
        yield say(
            f"electricity by the view {one.factor_view}", f"电力排放因子口径：{one.factor_view}"
        )
    if one.source:
        yield f"{one.source} ({one.status})"
    if one.unverified:
        yield say("unverified factor", "系数未经核实")
    if one.contested:
        yield f"{say('contested', '存在争议')} ({one.contested})"
