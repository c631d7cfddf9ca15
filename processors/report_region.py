"""The report of a region or industry, for who answers for it. From rows to sections, purely."""

from collections import Counter
from collections.abc import Iterable, Sequence
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
    Tone,
    columns,
)
from processors.report_limits import budgets_section
from processors.report_numbers import count, day, moment
from processors.report_rows import RegionRows, RegionTold, Standing, Target
from processors.report_words import (
    COVERS,
    KINDS,
    QUANTITIES,
    REASONS,
    REGION_RULES_EN,
    REGION_RULES_ZH,
    ROUNDED_EN,
    ROUNDED_ZH,
    STANDINGS,
    VERDICTS,
    WINDOWS,
    place,
    standing,
    urgency,
    word,
)

_LEVELS: dict[int | None, tuple[str, str, Tone]] = {
    1: ("level 1, very severe", "一级（十分严峻）", "breach"),
    2: ("level 2, rather severe", "二级（比较严峻）", "suspected"),
    3: ("level 3, basically smooth", "三级（基本顺利）", "well"),
}
_GAUGED = 12
_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
_SCOPES = {
    "province": ("province", "省"),
    "city": ("city", "市州"),
    "county": ("county", "县区"),
    "industry": ("industry", "行业"),
}


def region_report(rows: RegionRows, language: Language) -> Report:
    """Everything that is told of one region or industry."""
    say = Say(language)
    units = sorted(rows.units, key=_attention)
    counts = Counter(unit.standing for unit in units)
    return Report(
        language=language,
        read_at=rows.asked.read_at,
        title=place(say, rows.name),
        subtitle=say(
            f"{_level_of(rows.scope, say)} · {count(len(units))} key energy-using units",
            f"{_level_of(rows.scope, say)} · {count(len(units))} 家重点用能单位",
        ),
        verdict=_verdict(counts, say),
        sentence=_sentence(counts, say),
        notices=tuple(_notices(rows, say)),
        facts=tuple(_facts(rows, say)),
        gauge=None,
        sections=(
            _units(rows, units, say),
            *budgets_section(rows.limits, say),
            _targets(rows, say),
            _sums(rows, say),
            _parts(rows, say),
            _alerts(rows, say),
            _evidence(rows, units, say),
        ),
        foot=_foot(rows, say),
    )


def _level_of(scope: str, say: Say) -> str:
    parts = (part.partition(":")[0] for part in scope.split("+"))
    return " + ".join(word(say, _SCOPES, part) for part in parts)


def _attention(unit: Standing) -> tuple[int, Decimal, int, str]:
    """What needs attention first: by standing, then by how much of the quota is used, then silence."""
    return (
        urgency(unit.standing),
        -(unit.best_of_quota or Decimal(0)),
        -unit.silent_points,
        unit.unit,
    )


def _verdict(counts: Counter[str], say: Say) -> Mark:
    """Of the worst unit: how many are as it is."""
    worst = min(counts, key=urgency)
    found = standing(say, worst)
    return Mark(f"{counts[worst]} × {found.text}", found.tone)


def _sentence(counts: Counter[str], say: Say) -> str:
    parts = [f"{count(counts[key])} {say(*STANDINGS[key][:2])}" for key in STANDINGS if counts[key]]
    return say(", ".join(parts) + ".", "，".join(parts) + "。")


def _notices(rows: RegionRows, say: Say) -> Iterable[str]:
    if rows.pending:
        names = ", ".join(sorted(rows.pending))
        yield say(
            f"Pending restatement: {names}. Their figures are still those before the configuration that waits.",
            f"待重算：{names}，以下仍为重算前的数值。",
        )
    contested = max((window.contested for window in rows.windows), default=0)
    if contested:
        yield say(
            f"Contested, and not decided: figures of {contested} units in these sums; `python -m processors objection list` names them.",
            f"存在争议、尚未裁定：下列合计中有 {contested} 家单位的数值；详见 objection list。",
        )
    if any(window.energy_unverified or window.co2_unverified for window in rows.windows):
        yield say(
            "At least one conversion factor of a unit in these sums rests on a figure that nobody has verified.",
            "合计中至少一家单位的折算系数未经核实。",
        )
    if not rows.windows:
        yield say(
            "No full hour was summed up for this region yet; the sum below adds what each unit was last told, each at its own time.",
            "该地区尚无整点汇总；下列合计为各单位最近一次告知值之和，截至时间各不相同。",
        )


def _year(rows: RegionRows) -> RegionTold | None:
    years = [window for window in rows.windows if window.window_kind == "year"]
    return max(years, key=lambda window: window.starts, default=None)


