"""What `make bench` says and writes, without measuring anything."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import others_rows
from bench import ROWS, main
from late_month import SilentUnit
from plan import QUICK, Bench
from table import Table, at_least, at_most
from workload import PAIR, Workload

from deploy.local.complaint import ComplaintError


def test_a_value_is_held_to_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`met` is null where there is no target; the file has the fields that are promised."""
    monkeypatch.chdir(tmp_path)
    table = Table()
    table.add("rate", 0.5, "of the yardstick", at_least(0.45), correct=True)
    table.add("seconds", 3.5, "s", at_most(3), correct=True)
    table.add("seen", 7, "chunks", correct=False)
    table.write_json()
    table.write_document("make bench")
    rows = json.loads((tmp_path / "build/bench.json").read_text())["rows"]
    assert [row["met"] for row in rows] == [True, False, None]
    assert set(rows[0]) == {"name", "value", "unit", "target", "met", "correct"}
    assert "| seconds | 3.5 | s | <= 3 | NO | yes |" in (tmp_path / "BENCHMARKS.md").read_text()
    assert not table.is_correct()
    assert "seconds" in capsys.readouterr().err


def test_a_row_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names that there are, and exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["--rows", "one,fast"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no such rows: fast" in said
    assert all(name in said for name in ROWS)


def test_the_silent_unit_says_everything_in_the_end() -> None:
    """Nothing of it before, all of it after; the others as ever."""
    silent = SilentUnit(units=3, points=2, silent_until=8)
    plain = Workload(units=3, points=2, late=0, repeated=0)
    mine = silent.code(0)

    def said(workload: Workload, pairs: range, *, of_mine: bool) -> int:
        sections = [s for pair in pairs for _, some in workload.arrivals(pair) for s in some]
        return sum(len(s.at) for s in sections if (s.unit == mine) == of_mine)

    before, whole = range(4), range(6)
    assert said(silent, before, of_mine=True) == 0
    assert said(silent, whole, of_mine=True) == 6 * PAIR * 2
    assert said(silent, whole, of_mine=False) == said(plain, whole, of_mine=False)


def test_a_program_that_cannot_be_had_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row says so, and is not correct."""

    def refuse() -> Path:
        message = "go is missing on this machine"
        raise ComplaintError(message, "install it")

    monkeypatch.setattr(others_rows.installed, "telegraf", refuse)
    bench = Bench(QUICK, Table())
    others_rows.telegraf(bench)
    assert [(row.value, row.correct) for row in bench.table.rows] == [(0, False)]
    assert "go is missing on this machine" in bench.table.notes[0]
