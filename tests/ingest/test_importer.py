"""A file is understood as its mapping says, to the last quarter hour, and nothing is guessed."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from ingest.__main__ import main
from ingest.complaint import ComplaintError
from ingest.import_progress import Progress
from ingest.importer import Imported, as_understood, import_file, load_mapping, taken
from ingest.mapping import FileMapping, Ticker, ends_of, instant_of, read_mapping
from ingest.simulator import Claim, section_of
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS, QUARTER_MS, instant, rfc3339
from schemas.registry import STATEMENTS, Statement
from schemas.section import NEVER, Record, Section, Unreadable

UNIT = "91510100SYN0000001"
RECEIVED_AT = 1_795_399_210_000
STEEL = """
time = "date"
time_format = "%d/%m/%Y %H:%M"
label = "end"
midnight = "ends the day"

[[readings]]
point = "E1"
value = "Usage_kWh"
statement = "PT15M"
unit = "kWh"
"""
STEEL_ROWS = """\ufeffdate,Usage_kWh,Load_Type
1/1/2018 23:45,3.17,Light_Load
1/1/2018 00:00,4,Light_Load
2/1/2018 00:15,3.24,Light_Load
"""


def say(_text: str) -> None:
    """Nobody listens."""


def mapping_of(text: str) -> FileMapping:
    return read_mapping(text)


def imported(
    folder: Path, rows: str, mapping: str, *, tick_ms: int | None = None
) -> tuple[list[Section | Unreadable], Imported]:
    path = folder / "file"
    path.write_text(rows, encoding="utf-8")
    done = Imported()
    records = import_file(
        path,
        mapping_of(mapping),
        unit=UNIT,
        received_at=RECEIVED_AT,
        partitions=8,
        tick_ms=tick_ms,
        say=say,
        done=done,
    )
    parts = [part for _, record in records for part in parts_of(record)]
    return parts, done


def parts_of(record: Record) -> Iterator[Section | Unreadable]:
    assert isinstance(record.body, tuple)
    yield from record.body


def only(parts: list[Section | Unreadable]) -> Section:
    (part,) = parts
    assert isinstance(part, Section)
    return part


def starts(section: Section) -> list[str]:
    return [rfc3339(at) for at in section.at.tolist()]


def test_the_midnight_row_belongs_to_the_day_that_ends(tmp_path: Path) -> None:
    """Labels are ends; `1/1/2018 00:00` is the end of 1 January; the byte-order mark is none."""
    parts, done = imported(tmp_path, STEEL_ROWS, STEEL)
    section = only(parts)
    assert starts(section) == [
        "2018-01-01T23:30:00+08:00",
        "2018-01-01T23:45:00+08:00",
        "2018-01-02T00:00:00+08:00",
    ]
    assert section.value.tolist() == [3_170_000, 4_000_000, 3_240_000]
    assert section.sent_at == NEVER
    assert (done.rows, done.readings, done.sums["E1", "PT15M", "kWh"]) == (3, 3, 10_410_000)
    assert done.backwards == 0


def test_the_same_label_read_otherwise(tmp_path: Path) -> None:
    """Without `midnight`, the row goes back a day; that is counted, so that a person sees it."""
    _, done = imported(tmp_path, STEEL_ROWS, STEEL.replace("ends the day", "begins the day"))
    assert done.backwards == 1


@pytest.mark.parametrize(
    ("label", "change", "statement", "expected"),
    [
        pytest.param("2018-01-01T00:15:00", {}, "PT15M", "2018-01-01T00:15:00+08:00", id="start"),
        pytest.param(
            "2018-01-01T00:15:00Z", {}, "PT15M", "2018-01-01T08:15:00+08:00", id="own offset"
        ),
        pytest.param(
            "2018-01-01T00:15:00",
            {"offset": "-05:30"},
            "PT15M",
            "2018-01-01T13:45:00+08:00",
            id="offset of the file",
        ),
        pytest.param(
            "2018-01-02T00:00:00", {"label": "end"}, "P1D", "2018-01-01T00:00:00+08:00", id="day"
        ),
        pytest.param(
            "2018-03-01T00:00:00", {"label": "end"}, "P1M", "2018-02-01T00:00:00+08:00", id="month"
        ),
        pytest.param(
            "2018-01-01T00:15:00",
            {"label": "end"},
            "register",
            "2018-01-01T00:15:00+08:00",
            id="a register has an instant",
        ),
        pytest.param(
            "1514736900000",
            {"time_format": "epoch_ms"},
            "PT15M",
            "2018-01-01T00:15:00+08:00",
            id="milliseconds",
        ),
        pytest.param(
            "1514736900",
            {"time_format": "epoch_s"},
            "PT15M",
            "2018-01-01T00:15:00+08:00",
            id="seconds",
        ),
    ],
)
def test_labels(label: str, change: dict[str, str], statement: Statement, expected: str) -> None:
    """The instant that a label names."""
    readings = [{"point": "E1", "value": "v", "statement": statement, "unit": "kWh"}]
    mapping = FileMapping.model_validate({"time": "t", "readings": readings, **change})
    assert instant_of(label, mapping, statement) == instant(datetime.fromisoformat(expected))


def test_what_is_not_understood_is_refused_with_its_text(tmp_path: Path) -> None:
    """A month 13 is not made a day; an empty cell is no reading."""
    rows = (
        "date,Usage_kWh\n1/13/2018 00:15,1\n1/1/2018 00:30,\n1/1/2018 00:45,n/a\n1/1/2018 01:00,2\n"
    )
    parts, done = imported(tmp_path, rows, STEEL)
    section = only(parts)
    assert [(item.position, item.reason) for item in section.refused] == [
        (0, "bad time"),
        (1, "not a number"),
    ]
    assert "1/13/2018 00:15" in section.refused[0].original
    assert (done.rows, done.readings, done.empty) == (4, 1, 1)


def test_points_in_a_column_and_several_values(tmp_path: Path) -> None:
    """A long file names its point in each row; a row may give several readings."""
    mapping = """
        format = "jsonl"
        time = "ts"
        time_format = "epoch_ms"
        decimal = ","
        [[readings]]
        point_column = "meter"
        value = "kwh"
        statement = "PT1H"
        unit = "kWh"
        [[readings]]
        point = "C1"
        value = "coal"
        statement = "P1D"
        unit = "t"
        rank = "manual"
    """
    rows = (
        '{"ts": 1514736000000, "meter": "A", "kwh": "1,5", "coal": 0.12345678901234567}\n\n'
        '{"ts": 1514739600000, "meter": "B", "kwh": 2, "coal": null}\n'
    )
    section = only(imported(tmp_path, rows, mapping)[0])
    assert section.names == ("A", "C1", "B")
    assert section.value.tolist() == [1_500_000, 123_457, 2_000_000]
    assert section.units_of_measure == ("kWh", "t")


def test_messages_line_by_line(tmp_path: Path) -> None:
    """The contract's own messages; a line that is none is kept as unreadable."""
    rows = (
        '{"point": "E1", "at": 5, "statement": "register", "value": 1, "unit": "kWh"}\n'
        "not a message\n"
    )
    parts, done = imported(tmp_path, rows, 'format = "messages"')
    assert [type(part) for part in parts] == [Section, Unreadable]
    assert done.refused == {"not JSON": 1}


