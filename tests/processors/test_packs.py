"""The commands on packs: they teach, and what they print can be followed by hand."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from processors.packs import main
from processors.packs_examples import mistakes, worked_examples
from processors.packs_shown import chosen
from schemas.pack import NoEntryError
from schemas.pack_limits import Limit
from schemas.pack_reading import KINDS, PackText, our_packs, our_text, read_packs

ROOT = Path(__file__).parents[2]
FACTOR = """
[pack]
version = "7"

[[power]]
id = "{id}"
region = "sichuan"
view = "provincial average"
year = {year}
value = "{value}"
unit = "kgCO2/kWh"
source = "announcement"
status = "sourced"
"""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(FACTOR.format(id="electricity.co2.sichuan.2023", year=2023, value="0.2000"))
    return path


Printed = pytest.CaptureFixture[str]


@pytest.mark.parametrize("verb", ["check", "list", "compare", "examples"])
def test_help_has_an_example(verb: str, capsys: Printed) -> None:
    """Each verb shows a command that can be copied."""
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    _, _, example = capsys.readouterr().out.partition("example:\n")
    assert f"python -m processors packs {verb}" in example


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sing"],
        ["list", "--kind", "gold"],
        ["list", "--at", "yesterday"],
        ["compare", "weir"],
    ],
)
def test_words_that_are_wrong(words: list[str], capsys: Printed) -> None:
    """Exit code 2, and what is wrong."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_ours_is_in_order(capsys: Printed) -> None:
    """And says how many of its figures are unverified."""
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{our_packs().packs[0].version}: ")
    assert "unverified" in said


def test_the_command_is_a_verb_of_the_processors(own: Path) -> None:
    """From a shell, with the packs of the settings."""
    done = subprocess.run(
        [sys.executable, "-m", "processors", "packs", "examples"],
        cwd=ROOT,
        env=os.environ | {"WEIR_PACKS": str(own)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "13,300 kWh/t x 0.2000 kgCO2/kWh" in done.stdout
    assert "own 7 (" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("-1", "own.toml: power[0] (p): -1 kgCO2/kWh is negative", id="negative"),
        pytest.param("x", "value: 'x' is no decimal text", id="no number"),
    ],
)
def test_a_wrong_pack_is_refused(value: str, said: str, tmp_path: Path, capsys: Printed) -> None:
    """Exit code 1, with file and entry."""
    path = tmp_path / "own.toml"
    path.write_text(FACTOR.format(id="p", year=2024, value=value))
    assert main(["check", str(path)]) == 1
    assert said in capsys.readouterr().err


