"""The report from rows: what is on the page, in the workbook and in the CSV files."""

import csv
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import BytesIO, StringIO

import openpyxl
import pytest

from processors import report_numbers as numbers
from processors.report_document import Interval, Language, Report, Table
from processors.report_files import csv_text, flat, tables, workbook
from processors.report_page import page
from processors.report_region import region_report
from processors.report_rows import (
    Account,
    AlertNow,
    Asked,
    Deduction,
    Energy,
    Factor,
    Figure,
    Gap,
    Load,
    Papers,
    Point,
    Record,
    RegionRows,
    RegionTold,
    Rejection,
    Standing,
    Target,
    Told,
    UnitRows,
    YearLimit,
)
from processors.report_unit import unit_report

UNIT = "91510100SYN0000001"
HOSTILE = '<script>alert("x")</script> & =1+1'
START = datetime(2025, 12, 31, 16, tzinfo=UTC)
NOW = START + timedelta(days=2)
NAMES = {"energy": "tce", "co2": "t", "electricity": "kWh"}


def standing(**changed: object) -> Standing:
    """A unit in breach."""
    told = Standing(
        unit=UNIT, name="Example works", region="510100", region_name="Chengdu (成都)", industry_name="31 Ferrous metals",
        standing="confirmed breach", year=2026, as_of=NOW, reason=None, since=START + timedelta(hours=30),
        quota_tce=Decimal(1200), energy_low=Decimal("1234.567891"), energy_best=Decimal("1240.000001"),
        energy_high=Decimal("1250.123456"), best_of_quota=Decimal("1.0333"), share_measured=Decimal("0.999999"),
        watermark=NOW, silent_points=1,
    )  # fmt: skip
    return replace(told, **changed)  # type: ignore[arg-type]


PAPERS = Papers(3, START, "somebody", "a quota", None, "2026-11", "notice 7", "sourced", None, "1")


def told(kind: str, day: int, quantity: str, high: str | None = "30.5") -> Told:
    """A figure of a window that begins some days after the year."""
    starts = START + timedelta(days=day)
    high_end = None if high is None else Decimal(high)
    return Told(
        kind, starts, starts + timedelta(days=1), NOW, quantity, NAMES[quantity],
        Decimal("10.000001"), Decimal("20.25"), high_end, Decimal("0.75"), quantity == "co2",
    )  # fmt: skip


def record(kind: str, day: int, *, recomputable: bool = True) -> Record:
    """Where that window was told."""
    starts = START + timedelta(days=day)
    return Record(
        kind, starts, starts + timedelta(days=1), NOW, 2, 5, 4711, 9, 3, "late reading", recomputable
    )  # fmt: skip


def unit(**changed: object) -> UnitRows:
    """A unit with a row of everything."""
    rows = UnitRows(
        asked=Asked(NOW, START, NOW),
        standing=standing(),
        papers=PAPERS,
        told=(told("year", 0, "energy"), told("year", 0, "co2"), told("month", 0, "energy"),
              told("day", 0, "energy"), told("day", 1, "energy", None)),
        records=(record("year", 0), record("day", 0)),
        figures=(Figure("energy", "tce", Decimal(1), Decimal(2), Decimal(3), Decimal("0.5"), recomputable=True),),
        load=tuple(Load(START + i * timedelta(minutes=15), Decimal(1), Decimal(2), Decimal(3)) for i in range(8)),
        points=(Point("E1", "electricity", "kWh", "PT15M", Decimal(4000), START, None, START, True, START, Decimal(192000)),),  # noqa: FBT003
        gaps=(Gap("E1", "electricity", "kWh", "missing periods", START, START + timedelta(hours=1), Decimal(0), Decimal(4000), None, None),
              Gap("E1", "electricity", "kWh", "silent", START + timedelta(hours=40), None, Decimal(0), Decimal(32000), None, None)),
        rejections=(Rejection("rejected", "negative", "E1", 4, START, NOW), Rejection("unreadable", HOSTILE, None, 1, NOW, NOW)),
        factors=(Factor("power", "electricity", "energy", 2000, "equivalent value", "0.1229", "kgce/kWh", "GB/T 2589", "sourced"),
                 Factor("coal", "raw_coal", "co2", 2000, "set A", "1.9", "t/t", "set A", "unverified")),
        used=frozenset({"power"}),
        account=(Account(date(2026, 1, 2), 10, 6, 1, 1, 1, 1),),
        energies=(energy("gross"), energy("net of non-fossil"), energy("by the product standard", line="kiln", indicator="cement.clinker", low=None)),
        deducted=(Deduction("year", START, "net of non-fossil", "green power", "electricity", False, Decimal(-3), Decimal(-2), Decimal(0),  # noqa: FBT003 - as in its fields
                            ["paper 7"], ["deduction.green-power.2024"], True),),  # noqa: FBT003
    )  # fmt: skip
    return replace(rows, **changed)  # type: ignore[arg-type]