def test_ticks_stand_between_the_rows(tmp_path: Path) -> None:
    """Each after the readings that were over by then, the last after the last row."""
    rows = "date,Usage_kWh\n" + "".join(
        f"1/1/2018 0{i // 4}:{15 * (i % 4):02d},{i}\n" for i in range(1, 9)
    )
    section = only(imported(tmp_path, rows, STEEL, tick_ms=QUARTER_MS)[0])
    start = instant(datetime.fromisoformat("2018-01-01T00:00:00+08:00"))
    assert section.ticks == tuple((i, start + i * QUARTER_MS) for i in range(1, 9))
    hourly = only(imported(tmp_path, rows, STEEL, tick_ms=HOUR_MS)[0])
    assert hourly.ticks == ((4, start + HOUR_MS), (8, start + 2 * HOUR_MS))


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 3]), st.integers(0, 40)), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=3).map(set),
)
def test_no_tick_comes_before_what_was_over(told: list[tuple[int, int]], cuts: set[int]) -> None:
    """In a file in order of ends: tick T stands after all that ended by T, before all that did not.

    However the file falls into sections; and each beat between the first end and the last is given.
    """
    claims = sorted(
        (
            Claim("P", code, HOUR_MS + at * QUARTER_MS // 3, 1, "kWh", 5, 0, NEVER)
            for code, at in told
        ),
        key=lambda claim: ends_of(section_of(UNIT, [claim], received_at=0)).item(),
    )
    ends = [ends_of(section_of(UNIT, [claim], received_at=0)).item() for claim in claims]
    ticker = Ticker(every_ms=QUARTER_MS)
    edges = sorted({0, len(claims), *(cut for cut in cuts if cut < len(claims))})
    pieces = [
        (a, ticker.ticked(section_of(UNIT, claims[a:b], received_at=0))) for a, b in pairwise(edges)
    ]
    offset, last = pieces[-1]
    pieces[-1] = (offset, ticker.last(last))
    ticks = [(base + position, at) for base, part in pieces for position, at in part.ticks]
    assert [at for _, at in ticks] == [
        at for at in range(0, ends[-1] + 1, QUARTER_MS) if at >= ends[0]
    ]
    for position, at in ticks:
        assert all(end <= at for end in ends[:position])
        assert all(end > at for end in ends[position:])


def test_a_days_tick_is_at_the_business_midnight() -> None:
    """Also the last one, where the last reading ends with the day."""
    quarters = [
        Claim("E1", 1, at, 1, "kWh", 5, 0, NEVER) for at in range(0, 2 * DAY_MS, QUARTER_MS)
    ]
    first, second = DAY_MS - OFFSET_MS, 2 * DAY_MS - OFFSET_MS
    section = section_of("91510100SYN0000001", quarters, received_at=0)
    assert Ticker(every_ms=DAY_MS).ticked(section).ticks == ((64, first), (160, second))
    whole = section_of("91510100SYN0000001", quarters[:160], received_at=0)
    ticker = Ticker(every_ms=DAY_MS)
    assert ticker.last(ticker.ticked(whole)).ticks == ((64, first), (160, second))


def test_the_same_file_twice_is_the_same(tmp_path: Path) -> None:
    """Reading by reading: same claims, so that the second import is repeats alone."""
    first, second = (only(imported(tmp_path, STEEL_ROWS, STEEL)[0]) for _ in range(2))
    for name in ("at", "value"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    assert (first.rank, first.revision, first.sent_at) == (
        second.rank,
        second.revision,
        second.sent_at,
    )


def test_a_long_file_is_many_records(tmp_path: Path) -> None:
    """Each of at most two thousand readings, numbered in order."""
    rows = "date,Usage_kWh\n" + "1/1/2018 00:15,1\n" * 4_500
    parts, done = imported(tmp_path, rows, STEEL)
    assert [len(part) for part in parts if isinstance(part, Section)] == [2_000, 2_000, 500]
    assert done.readings == 4_500


def test_a_dry_run_shows_what_is_understood(tmp_path: Path) -> None:
    """From when to when, what was refused, and what the whole comes to."""
    path = tmp_path / "file"
    path.write_text(STEEL_ROWS + "x,1\n", encoding="utf-8")
    told = "\n".join(as_understood(path, mapping_of(STEEL), unit=UNIT, say=say))
    assert "E1 PT15M 2018-01-01T23:45:00+08:00 to 2018-01-02T00:00:00+08:00: 4 kWh" in told
    assert "refused, bad time:" in told
    assert "E1 PT15M: 10.41 kWh in all" in told


@pytest.mark.parametrize(
    ("rows", "mapping", "said"),
    [
        pytest.param("a,b\n1,2\n", STEEL, r"no column \['Usage_kWh', 'date'\]", id="columns"),
        pytest.param("", STEEL, "no column", id="empty file"),
        pytest.param("{\n", 'format="jsonl"\n' + STEEL, "line 1 is not JSON", id="half an object"),
        pytest.param("7\n", 'format="jsonl"\n' + STEEL, "not a JSON object", id="a number"),
    ],
)
def test_a_file_that_is_not_what_the_mapping_says(
    tmp_path: Path, rows: str, mapping: str, said: str
) -> None:
    """A word about it, and no traceback."""
    with pytest.raises(ComplaintError, match=said):
        imported(tmp_path, rows, mapping)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    """GBK is not taken for UTF-8."""
    path = tmp_path / "file"
    path.write_bytes("date,Usage_kWh\n1/1/2018 00:15,电\n".encode("gb18030"))
    with pytest.raises(ComplaintError, match="encoding"):
        list(as_understood(path, mapping_of(STEEL), unit=UNIT, say=say))
    told = list(
        as_understood(path, mapping_of('encoding = "gb18030"\n' + STEEL), unit=UNIT, say=say)
    )
    assert "refused, not a number: 1" in "\n".join(told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("x", "mapping", id="no TOML"),
        pytest.param('format = "csv"', "needs `time`", id="no columns"),
        pytest.param(STEEL.replace("PT15M", "PT5M"), "statement", id="statement"),
        pytest.param(STEEL.replace('point = "E1"', ""), "either point", id="no point"),
        pytest.param(STEEL + 'colour = "red"', "Extra inputs", id="misspelt"),
    ],
)
def test_a_mapping_that_is_not_right(tmp_path: Path, text: str, said: str) -> None:
    """A word about it."""
    path = tmp_path / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ComplaintError, match=said):
        load_mapping(path)