def test_a_pack_that_cannot_be_read(tmp_path: Path, capsys: Printed) -> None:
    """No file, no TOML in the folder, no text."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("none", "cannot be read"),
        ("empty", "holds no *.toml"),
        ("bytes.toml", "cannot be read"),
    ):
        assert main(["list", "--pack", str(tmp_path / name)]) == 1
        assert said in capsys.readouterr().err


def test_a_directory_is_one_pack(own: Path, capsys: Printed) -> None:
    """All of its files."""
    (own.parent / "more.toml").write_text(FACTOR.format(id="p", year=2024, value="0.1"))
    assert (
        main(
            ["list", "--pack", str(own.parent), "--kind", "power", "--region", "sichuan", "--json"]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert {one["year"] for one in told if not one["pack"].startswith("weir")} == {2023, 2024}


EXAMPLE = """
[[example]]
id = "own.example"
title = "power"
amount = "100"
amount_unit = "kWh"
times = ["electricity.co2.sichuan.2023"]
gives = "{gives}"
unit = "kgCO2"
"""


def test_an_example_that_does_not_come_out_is_refused(own: Path, capsys: Printed) -> None:
    """With what comes out."""
    own.write_text(own.read_text() + EXAMPLE.format(gives="15.64"))
    assert main(["check", str(own)]) == 1
    assert "is 20.00 kgCO2, and by hand 15.64 kgCO2" in capsys.readouterr().err


def test_an_example_of_ours_does_not_bind_an_own_figure(own: Path, capsys: Printed) -> None:
    """It is shown with what comes out now, and says why it differs."""
    assert main(["check", str(own)]) == 0
    assert main(["examples", "--pack", str(own)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Sichuan 2023" in line]
    assert "2.66 tCO2/t" in line
    assert line.endswith("a later pack gives another figure than the example was worked with")


def test_list_shows_what_is_in_force(capsys: Printed) -> None:
    """With unit, days, status, pack and source; a day that nobody confirmed is marked."""
    assert main(["list", "--kind", "limit", "--at", "2026-11-23"]) == 0
    said = capsys.readouterr().out
    assert "43 / 46 / 52 kgce/t" in said
    assert "from 2025-01-01?" in said
    assert "GB 29447-2026" not in said
    assert main(["list", "--kind", "limit", "--at", "2027-01-01"]) == 0
    assert "GB 29447-2026" in capsys.readouterr().out


@pytest.mark.parametrize("region", ["510400", "Panzhihua", "攀枝花", "sichuan", "510000"])
def test_a_region_has_the_factors_of_its_province(region: str) -> None:
    """By code or name."""
    found = chosen(our_packs(), kinds=["power"], region=region, at=date(2023, 6, 30))
    assert [held.entry.id for held in found] == ["electricity.co2.sichuan.2023"]


def test_list_of_everything_names_every_kind(capsys: Printed) -> None:
    """And as many as the pack holds."""
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{kind}: " in f"\n{said}" for kind in KINDS)
    assert f"{len(our_packs().held)} entries of " in said


def test_compare(own: Path, capsys: Printed) -> None:
    """Added, removed, changed, by id and field."""
    own.write_text(
        own.read_text()
        + FACTOR.format(id="p", year=2024, value="0.1").replace('[pack]\nversion = "7"', "")
    )
    assert main(["compare", "weir", str(own)]) == 0
    said = capsys.readouterr().out
    assert "added: 1" in said
    assert "value: 0.1564 -> 0.2000" in said
    assert main(["compare", str(own), "weir", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in told["removed"]] == ["p"]
    (changed,) = told["changed"]
    assert changed["fields"]["value"] == ["0.2000", "0.1564"]
    assert main(["compare", "weir", "weir"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_compare_alone(own: Path, capsys: Printed) -> None:
    """Whole packs, without ours below them."""
    assert main(["compare", "--alone", str(own), str(own)]) == 0
    assert main(["compare", "--alone", "weir", str(own), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(told["removed"]) == len(our_packs().held) - 1


def test_every_example_comes_out() -> None:
    """Products, and limits with and without corrections, as worked out by hand."""
    assert mistakes(our_packs()) == []
    worked = {one.title: one for one in worked_examples(our_packs())}
    assert worked["CO2 of aluminium's power, Sichuan 2023"].result == "2.08 tCO2/t"
    assert worked["CO2 of aluminium's power, national 2023"].result == "7.06 tCO2/t"
    assert worked["equal value of 2020 over equivalent value"].result == "2.48 times"
    assert not worked["equal value of 2020 over equivalent value"].verified


def test_every_limit_has_its_examples() -> None:
    """Each plain and at its exact boundary; each that has corrections also with some."""
    worked = [one for one in worked_examples(our_packs()) if one.kind == "limit"]
    for held in our_packs().of(Limit):
        rows = [one for one in worked if one.entry == held.entry.id]
        assert len(rows) > bool(held.entry.corrections)
        assert all(" is PASS, " in one.note and one.note.endswith(" is FAIL") for one in rows)


def test_where_a_coefficient_and_its_heat_value_differ_the_coefficient_holds() -> None:
    """Electricity recomputes to 0.1228, and is 0.1229."""
    (told,) = [
        one for one in worked_examples(our_packs()) if one.entry == "electricity.energy.equivalent"
    ]
    assert (told.result, told.expected) == ("0.1228 kgce/kWh", "0.1229 kgce/kWh")
    assert "the published coefficient holds" in told.note


def test_examples_as_json(capsys: Printed) -> None:
    """One line."""
    assert main(["examples", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(worked_examples(our_packs()))


BROKEN = """
[[limit]]
id = "own"
indicator = "own"
product = "own"
unit = "kWh/t"
levels = ["1", "2", "3"]
valid_from = 2026-01-01
source = "s"
status = "sourced"
corrections = [{ kind = "add", value = ["1", "2", "3"] }]
examples = [{ gives = ["2", "4", "7"] }, { declared = { gold = "1" }, gives = ["2", "4", "6"] }]
"""


def test_a_limit_worked_wrong_by_hand_is_found() -> None:
    """So is an example that declares what no parameter is, and a correction that is always made."""
    wrong = mistakes(read_packs([our_text(), PackText("own", (("own.toml", BROKEN),))]))
    assert any("is 2 / 4 / 6 kWh/t, and by hand 2 / 4 / 7 kWh/t" in line for line in wrong)
    assert any("gold is no parameter of any pack" in line for line in wrong)


def test_an_example_over_a_range_is_refused() -> None:
    """There is no single value to reckon with."""
    text = """
    example = [{ id = "e", title = "t", amount = "1", amount_unit = "kg", times = ["coal_slime.energy"], gives = "1", unit = "kgce" }]
    """
    packs = read_packs([our_text(), PackText("own", (("own.toml", text),))])
    with pytest.raises(NoEntryError, match=r"coal_slime\.energy has no single value"):
        mistakes(packs)