def _facts(rows: RegionRows, say: Say) -> Iterable[Fact]:
    year = _year(rows)
    if year is None:
        yield from _facts_of_units(rows, say)
        return
    name = day(year.starts)[:4]
    yield Fact(say(f"Energy {name}", f"{name} 年综合能耗"), _energy(year), "tce")
    yield Fact("CO2" if say.language == "en" else "二氧化碳排放", _co2(year), "t")
    yield Fact(say("Share measured, mean", "平均实测比例"), Share(year.share_measured))
    told = say(
        f"{year.told} told, {year.pending} pending, {year.silent} with silent points",
        f"已告知 {year.told}，时间落后 {year.pending}，有计量点无数据 {year.silent}",
    )
    yield Fact(say("Units", "单位数"), year.units, "", told)
    yield Fact(say("As of", "截至"), year.hour)


def _facts_of_units(rows: RegionRows, say: Say) -> Iterable[Fact]:
    used = _added(rows.units)
    if used is not None:
        yield Fact(say("Energy, units added up", "综合能耗（单位合计）"), used, "tce")
    yield Fact(say("Units", "单位数"), len(rows.units))
    silent = sum(unit.silent_points for unit in rows.units)
    yield Fact(say("Silent points", "无数据计量点"), silent)
    yield Fact(
        say("Newest time of a unit", "最新时间"),
        max((unit.watermark for unit in rows.units if unit.watermark), default=None),
    )


def _added(units: Sequence[Standing]) -> Interval | None:
    """What units were last told, added up; of one that was told nothing the upper end is unknown."""
    told = [unit for unit in units if unit.energy_low is not None]
    if not told:
        return None
    highs = [unit.energy_high for unit in units]
    return Interval(
        sum((unit.energy_low or Decimal(0) for unit in told), Decimal(0)),
        sum((unit.energy_best or Decimal(0) for unit in told), Decimal(0)),
        None if None in highs else sum((high for high in highs if high is not None), Decimal(0)),
    )


def _energy(window: RegionTold) -> Interval:
    return Interval(window.energy_low, window.energy_best, window.energy_high)


def _co2(window: RegionTold) -> Interval:
    return Interval(window.co2_low, window.co2_best, window.co2_high)


# ---- Units


def _used(unit: Standing) -> Interval | None:
    if unit.energy_low is None or unit.energy_best is None:
        return None
    return Interval(unit.energy_low, unit.energy_best, unit.energy_high)


def _units(rows: RegionRows, units: Sequence[Standing], say: Say) -> Section:
    return Section(
        say("Units, what needs attention first", "各单位（按需关注程度排序）"),
        say(
            "In breach, suspected, not to be judged, then the rest by how much of the quota is used. Bar: best estimate; box: low to high, dashed where high is unknown.",
            "依次为确认超标、疑似超标、无法判定，其余按指标使用比例排列。条：最佳估计；框：下限至上限，虚线框表示上限不明。",
        ),
        (
            *_gauges(units, say),
            Table(
                "units",
                columns(
                    say,
                    ("Unit", "单位"),
                    ("Standing", "判定"),
                    ("Energy of the year", "年度综合能耗", "tce"),
                    ("Quota", "指标", "tce"),
                    ("Best of quota", "占指标"),
                    ("Measured", "实测比例"),
                    ("Silent", "无数据点"),
                    ("Since, or why", "起始时间或原因"),
                    ("As of", "截至"),
                    Column(say("Code", "信用代码"), on_page=False),
                ),
                tuple(_unit_row(unit, rows, say) for unit in units),
                "",
                500,
            ),
        ),
    )


def _unit_row(unit: Standing, rows: RegionRows, say: Say) -> tuple[Cell, ...]:
    why = moment(unit.since) if unit.since else ""
    if unit.reason:
        why = word(say, REASONS, unit.reason)
    if unit.unit in rows.pending:
        why = f"{why}; {say('pending restatement', '待重算')}".lstrip("; ")
    if unit.contested:
        why = f"{why}; {say('contested', '存在争议')} ({unit.contested})".lstrip("; ")
    return (
        Noted(unit.name, unit.unit) if unit.name else unit.unit,
        standing(say, unit.standing),
        _used(unit),
        unit.quota_tce,
        None if unit.best_of_quota is None else Share(unit.best_of_quota),
        None if unit.share_measured is None else Share(unit.share_measured),
        unit.silent_points,
        why,
        unit.as_of,
        unit.unit,
    )


def _gauges(units: Sequence[Standing], say: Say) -> list[Chart]:
    """The first units against their own quotas, in percent of it."""
    judged = [unit for unit in units if unit.quota_tce and _used(unit)]
    points = tuple(
        Bounded(f"{_shape(unit)} {unit.name or unit.unit}", _percent(unit))
        for unit in judged[:_GAUGED]
    )
    title = say(
        "Energy of the year in percent of each unit's quota", "各单位年度综合能耗占其指标的百分比"
    )
    return [Chart("gauge", title, "%", points, Decimal(100), say("quota", "指标"))] if points else []  # fmt: skip