def test_every_statement_has_an_end() -> None:
    """A month's is where the next begins."""
    at = instant(datetime.fromisoformat("2026-02-01T00:00:00+08:00"))
    claims = [Claim("P", code, at, 1, "kWh", 5, 0, NEVER) for code in range(len(STATEMENTS))]
    ends = ends_of(section_of(UNIT, claims, received_at=0)).tolist()
    assert [rfc3339(end) for end in ends] == [
        "2026-02-01T00:00:00+08:00",
        "2026-02-01T00:15:00+08:00",
        "2026-02-01T00:30:00+08:00",
        "2026-02-01T01:00:00+08:00",
        "2026-02-02T00:00:00+08:00",
        "2026-03-01T00:00:00+08:00",
    ]


WORKBOOK = """
format = "xlsx"
sheet = "meters"
header = 3
time = "time"

[[readings]]
point_column = "meter"
value = "kWh"
statement = "PT15M"
unit = "kWh"
"""


def workbook(path: Path, rows: list[list[object]]) -> Path:
    """As another program writes one: two rows of titles, then the columns' names."""
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm"})
    book.add_worksheet("notes").write(0, 0, "not here")
    sheet = book.add_worksheet("meters")
    sheet.write(0, 0, "Consumption of the hall")
    for number, row in enumerate([["time", "meter", "kWh"], *rows], 2):
        for column, cell in enumerate(row):
            sheet.write(number, column, cell)
    book.close()
    return path