def energy(name: str, **changed: object) -> Energy:
    """One of the energies of the year."""
    one = Energy(
        "year", START, START + timedelta(days=365), NOW, name, "", None, None, "tce", "equivalent value", Decimal("10.000001"),
        Decimal(20), None, ["power"], True, None,  # noqa: FBT003 - as in its fields
    )  # fmt: skip
    return replace(one, **changed)  # type: ignore[arg-type]


def test_energies_stand_side_by_side_with_what_they_rest_on() -> None:
    """Low to the last digit; what is not known is said; the evidence is named."""
    report = unit_report(unit(), "en")
    gross, net, line = table(report, "energies").rows
    assert gross[1:6] == (
        "gross",
        "the unit's annual quota",
        Decimal("10.000001"),
        Decimal(20),
        "unknown",
    )
    assert net[1] == "net of non-fossil energy"
    assert line[1:4] == ("by the product standard's own rules: kiln", "cement.clinker", "unknown")
    assert (gross[0], gross[-1]) == ("year 2026", "unverified")
    assert "paper 7" in text_of(report)
    assert table(report, "deducted").rows[0][2] == "green power, electricity"


def region(**changed: object) -> RegionRows:
    """A city with two units, its sum, a target and an alert."""
    window = RegionTold(
        "city:510100", "510100 Chengdu", "year", START, START + timedelta(days=365), NOW, Decimal("1234.567891"),
        Decimal(1300), None, Decimal(5), Decimal(6), Decimal(7), Decimal("0.5"), 2, 1, 1, 1, 1, 0,
    )  # fmt: skip
    well = standing(unit="91510100SYN0000002", name=HOSTILE, standing="within quota", since=None)
    target = Target(
        "energy.510100", "city:510100", "510100 Chengdu", 2026, "energy", "key units", NOW, Decimal(2000), Decimal(100),
        "calendar", Decimal(1234), Decimal(1300), None, "UNDECIDABLE", "missing data", 1, "", "ours",
    )  # fmt: skip
    rows = RegionRows(
        asked=Asked(NOW, START, NOW),
        scope="city:510100",
        name="510100 Chengdu",
        units=(well, standing()),
        windows=(window, replace(window, window_kind="month")),
        targets=(target,),
        alerts=(AlertNow(UNIT, "quota-broken", "confirmed breach", "critical", "firing", NOW, "x"),),
        configuration=3,
        factor_packs=("2026-11",),
        engine="1",
        generation=2,
        offsets="0: 7",
    )  # fmt: skip
    return replace(rows, **changed)  # type: ignore[arg-type]


def text_of(report: Report) -> str:
    """What a person reads on the page, without markup, styles and separators of digits."""
    html = re.sub(r"<(style|svg)\b.*?</\1>", "", page(report), flags=re.DOTALL)
    words = unescape(re.sub(r"<[^>]+>", " ", html)).replace(numbers.THIN, "\N{THIN SPACE}")
    return " ".join(words.replace("\N{THIN SPACE}", "'").split())


def table(report: Report, name: str) -> Table:
    """One of its tables."""
    return next(table for table in tables(report) if table.name == name)


