"""The report of the small province, read as a member of weir_reader, holds what the oracle says."""

from decimal import Decimal
from io import BytesIO
from pathlib import Path

import openpyxl
import psycopg
import pytest

from oracle import window_figures
from processors.report import main, report_of
from processors.report_document import Interval, Report, Table
from processors.report_files import tables
from processors.report_rows import Span
from processors.report_store import NothingError, unit_rows
from processors.report_unit import unit_report
from schemas.registry import UNIT_OF_MEASURE
from tests.dashboards.conftest import Seeded
from tests.dashboards.expected import amount
from tests.dashboards.world import END, NO_QUOTA, START, UNTOLD, WELL, code

UNITS = [code(number) for number in range(1, 9)]
WORDS = {"energy, equivalent value": "energy", "CO2": "co2", "raw coal": "raw_coal"}

WORST_FIRST = [
    *("confirmed breach", "suspected breach", "cannot be judged"),
    *("nothing told yet", "no quota", "within quota so far"),
]


@pytest.fixture
def reader(seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> str:
    """The province's database as the command line has it."""
    monkeypatch.setenv("WEIR_DATABASE_URL", seeded.reader)
    return seeded.reader


def unit_of(url: str, unit: str) -> Report:
    """A unit's report over all its days."""
    return report_of(url, unit=unit, region=None, span=Span(), language="en")


def table(report: Report, name: str) -> Table:
    """One of its tables."""
    return next(table for table in tables(report) if table.name == name)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != UNTOLD])
def test_a_units_figures_are_the_oracles(seeded: Seeded, unit: str) -> None:
    """Every window that was told, to the last digit, with the record that told it."""
    judged = seeded.expected.province.judged[unit]
    told = {
        (getattr(row[0], "text", ""), WORDS.get(str(row[2]), str(row[2]))): row
        for row in reversed(table(unit_of(seeded.reader, unit), "evidence").rows)
    }
    for kind in ("year", "month", "day"):
        for name, figure in judged.windows[kind].figures.items():
            row = told[kind, name]
            assert row[3] == Interval(
                Decimal(figure.low).scaleb(-6),
                Decimal(figure.best).scaleb(-6),
                amount(figure.high),
            )
            assert row[4] == UNIT_OF_MEASURE[name]
            assert str(row[7]).startswith("1/")
            assert row[9] == "recomputable"