def test_a_workbook_says_the_same_as_text(tmp_path: Path) -> None:
    """Times of the workbook's own kind and as text, meters that are numbers, empty rows and cells."""
    path = workbook(
        tmp_path / "a.xlsx",
        [
            [datetime(2026, 1, 1, 0, 15), 1001, 12.25],  # noqa: DTZ001 - workbooks know no offset
            [],
            [datetime(2026, 1, 1, 0, 30), 1001, None],  # noqa: DTZ001
            ["2026-01-01 00:45", "E2", "7.5"],
        ],
    )
    (taken_part,) = taken(path, mapping_of(WORKBOOK), unit=UNIT, received_at=RECEIVED_AT)
    section = only([taken_part.part])
    assert starts(section) == ["2026-01-01T00:15:00+08:00", "2026-01-01T00:45:00+08:00"]
    assert (section.names, section.value.tolist()) == (("1001", "E2"), [12_250_000, 7_500_000])
    assert (taken_part.rows, taken_part.empty, taken_part.places) == (3, 1, (4, 7))


def test_a_dry_run_names_the_row_the_reason_and_what_to_do(tmp_path: Path) -> None:
    """Of what would be refused; rows are counted as the workbook shows them."""
    path = workbook(tmp_path / "a.xlsx", [["2026-01-01 00:15", "E1", 1], ["soon", "E1", 2]])
    lines = list(as_understood(path, mapping_of(WORKBOOK), unit=UNIT, say=say))
    assert lines[0] == "E1 PT15M 2026-01-01T00:15:00+08:00 to 2026-01-01T00:30:00+08:00: 1 kWh"
    assert lines[1].startswith("row 5: refused, bad time: ")
    assert "refused, bad time: 1\n    write RFC 3339" in lines[2]