def _shape(unit: Standing) -> str:
    tone = STANDINGS[unit.standing][2] if unit.standing in STANDINGS else "plain"
    return {"breach": "✖", "suspected": "▲", "unknown": "?", "well": "✔"}.get(tone, "–")


def _percent(unit: Standing) -> Interval:
    used, quota = _used(unit), unit.quota_tce
    assert used is not None  # noqa: S101 - only judged units come here
    assert quota is not None  # noqa: S101
    high = None if used.high is None else 100 * used.high / quota
    return Interval(100 * used.low / quota, 100 * used.best / quota, high)


# ---- Targets and sums


def _targets(rows: RegionRows, say: Say) -> Section:
    return Section(
        say("Targets", "双控目标"),
        say(
            "Allowed until the hour by the calendar or the seasonal schedule. Levels are by rules of our own, not official ones.",
            "截至该时刻的允许量按日历或季节进度折算。预警等级按本系统规则，并非官方结论。",
        ),
        (
            Table(
                "targets",
                columns(
                    say,
                    ("Target", "目标"),
                    Column(say("Of", "对象"), on_page=False),
                    ("Level", "等级"),
                    ("Used", "已用"),
                    ("Allowed until then", "截至允许量"),
                    ("Target amount", "目标值"),
                    ("Unit of measure", "计量单位"),
                    ("Verdict", "判定"),
                    ("Rests on", "口径与依据"),
                    ("Hour", "整点"),
                ),
                tuple(_target_row(target, rows, say) for target in rows.targets),
                say(
                    "No target stands for this region, or no full hour was summed up yet.",
                    "该地区无目标，或尚无整点汇总。",
                ),
            ),
        ),
    )


def _target_row(target: Target, rows: RegionRows, say: Say) -> tuple[Cell, ...]:
    reason = f" ({word(say, REASONS, target.reason)})" if target.reason else ""
    name = place(say, rows.name if target.scope == rows.scope else target.name)
    of = f"{name}; {word(say, COVERS, target.covers)}; {word(say, QUANTITIES, target.quantity)}"
    return (
        Noted(target.target, of),
        of,
        _level(target, say),
        Interval(target.low, target.best, target.high),
        target.allowed,
        target.target_amount,
        "tce" if target.quantity == "energy" else "t",
        word(say, VERDICTS, target.verdict) + reason,
        "; ".join(_rests(target, say)),
        target.hour,
    )


def _rests(target: Target, say: Say) -> Iterable[str]:
    """Basis or view, and what is doubted."""
    views = ", ".join(target.views or ())
    if target.quantity == "energy":
        yield say("equivalent value", "当量值")
    elif views:
        yield say(f"electricity by the view {views}", f"电力排放因子口径：{views}")
    if target.unverified:
        yield say("unverified factor", "系数未经核实")
    if target.contested:
        yield say(f"contested: {target.contested} units", f"存在争议：{target.contested} 家单位")


def _level(target: Target, say: Say) -> Mark:
    if target.level not in _LEVELS:
        why = word(say, REASONS, target.level_reason)
        return Mark(say(f"no data ({why})", f"无数据（{why}）"), "unknown")
    english, chinese, tone = _LEVELS[target.level]
    return Mark(say(english, chinese), tone)


def _window_columns(first: str, say: Say) -> tuple[Column, ...]:
    return columns(
        say,
        Column(first),
        ("Energy", "综合能耗", "tce"),
        Column("CO2", "t"),
        ("Measured", "实测比例"),
        ("Units", "单位数"),
        ("Above quota", "超标"),
        ("Cannot be judged", "无法判定"),
        ("Pending", "时间落后"),
        ("As of", "截至"),
    )


def _window_row(first: str, window: RegionTold) -> tuple[Cell, ...]:
    return (
        first,
        _energy(window),
        _co2(window),
        Share(window.share_measured),
        window.units,
        window.broken if window.window_kind == "year" else None,
        window.not_judged if window.window_kind == "year" else None,
        window.pending,
        window.hour,
    )