def test_a_unit_in_breach_is_told_from_verdict_to_evidence() -> None:
    """Golden: what stands on the page, in this order."""
    text = text_of(unit_report(unit(), "en"))
    golden = [
        "Example works 91510100SYN0000001 · Chengdu · 31 Ferrous metals",
        "✖ confirmed breach Even the lower bound has been above the annual quota since 2026-01-02 06:00.",
        "At least one conversion factor rests on a figure that nobody has verified",
        "Energy 2026 1'240.000 tce [1'234.567, 1'250.124]",
        "Annual quota 1'200.000 tce source: notice 7",
        "Share measured 99.99'%",
        "Month by month",
        "2026-01 20.250 [10.000, 30.500] – 75.00'%",
        "Day by day",
        "2026-01-02 20.250 [10.000, unknown] – 75.00'%",
        "Load of the last week",
        "1 of 1 points are silent",
        "E1 ? silent electricity 2026-01-01 00:00 4'000.000 192'000.000 kWh",
        "E1 silent until now 2026-01-02 16:00 now 0.000 32'000.000 kWh",
        "E1 missing periods 2026-01-01 00:00 2026-01-01 01:00 0.000 4'000.000 kWh",
        "negative E1 4 2026-01-01 00:00 2026-01-03 00:00 Find out why the meter ran backwards",
        "2026-01-02 10 6 1 1 1 1",
        "power electricity energy, equivalent value 2000 0.1229 kgce/kWh sourced GB/T 2589; equivalent value",
        "The arithmetic is schemas/RULES.md, sections 1 to 6",
        "2026-01-01 00:00 – 2026-01-03 00:00 energy, equivalent value 2.000000 [1.000000, 3.000000] tce 50.00'% recomputable",
        "year 2026-01-01 energy, equivalent value 20.250000 [10.000001, 30.500000] tce 2026-01-03 00:00 3 2/5/4711/9 late reading recomputable",
        "Configuration 3 (by somebody, 2026-01-01 00:00: a quota); factor pack 2026-11; engine 1",
    ]  # fmt: skip
    place = 0
    for line in golden:
        assert line in text[place:], line
        place = text.index(line, place)
    assert "coal" not in text  # a factor that nothing here was converted by


def limit(quantity: str, **changed: object) -> YearLimit:
    """Its year against one of its limits."""
    one = YearLimit(
        unit=UNIT, name="Example works", quantity=quantity, year=2026, as_of=NOW, standing="confirmed breach", reason=None,
        since=START + timedelta(hours=30), amount=Decimal(100), low=Decimal(101), best=Decimal(102), high=None, factor_view=None,
        source="letter 8", status="example", unverified=False, contested=None, landing="broken", year_end_low=Decimal(900),
        year_end_best=Decimal(950), year_end_high=None, exhausted_best=date(2026, 1, 2), per_day_safe=Decimal(0),
    )  # fmt: skip
    return replace(one, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quantity", "rests"),
    [
        pytest.param("energy", "equivalent value; unverified factor; contested: 2 units", id="energy"),
        pytest.param("co2", "electricity by the view V; unverified factor; contested: 2 units", id="CO2"),
    ],
)  # fmt: skip
def test_a_target_says_what_it_rests_on(quantity: str, rests: str) -> None:
    """Basis or view, and what is doubted; the page's head says that a sum is unverified."""
    rows = region()
    target = replace(rows.targets[0], quantity=quantity, views=["V"], unverified=True, contested=2)
    windows = tuple(replace(one, co2_unverified=True) for one in rows.windows)
    report = region_report(replace(rows, targets=(target,), windows=windows), "en")
    (row,) = next(t for t in tables(report) if t.name == "targets").rows
    assert rests in row
    assert any("nobody has verified" in one for one in report.notices)


def test_quota_and_budget_stand_side_by_side() -> None:
    """Each with its verdict, since, landing and headroom, and what it rests on; in a region's report budgets alone."""
    budget = limit(
        "co2", standing="cannot be judged", reason="other factor view", since=None, low=Decimal(40), best=Decimal(45), high=Decimal(50),
        factor_view="national average", unverified=True, contested="objection 3", landing="may break",
    )  # fmt: skip
    rows = unit(limits=(limit("energy"), budget))
    text = text_of(unit_report(rows, "en"))
    for words in (
        "annual energy quota 2026",
        "annual CO2 budget 2026",
        "another view of the electricity factor",
        "view: national average",
        "may break, passed on 2026-01-02",
        "electricity by the view national average; letter 8 (example); unverified factor; contested (objection 3)",
        "equivalent value; letter 8 (example)",
    ):
        assert words in text
    (quota, its) = next(t for t in tables(unit_report(rows, "en")) if t.name == "limits").rows
    assert its[5] is None, "CO2 by one view leaves nothing of a budget by another"
    assert replace(budget, reason=None).left == Interval(Decimal(50), Decimal(55), Decimal(60))
    assert quota[5] == Interval(Decimal(0), Decimal(0), Decimal(0)), "nothing of a broken one"
    chinese = text_of(unit_report(rows, "zh"))
    assert "碳排放预算" in chinese
    assert "系数未经核实" in chinese