def test_what_is_no_workbook_or_has_no_such_sheet_is_said(tmp_path: Path) -> None:
    """With the sheets that there are."""
    (tmp_path / "a.xlsx").write_text("time,meter")
    with pytest.raises(ComplaintError, match="no Excel workbook"):
        list(taken(tmp_path / "a.xlsx", mapping_of(WORKBOOK), unit=UNIT, received_at=0))
    path = workbook(tmp_path / "b.xlsx", [])
    wrong = mapping_of(WORKBOOK.replace("meters", "Sheet9"))
    with pytest.raises(ComplaintError, match="'notes', 'meters'"):
        list(taken(path, wrong, unit=UNIT, received_at=0))


def test_how_far_it_was_sent_is_of_one_file_mapping_and_unit(tmp_path: Path) -> None:
    """Another content, mapping, unit or beat of ticks begins anew."""
    file, mapping, kept = tmp_path / "file", tmp_path / "mapping", tmp_path / "kept"
    file.write_text("a")
    mapping.write_text("b")

    def progress(unit: str = UNIT, ticks: str = "") -> Progress:
        return Progress.of(kept, file=file, mapping=mapping, unit=unit, ticks=ticks)

    progress().keep(7)
    assert (progress().records, progress().complete) == (7, False)
    assert progress(unit="91510100SYN0000002").records == progress(ticks="PT15M").records == 0
    progress().keep(9, complete=True)
    assert progress().complete
    file.write_text("other")
    assert (progress().records, progress().complete) == (0, False)
    kept.write_text("?")
    with pytest.raises(ComplaintError, match="how far it was sent"):
        progress()


def test_a_dry_run_asks_the_registry_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the engine itself; what the door refuses keeps its own word. Exit code 1: not all would be taken."""
    (tmp_path / "registry.toml").write_text(REGISTRY)
    (tmp_path / "mapping.toml").write_text(JUDGED)
    good = "2026-01-02T00:00:00+08:00,10,"
    bad = [
        "2026-01-02T00:15:00+08:00,101,",
        "soon,1,",
        "2025-12-31T00:00:00+08:00,1,",
        good[:-1] + ",7",
    ]
    words = ["import", str(tmp_path / "a.csv"), "--mapping", str(tmp_path / "mapping.toml")]
    words += ["--dry-run", "--registry"]

    def asked(rows: list[str]) -> tuple[int, list[str]]:
        (tmp_path / "a.csv").write_text("\n".join(["at,kWh,other", *rows]) + "\n")
        code = main([*words, str(tmp_path / "registry.toml")])
        return code, capsys.readouterr().out.splitlines()

    assert asked([good]) == (
        0,
        [
            "E1 PT15M 2026-01-02T00:00:00+08:00 to 2026-01-02T00:15:00+08:00: 10 kWh",
            "1 rows: 1 readings, 1 empty cells",
            "from 2026-01-02T00:00:00+08:00 to 2026-01-02T00:15:00+08:00",
            "E1 PT15M: 10 kWh in all",
        ],
    )
    code, lines = asked([good, *bad])
    assert code == 1
    told = [line for line in lines if line.startswith("row ")]
    assert [(line.partition(": ")[0], line.split(": ")[1]) for line in told] == [
        ("row 4", "refused, bad time"),
        ("row 3", "rejected by the registry, faster than rated"),
        ("row 5", "rejected by the registry, outside validity"),
        ("row 6", "rejected by the registry, unknown point"),
    ]
    assert "rejected by the registry, unknown point: 1" in lines


REGISTRY = """
regions = [{ code = "510100", name = "-" }]
industries = [{ code = "31", name = "-" }]

[[units]]
code = "91510100SYN0000001"
name = "-"
region = "510100"
industry = "31"
history = true
points = [{ name = "E1", quantity = "electricity", unit_of_measure = "kWh", statement = "PT15M", rated_per_hour = 400, valid_from = 2026-01-01T00:00:00+08:00 }]
"""
JUDGED = """
unit = "91510100SYN0000001"
time = "at"

[[readings]]
point = "E1"
value = "kWh"
statement = "PT15M"
unit = "kWh"

[[readings]]
point = "E9"
value = "other"
statement = "PT15M"
unit = "kWh"
"""