def _sums(rows: RegionRows, say: Say) -> Section:
    months = [window for window in rows.windows if window.window_kind == "month"]
    ordered = sorted(rows.windows, key=lambda w: (w.window_kind != "year", -w.starts.timestamp()))
    title = say("Energy month by month", "逐月综合能耗")
    points = tuple(Bounded(day(month.starts)[:7], _energy(month)) for month in months)
    return Section(
        say("Sums of the key units", "重点用能单位合计"),
        say(REGION_RULES_EN, REGION_RULES_ZH),
        (
            *([Chart("bars", title, "tce", points)] if points else []),
            Table(
                "sums",
                _window_columns(say("Window", "窗口"), say),
                tuple(
                    _window_row(
                        f"{word(say, WINDOWS, window.window_kind)} {day(window.starts)[: 4 if window.window_kind == 'year' else 7]}",
                        window,
                    )
                    for window in ordered
                ),
                say("No full hour was summed up yet.", "尚无整点汇总。"),
            ),
        ),
    )


def _parts(rows: RegionRows, say: Say) -> Section:
    ordered = sorted(rows.parts, key=lambda part: (-part.broken, -part.not_judged, part.scope))
    return Section(
        say("Its cities or counties, newest year", "下辖地区（最新年度）"),
        say("Most units above their quota first.", "按超标单位数排列。"),
        (
            Table(
                "parts",
                _window_columns(say("Region", "地区"), say),
                tuple(_window_row(place(say, part.name), part) for part in ordered),
                say("None was summed up.", "无汇总。"),
            ),
        ),
    )


def _alerts(rows: RegionRows, say: Say) -> Section:
    names = {unit.unit: unit.name or unit.unit for unit in rows.units}
    ordered = sorted(
        rows.alerts,
        key=lambda a: (a.state != "firing", _SEVERITIES.get(a.severity, 1), -a.since.timestamp()),
    )
    return Section(
        say("Alerts that stand", "当前告警"),
        say("Firing first, the most severe on top.", "已触发在前，按级别排列。"),
        (
            Table(
                "alerts",
                columns(
                    say,
                    ("State", "状态"),
                    ("Unit", "单位"),
                    ("What", "内容"),
                    ("Severity", "级别"),
                    ("Since", "起"),
                    ("Rule", "规则"),
                ),
                tuple(
                    (
                        word(say, KINDS, a.state),
                        names[a.unit],
                        word(say, KINDS, a.kind),
                        word(say, KINDS, a.severity),
                        a.since,
                        a.rule,
                    )
                    for a in ordered
                ),
                say("None.", "无。"),
            ),
        ),
    )  # fmt: skip


# ---- For a court


def _evidence(rows: RegionRows, units: Sequence[Standing], say: Say) -> Section:
    sums = [
        (
            rows.scope,
            f"{word(say, WINDOWS, window.window_kind)} {day(window.starts)}",
            word(say, QUANTITIES, quantity),
            amount,
            measure,
            window.hour,
        )
        for window in rows.windows
        for quantity, amount, measure in (
            ("energy", _energy(window), "tce"),
            ("co2", _co2(window), "t"),
        )
    ]
    each = [
        (
            unit.unit,
            f"{say('year', '年')} {unit.year}",
            word(say, QUANTITIES, "energy"),
            used,
            "tce",
            unit.as_of,
        )
        for unit in units
        if (used := _used(unit))
    ]
    return Section(
        say("Evidence: every figure, to the last digit", "证据：逐项数值（全精度）"),
        say(
            "A sum's version is its hour; once told it is never changed, a correction shows in the hours after it."
            " A unit's record of the log and its factors stand in the unit's own report.",
            "合计以整点为版本，告知后不再改动，更正体现在其后的整点。各单位的日志位置与系数见其单位报告。",
        ),
        (
            Table(
                "evidence",
                columns(
                    say,
                    ("Of", "对象"),
                    ("Window", "窗口"),
                    ("Quantity", "品种"),
                    Column(say("Amount", "数值"), exact=True),
                    ("Unit of measure", "计量单位"),
                    ("As of", "截至"),
                ),
                (*sums, *each),
                say("Nothing was told yet.", "尚无告知数据。"),
                60,
            ),
        ),
    )


def _foot(rows: RegionRows, say: Say) -> tuple[str, ...]:
    packs = ", ".join(rows.factor_packs)
    generation = rows.generation if rows.generation is not None else "–"
    return (
        say(
            f"Read from the database at {moment(rows.asked.read_at)}; log generation {generation}, next offset of each partition {rows.offsets or 'none'}.",
            f"数据库读取时间 {moment(rows.asked.read_at)}；日志第 {generation} 代，各分区下一偏移 {rows.offsets or '无'}。",
        ),
        say(
            f"Configuration {rows.configuration}; factor pack {packs}; engine {rows.engine or 'none yet'}, that of the newest step.",
            f"配置 {rows.configuration}；系数包 {packs}；引擎 {rows.engine or '无'}（最新一步）。",
        ),
        say(ROUNDED_EN, ROUNDED_ZH),
    )
