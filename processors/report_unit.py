"""The report of a unit: for her engineer, her supervisor and a court. From rows to sections, purely."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from processors.report_document import (
    Bounded,
    Cell,
    Chart,
    Column,
    Fact,
    Interval,
    Language,
    Mark,
    Noted,
    Report,
    Say,
    Section,
    Share,
    Table,
    columns,
)
from processors.report_emissions import emissions_section
from processors.report_energies import energies_section
from processors.report_limits import limits_section
from processors.report_numbers import day, moment
from processors.report_rows import Gap, Record, Told, UnitRows
from processors.report_words import (
    GAPS,
    QUANTITIES,
    REASONS,
    REJECTED,
    ROUNDED_EN,
    ROUNDED_ZH,
    RULES_EN,
    RULES_ZH,
    WINDOWS,
    place,
    remedy,
    standing,
    word,
)

_WEEK = timedelta(days=7)
_DAYS_ON_PAGE = 31
_GAPS_ON_PAGE = 40
_ACCOUNT_ON_PAGE = 14


def unit_report(rows: UnitRows, language: Language) -> Report:
    """Everything that is told of one unit."""
    say = Say(language)
    unit = rows.standing
    return Report(
        language=language,
        read_at=rows.asked.read_at,
        title=unit.name or unit.unit,
        subtitle=" · ".join(
            place(say, part) for part in (unit.unit, unit.region_name, unit.industry_name) if part
        ),
        verdict=standing(say, unit.standing),
        sentence=_sentence(rows, say),
        notices=tuple(_notices(rows, say)),
        facts=tuple(_facts(rows, say)),
        gauge=_gauge(rows, say),
        sections=(
            *limits_section(rows.limits, say),
            _months(rows, say),
            energies_section(rows.energies, rows.deducted, say),
            *emissions_section(rows.emissions, say),
            _days(rows, say),
            _load(rows, say),
            _points(rows, say),
            _gaps(rows, say),
            *_stops(rows, say),
            _rejections(rows, say),
            _account(rows, say),
            _factors(rows, say),
            _evidence(rows, say),
        ),
        foot=_foot(rows, say),
    )


def _sentence(rows: UnitRows, say: Say) -> str:
    unit = rows.standing
    reason = word(say, REASONS, unit.reason) if unit.reason else ""
    match unit.standing:
        case "confirmed breach":
            since = moment(unit.since) if unit.since else "?"
            return say(
                f"Even the lower bound has been above the annual quota since {since}.",
                f"自 {since} 起，下限已超过年度指标。",
            )
        case "suspected breach":
            return say(
                f"The best estimate is above the annual quota, but it cannot be decided: {reason}.",
                f"最佳估计已超过年度指标，但尚不能判定：{reason}。",
            )
        case "cannot be judged":
            return say(
                f"Neither kept nor broken can be shown: {reason}.",
                f"既不能认定未超标，也不能认定超标：{reason}。",
            )
        case "within quota":
            return say(
                "Not even the upper bound is above the annual quota so far.",
                "截至目前，上限未超过年度指标。",
            )
        case "no quota":
            return say(
                "No quota is registered for the year, so there is no verdict.",
                "该年度未登记指标，不作判定。",
            )
        case _:
            return say("Nothing was told of this unit yet.", "该单位尚无任何告知数据。")


def _notices(rows: UnitRows, say: Say) -> Iterable[str]:
    if rows.papers.pending is not None:
        yield say(
            f"Pending restatement: configuration {rows.papers.pending} changes how readings count. The figures below are still those before it.",
            f"待重算：配置 {rows.papers.pending} 改变了读数的计入方式，以下仍为重算前的数值。",
        )
    gone = [record for record in rows.records if not record.recomputable]
    if gone or rows.figures is None:
        last = max((record.ends for record in gone), default=rows.asked.ends)
        until = day(last - timedelta(seconds=1)) if last else ""
        yield say(
            f"No longer recomputable: records of windows up to {until} were dropped by retention. Their figures are shown as they were told.",
            f"不可再复算：{until} 以前部分窗口的原始记录已按保存期限清除，数值以当时告知为准。",
        )
    contested = [told for told in rows.told if told.contested]
    if contested:
        names = sorted(
            {f"{t.window_kind} {day(t.starts)} {t.quantity} ({t.contested})" for t in contested}
        )
        yield say(
            f"Contested, and not decided: {'; '.join(names)}. These figures, and verdicts on them, may change.",
            f"存在争议、尚未裁定：{'；'.join(names)}。相关数值及其判定可能变更。",
        )
    if any(told.unverified for told in rows.told):
        yield say(
            "At least one conversion factor rests on a figure that nobody has verified; see Factors.",
            "至少一个折算系数未经核实，见“折算系数”。",
        )


def _facts(rows: UnitRows, say: Say) -> Iterable[Fact]:
    unit = rows.standing
    if unit.energy_low is not None and unit.energy_best is not None:
        used = Interval(unit.energy_low, unit.energy_best, unit.energy_high)
        yield Fact(say(f"Energy {unit.year}", f"{unit.year} 年综合能耗"), used, "tce")
    source = rows.papers.quota_source
    yield Fact(
        say("Annual quota", "年度指标"),
        unit.quota_tce,
        "tce",
        say(f"source: {source}", f"来源：{source}") if source else "",
    )
    if unit.best_of_quota is not None:
        yield Fact(say("Best of quota", "最佳估计占指标"), Share(unit.best_of_quota))
    co2 = next((told for told in _of(rows, "year", "co2")), None)
    if co2 is not None:
        yield Fact(say("CO2", "二氧化碳排放"), _interval(co2), "t")
    for budget in (one for one in rows.limits if one.quantity == "co2"):
        held = standing(say, budget.standing).text
        view = say(f"view: {budget.factor_view}", f"口径：{budget.factor_view}")
        yield Fact(say("CO2 budget", "碳排放预算"), budget.amount, "t CO2", f"{held} · {view}")
    if unit.share_measured is not None:
        yield Fact(say("Share measured", "实测比例"), Share(unit.share_measured))
    yield Fact(say("Silent points", "无数据计量点"), unit.silent_points)
    yield Fact(say("As of", "截至"), unit.as_of)


def _gauge(rows: UnitRows, say: Say) -> Chart | None:
    unit = rows.standing
    if unit.energy_low is None or unit.energy_best is None:
        return None
    used = Interval(unit.energy_low, unit.energy_best, unit.energy_high)
    title = say("Energy of the year against the quota", "年度综合能耗与指标")
    return Chart(
        "gauge",
        title,
        "tce",
        (Bounded(say("bar: best; box: low to high", "条：最佳估计；框：下限至上限"), used),),
        unit.quota_tce,
        say("quota", "指标"),
    )


def _interval(told: Told) -> Interval:
    return Interval(told.low, told.best, told.high)


def _of(rows: UnitRows, kind: str, quantity: str) -> list[Told]:
    found = [t for t in rows.told if t.window_kind == kind and t.quantity == quantity]
    return sorted(found, key=lambda told: told.starts, reverse=True)


def _windows(rows: UnitRows, kind: str) -> list[tuple[Told, Told | None]]:
    """Energy and CO2 of the windows of a kind, newest first."""
    co2 = {told.starts: told for told in _of(rows, kind, "co2")}
    return [(energy, co2.get(energy.starts)) for energy in _of(rows, kind, "energy")]


def _window_table(rows: UnitRows, say: Say, kind: str, name: str, first: str, shown: int) -> Table:
    length = 7 if kind == "month" else 10
    return Table(
        name,
        (
            Column(first),
            Column(say("Energy", "综合能耗"), "tce"),
            Column("CO2", "t"),
            Column(say("Measured", "实测比例")),
        ),
        tuple(
            (
                day(energy.starts)[:length],
                _interval(energy),
                None if co2 is None else _interval(co2),
                Share(energy.share_measured),
            )
            for energy, co2 in _windows(rows, kind)
        ),
        say("Nothing was told of these days.", "所选日期无告知数据。"),
        shown,
    )


def _months(rows: UnitRows, say: Say) -> Section:
    title = say("Month by month", "逐月")
    windows = _of(rows, "month", "energy")
    points = tuple(Bounded(day(t.starts)[:7], _interval(t)) for t in reversed(windows))
    name = say("Energy by month", "月度综合能耗")
    chart = [Chart("bars", name, "tce", points)] if points else []
    return Section(
        title,
        say(
            "Bar: best estimate; whisker: low to high.",
            "条形：最佳估计；须线：下限至上限。",
        ),
        (*chart, _window_table(rows, say, "month", "months", say("Month", "月份"), 24)),
    )


def _days(rows: UnitRows, say: Say) -> Section:
    title = say("Day by day", "逐日")
    windows = _of(rows, "day", "energy")
    points = tuple(Bounded(day(t.starts)[5:], _interval(t)) for t in reversed(windows))
    name = say("Energy by day", "日综合能耗")
    chart = [Chart("band", name, "tce", points)] if points else []
    return Section(
        title,
        say(
            "Line: best estimate; band: low to high, to the very top where high is unknown. Do not add up the bounds of days: a month's are narrower.",
            "线：最佳估计；色带：下限至上限，上限不明时直至图顶。各日上下限不可相加，月度区间更窄。",
        ),
        (
            *chart,
            _window_table(rows, say, "day", "days", say("Day", "日期"), _DAYS_ON_PAGE),
        ),
    )


def _load(rows: UnitRows, say: Say) -> Section:
    title = say("Load of the last week", "最近一周负荷")
    if not rows.load:
        said = say("No electricity was metered in this week.", "本周无用电数据。")
        return Section(title, said, ())
    ends = rows.load[-1].starts
    points = tuple(
        Bounded(moment(q.starts)[5:10], Interval(4 * q.low, 4 * q.best, 4 * q.high))
        for q in rows.load
        if q.starts > ends - _WEEK
    )
    lead = say(
        "Mean power of each quarter hour over all electricity points: four times its energy. Band: low to high.",
        "全部用电计量点每 15 分钟平均功率（电量 × 4）。色带：下限至上限。",
    )
    table = Table(
        "load",
        (Column(say("Quarter hour from", "15 分钟起点")), Column(say("Load", "负荷"), "kW")),
        tuple((q.starts, Interval(4 * q.low, 4 * q.best, 4 * q.high)) for q in rows.load),
        "",
        0,
    )
    return Section(title, lead, (Chart("band", say("Load", "负荷"), "kW", points), table))


def _points(rows: UnitRows, say: Say) -> Section:
    silent = sum(point.silent for point in rows.points)
    return Section(
        say("Metering points", "计量点"),
        say(
            f"{silent} of {len(rows.points)} points are silent: longer without a reading than their cadence and tolerance.",
            f"{len(rows.points)} 个计量点中 {silent} 个无数据：超过报数周期与容差。",
        ),
        (
            Table(
                "points",
                columns(
                    say,
                    ("Point", "计量点"),
                    ("State", "状态"),
                    ("Quantity", "品种"),
                    ("Heard until", "数据截至"),
                    ("Rated maximum per hour", "每小时额定上限"),
                    ("Missing, at most", "缺失量上限"),
                    ("Unit of measure", "计量单位"),
                ),
                tuple(
                    (
                        point.point,
                        _heard(say, silent=point.silent),
                        word(say, QUANTITIES, point.quantity),
                        point.heard_until or say("never", "从未"),
                        point.rated_per_hour,
                        point.missing_high if point.silent else Decimal(0),
                        point.unit_of_measure,
                    )
                    for point in rows.points
                ),
                say("No point is registered.", "未登记计量点。"),
            ),
        ),
    )


def _heard(say: Say, *, silent: bool) -> Mark:
    return (
        Mark(say("silent", "无数据"), "unknown") if silent else Mark(say("heard", "正常"), "well")
    )


def _gaps(rows: UnitRows, say: Say) -> Section:
    ordered = sorted(rows.gaps, key=lambda gap: _weight(gap, rows), reverse=True)
    return Section(
        say("Repair list: where amounts are not exact", "修复清单：用量不精确的时段"),
        say(
            "What is silent now comes first, then the longest. Each is repaired by sending the missing readings or the registers on both sides;"
            " until then the bounds stay this wide.",
            "当前无数据者在前，其余按时长排列。补报缺失读数或两端表码即可修复；在此之前区间不会收窄。",
        ),
        (
            Table(
                "gaps",
                columns(
                    say,
                    ("Point", "计量点"),
                    ("What", "类型"),
                    ("From", "起"),
                    ("Until", "止"),
                    ("At least", "至少"),
                    ("At most", "至多"),
                    ("Unit of measure", "计量单位"),
                    ("Register before", "起始表码"),
                    ("Register after", "终止表码"),
                ),
                tuple(
                    (
                        gap.point_name,
                        word(say, GAPS, gap.kind),
                        gap.starts,
                        gap.ends or say("now", "至今"),
                        gap.low,
                        gap.high,
                        gap.unit_of_measure,
                        gap.from_register,
                        gap.to_register,
                    )
                    for gap in ordered
                ),
                say("None: every amount of these days is exact.", "无：所选日期内所有用量均精确。"),
                _GAPS_ON_PAGE,
            ),
        ),
    )


def _stops(rows: UnitRows, say: Say) -> Iterator[Section]:
    """Nothing where nothing is declared."""
    if not rows.stops:
        return
    yield Section(
        say("Declared stops and maintenances", "已申报的停产与检修"),
        say(
            "While one lasts, alerts about missing data of its points wait. Figures and verdicts do not change: what is missing counts as missing.",
            "申报期内相关计量点的缺数告警暂缓；数值与判定不变，缺失仍按缺失计。",
        ),
        (
            Table(
                "stops",
                (
                    Column(say("What", "类型")),
                    Column(say("From", "起")),
                    Column(say("Until", "止")),
                    Column(say("Points", "计量点")),
                    Column(say("Evidence", "依据")),
                    Column(say("Declared by", "申报人")),
                    Column(say("Entered", "申报时间")),
                ),
                tuple(
                    (
                        say("maintenance", "检修")
                        if one.kind == "maintenance"
                        else say("stop", "停产"),
                        one.starts,
                        one.ends,
                        ", ".join(one.points) or say("all", "全部"),
                        one.evidence,
                        one.declared_by,
                        one.entered_at,
                    )
                    for one in rows.stops
                ),
                "",
            ),
        ),
    )


def _weight(gap: Gap, rows: UnitRows) -> tuple[bool, timedelta]:
    ends = gap.ends or rows.asked.ends or gap.starts
    return gap.ends is None, ends - gap.starts


def _rejections(rows: UnitRows, say: Say) -> Section:
    return Section(
        say("Readings not taken, and what to do", "被拒收的读数及处理办法"),
        say(
            "A rejected reading is missing, never zero. By the instant of the reading; what a door refused, by its arrival.",
            "被拒读数按缺失处理，绝不按零计。按读数时间统计；网关拒收按到达时间统计。",
        ),
        (
            Table(
                "rejections",
                columns(
                    say,
                    ("Reason", "原因"),
                    ("Point", "计量点"),
                    ("Readings", "读数条数"),
                    ("First", "最早"),
                    ("Last", "最近"),
                    ("What to do", "处理办法"),
                ),
                tuple(
                    (
                        word(say, REJECTED, r.reason),
                        r.point_name,
                        r.count,
                        r.first_at,
                        r.last_at,
                        remedy(say, r.reason),
                    )
                    for r in rows.rejections
                ),
                say("None.", "无。"),
            ),
        ),
    )


def _account(rows: UnitRows, say: Say) -> Section:
    return Section(
        say("What came", "收数台账"),
        say(
            "Readings by day of arrival, the newest 31 days: received = accepted + repeated + superseded + rejected + unreadable.",
            "按到达日统计，最近 31 天：收到 = 接受 + 重复 + 被取代 + 拒收 + 不可解析。",
        ),
        (
            Table(
                "account",
                columns(say, ("Day", "日期"),
                    ("Received", "收到"),
                    ("Accepted", "接受"),
                    ("Repeated", "重复"),
                    ("Superseded", "被取代"),
                    ("Rejected", "拒收"),
                    ("Unreadable", "不可解析"),
                ),
                tuple(
                    (a.day, a.received, a.accepted, a.repeated, a.superseded, a.rejected, a.unreadable)
                    for a in rows.account
                ),
                say("Nothing came yet.", "尚无数据到达。"),
                _ACCOUNT_ON_PAGE,
            ),
        ),
    )  # fmt: skip


# ---- For a court


def _factors(rows: UnitRows, say: Say) -> Section:
    used = [factor for factor in rows.factors if factor.id in rows.used]
    return Section(
        say("Factors", "折算系数"),
        say(
            f"By these the windows above were converted; pack {rows.papers.factor_pack}. Unverified: nobody has held the figure against its source.",
            f"以上窗口所用系数，系数包 {rows.papers.factor_pack}。未核实（unverified）：尚无人对照来源核对。",
        ),
        (
            Table(
                "factors",
                columns(
                    say,
                    ("Factor", "系数"),
                    ("Converts", "品种"),
                    ("To", "折算为"),
                    ("Year", "年份"),
                    ("Value", "数值"),
                    ("Status", "状态"),
                    ("Source", "来源"),
                ),
                tuple(
                    (
                        f.id,
                        word(say, QUANTITIES, f.quantity),
                        word(say, QUANTITIES, f.target),
                        str(f.year),
                        f"{f.value} {f.unit_of_measure}",
                        f.status,
                        f"{f.source}; {f.view}",
                    )
                    for f in used
                ),
                say("Nothing was converted.", "无折算。"),
            ),
        ),
    )


def _evidence(rows: UnitRows, say: Say) -> Section:
    records = {(r.window_kind, r.starts): r for r in rows.records}
    return Section(
        say("Evidence: every figure, to the last digit", "证据：逐项数值（全精度）"),
        say(RULES_EN, RULES_ZH),
        (
            _whole_span(rows, say),
            Table(
                "evidence",
                columns(say, ("Window", "窗口"),
                    Column(say("From", "起"), on_page=False),
                    ("Quantity", "品种"),
                    Column(say("Amount", "数值"), exact=True),
                    ("Unit of measure", "计量单位"),
                    ("As of", "截至"),
                    ("Configuration", "配置版本"),
                    ("Log record", "日志位置"),
                    ("Cause", "起因"),
                    ("Standing", "数值状态"),
                ),
                tuple(
                    _evidence_row(told, records.get((told.window_kind, told.starts)), rows, say)
                    for told in sorted(rows.told, key=_kind_first)
                ),
                say("Nothing was told of these days.", "所选日期无告知数据。"),
                45,
            ),
        ),
    )  # fmt: skip


def _kind_first(told: Told) -> tuple[int, float]:
    return ("year", "month", "day").index(told.window_kind), -told.starts.timestamp()


def _evidence_row(told: Told, record: Record | None, rows: UnitRows, say: Say) -> tuple[Cell, ...]:
    return (
        Noted(word(say, WINDOWS, told.window_kind), day(told.starts)),
        day(told.starts),
        word(say, QUANTITIES, told.quantity),
        _interval(told),
        told.unit_of_measure,
        told.as_of,
        None if record is None or record.configuration is None else str(record.configuration),
        _place(record, say),
        record.cause if record else None,
        _held(told, record, rows, say),
    )


def _place(record: Record | None, say: Say) -> str:
    if record is None:
        return ""
    if record.generation is None:
        gone = say("the record of the telling is gone", "告知记录已清除")
        return f"?/?/{record.offset}/{record.position} ({gone})"
    return f"{record.generation}/{record.partition}/{record.offset}/{record.position}"


def _held(told: Told, record: Record | None, rows: UnitRows, say: Say) -> str:
    words = []
    if told.contested:
        words.append(say(f"contested ({told.contested})", f"存在争议（{told.contested}）"))
    if rows.papers.pending is not None:
        words.append(say("pending restatement", "待重算"))
    if record is not None and not record.recomputable:
        words.append(say("no longer recomputable", "不可再复算"))
    return ", ".join(words) or say("recomputable", "可复算")


def _whole_span(rows: UnitRows, say: Say) -> Table:
    asked = rows.asked
    span = f"{moment(asked.starts)} – {moment(asked.ends)}" if asked.starts and asked.ends else ""
    gone = say(
        "No longer recomputable: the hours of this span were dropped; what was told of its windows stands below.",
        "不可再复算：该时段的小时数据已清除，各窗口告知值见下表。",
    )
    return Table(
        "span",
        columns(say, ("Whole span, worked out anew", "整段重新计算"),
            ("Quantity", "品种"),
            Column(say("Amount", "数值"), exact=True),
            ("Unit of measure", "计量单位"),
            ("Measured", "实测比例"),
            ("Standing", "数值状态"),
        ),
        tuple(
            (
                span,
                word(say, QUANTITIES, f.quantity),
                Interval(f.low, f.best, f.high),
                f.unit_of_measure,
                Share(f.share_measured),
                say("recomputable", "可复算")
                if f.recomputable
                else say("no longer recomputable", "不可再复算"),
            )
            for f in rows.figures or ()
        ),
        gone if rows.figures is None else say("Nothing was told of these days.", "所选日期无数据。"),
    )  # fmt: skip


def _foot(rows: UnitRows, say: Say) -> tuple[str, ...]:
    papers, asked = rows.papers, rows.asked
    span = ""
    if asked.starts and asked.ends:
        span = f"{moment(asked.starts)} – {moment(asked.ends)}"
    lines = (
        say(
            f"Read from the database at {moment(asked.read_at)}, of {span or 'nothing yet'}.",
            f"数据库读取时间 {moment(asked.read_at)}，数据时段 {span or '无'}。",
        ),
        say(
            f"Configuration {papers.configuration} (by {papers.author}, {moment(papers.loaded_at)}: {papers.reason});"
            f" factor pack {papers.factor_pack}; engine {papers.engine or 'none yet'}, that of the newest step.",
            f"配置 {papers.configuration}（{papers.author}，{moment(papers.loaded_at)}：{papers.reason}）；"
            f"系数包 {papers.factor_pack}；引擎 {papers.engine or '无'}（最新一步）。",
        ),
        say(
            f"Quota: {papers.quota_source or 'none'} ({papers.quota_status or '–'}). The verdict above is the newest, whatever days are asked for.",
            f"指标来源：{papers.quota_source or '无'}（{papers.quota_status or '–'}）。首部判定为最新判定，与所选日期无关。",
        ),
        say(ROUNDED_EN, ROUNDED_ZH),
    )
    if not papers.opening:
        return lines
    return (
        *lines,
        say(f"Opening balance: {papers.opening}.", f"期初累计值：{papers.opening}。"),
    )