def test_the_whole_span_is_the_oracles(seeded: Seeded) -> None:
    """What figures() works out anew over the days asked for."""
    rows = table(unit_of(seeded.reader, WELL), "span").rows
    figures = window_figures(seeded.expected.province.world(WELL), START, END, END)
    assert [row[2] for row in rows] == [
        Interval(Decimal(f.low).scaleb(-6), Decimal(f.best).scaleb(-6), amount(f.high))
        for name in ("electricity", "raw_coal", "output", "energy", "co2")
        if (f := figures.get(name)) is not None
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_a_units_verdict(seeded: Seeded, unit: str) -> None:
    """Of every kind of unit, one of which nothing was told."""
    assert (
        unit_of(seeded.reader, unit).verdict.text.removesuffix(" so far")
        == seeded.expected.one(unit).word
    )


def test_budgets_are_told_beside_the_quotas(seeded: Seeded) -> None:
    """By who may read the views alone: who breaks the quota keeps the budget; another view cannot be judged."""
    report = report_of(seeded.reader, unit=None, region="510000", span=Span(), language="en")
    held = {getattr(row[0], "note", ""): row for row in table(report, "limits").rows}
    assert len(held) == 2
    assert {getattr(row[1], "text", "") for row in held.values()} == {
        "within budget so far",
        "cannot be judged",
    }
    assert {str(row[10]).partition(";")[0] for row in held.values()} == {
        "electricity by the view provincial average, Sichuan",
        "electricity by the view national average",
    }
    both = table(unit_of(seeded.reader, code(1)), "limits").rows
    assert [row[9] for row in both] == ["tce", "t CO2"]
    assert ["(example)" in str(row[10]) for row in both] == [True, True]
    assert "unverified factor" in str(both[0][10]), "its landing rests on one"


def test_a_region_lists_its_units_worst_first(seeded: Seeded) -> None:
    """Everyone of the province, its sum, its cities, its targets."""
    report = report_of(seeded.reader, unit=None, region="510000", span=Span(), language="en")
    units = table(report, "units").rows
    assert {row[9] for row in units} == set(UNITS)
    words = [getattr(row[1], "text", "") for row in units]
    assert words == sorted(words, key=WORST_FIRST.index)
    assert report.title == "510000 Sichuan"
    assert table(report, "parts").rows
    assert {str(getattr(row[0], "text", "")) for row in table(report, "targets").rows} == {
        "huge",
        "society",
        "tiny",
    }
    hour, rows = seeded.expected.heard.hours[-1]
    year = next(of for span, of in rows.windows.items() if span.kind == "year" and span.end > hour)
    told = year["province:510000"].energy
    assert table(report, "sums").rows[0][1] == Interval(
        Decimal(told.low).scaleb(-6), Decimal(told.best).scaleb(-6), amount(told.high)
    )


@pytest.mark.parametrize("kind", ["readings", "hours"])
def test_what_retention_dropped_and_what_waits_is_said(seeded: Seeded, kind: str) -> None:
    """In a transaction of the owner that never ends well: others read the same province."""
    with psycopg.connect(seeded.url) as link:
        link.execute(
            "INSERT INTO dropped (kind, to_day, rows, bytes, settings) VALUES (%s, '2026-01-02', 1, 1, '')",
            (kind,),
        )
        link.execute("UPDATE unit SET pending = 4 WHERE code = %s", (WELL,))
        link.execute("SET LOCAL ROLE weir_reader")
        rows = unit_rows(link, WELL, Span())
        link.rollback()
    assert rows.papers.pending == 4
    if kind == "hours":
        assert rows.figures is None
    else:
        assert rows.figures is not None
        assert not any(figure.recomputable for figure in rows.figures)
        days = [r.recomputable for r in rows.records if r.window_kind == "day"]
        assert days == [False, True]
    evidence = table(unit_report(rows, "en"), "evidence").rows
    assert all(str(row[9]).startswith("pending restatement") for row in evidence)


def test_an_industry_has_no_parts(seeded: Seeded) -> None:
    """A scope is named as the aggregator names it."""
    report = report_of(seeded.reader, unit=None, region="industry:26", span=Span(), language="zh")
    assert table(report, "units").rows
    assert not table(report, "parts").rows


@pytest.mark.usefixtures("reader")
def test_the_command_writes_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page, a workbook, a folder; the names of the files are printed."""
    page, book, folder = tmp_path / "u.html", tmp_path / "u.xlsx", tmp_path / "csv"
    words = ["--unit", WELL, "--from", "2026-01-02", "--to", "2026-01-02", "--language", "zh"]
    assert main([*words, "--out", str(page), "--xlsx", str(book), "--csv", str(folder)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [str(page), str(book)]
    assert {Path(path).parent for path in told[2:]} == {folder}
    assert "目前未超标" in page.read_text(encoding="utf-8")
    days = openpyxl.load_workbook(BytesIO(book.read_bytes()))["days"]
    assert [row[0].value for row in days.iter_rows(min_row=2)] == ["2026-01-02"]
    assert (folder / "gaps.csv").read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--unit", "91510100SYN9999999"], "there is no registered unit 91510100SYN9999999"),
        (["--region", "330000"], "there is no registered unit in province:330000"),
        (["--unit", WELL, "--from", "2027-01-01"], "nothing was told from 2027-01-01 on"),
        (["--unit", NO_QUOTA, "--out", "/nonexistent/u.html"], "No such file or directory"),
    ],
)
def test_what_cannot_be_told_is_said(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 with the reason, and no file."""
    page = tmp_path / "never.html"
    assert main(["--out", str(page), *words]) == 1
    assert said in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--unit", WELL],
        ["--unit", WELL, "--region", "510000", "--out", "x.html"],
        ["--unit", WELL, "--out", "x.html", "--from", "yesterday"],
        ["--unit", WELL, "--out", "x.html", "--from", "2026-01-03", "--to", "2026-01-02"],
    ],
)
def test_wrong_words_end_with_two(words: list[str]) -> None:
    """Before any database is asked."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_a_login_without_the_right_is_told_so(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Services read by their own rights, not by those of a person."""
    monkeypatch.setenv("WEIR_DATABASE_URL", seeded.logins["alerts"])
    assert main(["--unit", WELL, "--out", "/nonexistent/never.html"]) == 1
    assert (
        "must be a member of weir_reader, weir_regulator or weir_enterprise"
        in capsys.readouterr().err
    )


def test_nothing_is_registered_under_a_name_of_markup(seeded: Seeded) -> None:
    """What is asked for is a value, never a part of a query."""
    with pytest.raises(NothingError):
        unit_of(seeded.reader, "'; DROP TABLE unit; --")