def test_a_region_is_told_worst_first() -> None:
    """Golden, with a unit whose name is markup."""
    text = text_of(region_report(region(), "en"))
    golden = [
        "510100 Chengdu city · 2 key energy-using units ✖ 1 × confirmed breach",
        "1 confirmed breach, 1 within quota so far.",
        "Energy 2026 1'300.000 tce [1'234.567, unknown]",
        "Example works 91510100SYN0000001 ✖ confirmed breach 1'240.000 [1'234.567, 1'250.124] 1'200.000 103.33'%",
        f"{HOSTILE} 91510100SYN0000002 ✔ within quota so far",
        "energy.510100 510100 Chengdu; key units; energy, equivalent value ✖ level 1, very severe 1'300.000 [1'234.000, unknown]",
        "UNDECIDABLE (data are missing)",
        "year 2026 1'300.000 [1'234.567, unknown] 6.000 [5.000, 7.000] 50.00'% 2 1 0 1",
        "firing Example works confirmed breach critical",
        "city:510100 year 2026-01-01 energy, equivalent value 1'300.000000 [1'234.567891, unknown] tce",
        "log generation 2, next offset of each partition 0: 7",
    ]  # fmt: skip
    place = 0
    for line in golden:
        assert line in text[place:], line
        place = text.index(line, place)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_people_wrote_is_never_markup(language: Language) -> None:
    """Names, reasons and sources come from people and from senders."""
    rows = unit(
        standing=standing(name=HOSTILE, region_name=HOSTILE),
        papers=replace(PAPERS, author=HOSTILE, reason=HOSTILE, opening=HOSTILE),
    )
    for report in (unit_report(rows, language), region_report(region(), language)):
        html = page(report)
        assert "<script" not in html
        assert "&lt;script&gt;" in html


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_loads_nothing(language: Language) -> None:
    """It holds all that it needs, and forbids the rest."""
    for report in (unit_report(unit(), language), region_report(region(), language)):
        html = page(report)
        assert not re.search(r"(?:src|href|url|import)\s*[=(]|https?:|<script|<link", html)
        assert "default-src &#39;none&#39;" in html
        assert html.startswith("<!doctype html>")


def test_the_chinese_page_is_chinese() -> None:
    """One setting changes every title."""
    text = text_of(unit_report(unit(), "zh"))
    for words in ("✖ 确认超标", "自 2026-01-02 06:00 起，下限已超过年度指标。", "逐月", "逐日", "最近一周负荷", "修复清单", "证据", "schemas/RULES.md"):  # fmt: skip
        assert words in text
    assert 'lang="zh-CN"' in page(unit_report(unit(), "zh"))


def test_a_unit_of_which_nothing_was_told() -> None:
    """Every section says that it is empty; nothing is shown as zero."""
    nothing = standing(
        standing="nothing told yet", year=None, as_of=None, since=None, quota_tce=None, energy_low=None, energy_best=None,
        energy_high=None, best_of_quota=None, share_measured=None, watermark=None, silent_points=0,
    )  # fmt: skip
    text = text_of(
        unit_report(UnitRows(asked=Asked(NOW, None, None), standing=nothing, papers=PAPERS), "en")
    )
    for words in (
        "? nothing told yet",
        "Annual quota –",
        "As of –",
        "Nothing was told of these days.",
    ):
        assert words in text
    for words in ("No electricity was metered", "No point is registered.", "Nothing came yet.", "of nothing yet"):  # fmt: skip
        assert words in text
    assert "tce [" not in text


def test_a_unit_without_quota_and_without_upper_end() -> None:
    """An unknown end is said, drawn open, and left empty in the files."""
    rows = unit(
        standing=standing(
            standing="no quota", quota_tce=None, best_of_quota=None, energy_high=None, since=None
        ),
        told=(told("month", 0, "energy", None),),
    )
    report = unit_report(rows, "en")
    text = text_of(report)
    assert "– no quota No quota is registered for the year" in text
    assert "Energy 2026 1'240.000 tce [1'234.567, unknown]" in text
    assert "stroke-dasharray" in page(report)
    titles, values = flat(table(report, "months"))
    assert titles[1:4] == ["Energy low [tce]", "Energy best [tce]", "Energy high [tce]"]
    assert values[0][1:4] == [Decimal("10.000001"), Decimal("20.25"), None]


def test_a_band_whose_high_is_unknown_reaches_the_top() -> None:
    """It must not look as if the best estimate were the most."""
    report = unit_report(unit(), "en")
    days = page(report).split("Energy by day", 1)[1].split("<table", 1)[0]
    (corners, *_) = re.findall(r'<polygon points="([^"]+)"', days)
    first, second = corners.split()[1], corners.split()[2]
    assert float(second.split(",")[1]) == 20.0 < float(first.split(",")[1])


def test_what_waits_and_what_is_gone_is_said() -> None:
    """A court reads it in the head and beside the figure."""
    gone = unit(
        papers=replace(PAPERS, pending=4),
        records=(record("day", 0, recomputable=False),),
        figures=None,
    )
    text = text_of(unit_report(gone, "en"))
    assert "Pending restatement: configuration 4 changes how readings count." in text
    assert "No longer recomputable: records of windows up to 2026-01-01 were dropped" in text
    assert "pending restatement, no longer recomputable" in text
    assert "the hours of this span were dropped" in text
    assert "Pending restatement: 91510100SYN0000001" in text_of(
        region_report(region(pending=frozenset({UNIT})), "en")
    )


def test_units_are_added_up_before_the_first_hour() -> None:
    """One of which nothing was told leaves the upper end unknown."""
    silent = standing(
        unit="91510100SYN0000003", standing="nothing told yet", energy_low=None, energy_best=None, energy_high=None,
        best_of_quota=None, quota_tce=None,
    )  # fmt: skip
    text = text_of(region_report(region(windows=(), units=(standing(), silent)), "en"))
    assert "Energy, units added up 1'240.000 tce [1'234.567, unknown]" in text
    assert "No full hour was summed up for this region yet" in text


def test_the_workbook_opens_with_the_same_numbers() -> None:
    """Each table is a sheet; a number is a number; a text that looks like a formula is none."""
    for report in (unit_report(unit(), "en"), region_report(region(), "zh")):
        book = openpyxl.load_workbook(BytesIO(workbook(report)))
        assert book.sheetnames == ["report", *(some.name for some in tables(report))]
        for some in tables(report):
            titles, rows = flat(some)
            sheet = [list(row) for row in book[some.name].iter_rows()]
            assert [cell.value for cell in sheet[0]] == titles
            assert len(sheet) == 1 + len(rows)
            for row, values in zip(sheet[1:], rows, strict=True):
                for cell, value in zip(row, values, strict=True):
                    assert cell.data_type != "f"
                    if isinstance(value, int | Decimal):
                        assert cell.value == float(value)
                    elif isinstance(value, str):
                        assert (cell.value or "") == value
                    elif value is None:
                        assert cell.value is None


def test_csv_has_every_digit_and_no_formula() -> None:
    """Spreadsheets work out what begins with = + - @."""
    rows = region(units=(standing(name="=1+1"),), alerts=())
    read = list(csv.DictReader(StringIO(csv_text(table(region_report(rows, "en"), "units")))))
    assert read[0]["Unit"] == "'=1+1"
    assert read[0]["Energy of the year low [tce]"] == "1234.567891"
    assert read[0]["As of"] == "2026-01-03T00:00:00+08:00"
    assert read[0]["Code"] == UNIT


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(numbers.low(Decimal("1234.5679")), "1 234.567", id="low goes down"),
        pytest.param(numbers.high(Decimal("1234.5671")), "1 234.568", id="high goes up"),
        pytest.param(numbers.low(Decimal("-0.0001")), "−0.001", id="down, below zero too"),
        pytest.param(numbers.percent(Decimal("0.999999")), "99.99 %", id="never 100 too early"),
        pytest.param(numbers.amount(Decimal("1.2"), exact=True), "1.200000", id="all six"),
    ],
)
def test_numbers_are_rounded_outward(written: str, expected: str) -> None:
    """So that what is written holds, too."""
    assert written.replace(numbers.THIN, " ") == expected


def test_many_rows_are_cut_on_the_page_alone() -> None:
    """The workbook and the CSV files have all."""
    gaps = tuple(replace(unit().gaps[0], starts=START + timedelta(hours=i)) for i in range(100))
    report = unit_report(unit(gaps=gaps), "en")
    assert "40 of 100 rows; the workbook and the CSV files have all." in text_of(report)
    assert len(flat(table(report, "gaps"))[1]) == 100
    assert isinstance(table(report, "months").rows[0][1], Interval)
