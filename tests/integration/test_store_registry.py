"""What people enter: checked, stored as numbered versions, read back."""

from pathlib import Path

import psycopg
import pytest

from processors import registry
from processors.ports import EntryRow
from processors.registry import RegistryError
from processors.store import Store
from schemas.registry import Configuration, Registry
from tests.integration.steps import OTHER, UNIT

TEXT = """
regions = [{ code = "510100", name = "Chengdu", name_zh = "成都" }]
industries = [{ code = "31", name = "Ferrous metals" }]

[[units]]
code = "%s"
name = "Example Steel"
region = "510100"
industry = "31"
quotas = [{ year = 2026, energy_tce = 1234.5, source = "example", status = "example" }]
openings = [{ year = 2026, quantity = "energy", low = 1, best = 2, high = 3.5, evidence = "bill" }]

[[units.points]]
name = "E1"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "register"
digits = 6
multiplier = 40
rated_per_hour = 500.5
valid_from = 2026-01-01T00:00:00+08:00

[[units.points]]
name = "E2"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "PT15M"
rated_per_hour = 100
valid_from = 2026-01-01T00:00:00+08:00
valid_to = 2027-01-01T00:00:00+08:00

[[units.points]]
name = "P1"
quantity = "output"
unit_of_measure = "t"
statement = "P1D"
others = ["P1M"]
rated_per_hour = 0.1
cadence_ms = 86400000
tolerance_ms = 60000
valid_from = 2026-01-01T00:00:00+08:00
"""


def configuration(version: int = 1, unit: str = UNIT) -> Configuration:
    """One unit with three points."""
    asked = registry.read_registry(TEXT % unit)
    return Configuration(version=version, author="a", reason="r", registry=asked)


def test_a_configuration_is_stored_once(database: str) -> None:
    """Publishing it again does nothing; another content under its number is refused."""
    store = Store(database)
    first = configuration()
    assert store.save_configuration(first)
    assert not store.save_configuration(first)
    with pytest.raises(RegistryError, match="another content"):
        store.save_configuration(configuration(unit=OTHER))
    (stored,) = store.configurations().values()
    assert stored.registry == first.registry
    assert stored.hash == stored.content_hash()
    store.close()


def test_points_are_numbered_in_the_registrys_order_and_scaled(database: str) -> None:
    """SQL functions read them: amounts in 10⁻⁶, instants in ms, defaults filled in."""
    store = Store(database)
    store.save_configuration(configuration())
    with psycopg.connect(database) as link:
        points = link.execute(
            """SELECT number, name, quantity::text, statement, others, multiplier, digits, rated, cadence_ms,
            tolerance_ms, anchor, valid_from, valid_to FROM point ORDER BY number"""
        ).fetchall()
        quotas = link.execute("SELECT year, amount FROM quota").fetchall()
        openings = link.execute("SELECT quantity, low, best, high FROM opening").fetchall()
        unit = link.execute("SELECT code, region, begins, version FROM unit").fetchall()
    start = 1_767_196_800_000
    assert points == [
        (0, "E1", "electricity", 0, [], 40, 6, 500_500_000, 900_000, 900_000, 0, start, None),
        (
            1,
            "E2",
            "electricity",
            1,
            [],
            1,
            None,
            100_000_000,
            900_000,
            900_000,
            0,
            start,
            1_798_732_800_000,
        ),
        (2, "P1", "output", 4, [5], 1, None, 100_000, 86_400_000, 60_000, -28_800_000, start, None),
    ]
    assert quotas == [(2026, 1_234_500_000)]
    assert openings == [("energy", 1_000_000, 2_000_000, 3_500_000)]
    assert unit == [(UNIT, "510100", start, 1)]
    store.close()


def test_only_what_is_new_becomes_the_next_version(database: str) -> None:
    """A file is the whole registry; a version carries the new entities and what they refer to."""
    with psycopg.connect(database, autocommit=True) as link:
        one = registry.read_registry(TEXT % UNIT)
        first = registry.store_news(link, one, author="a", reason="r")
        assert first is not None
        assert first.version == 1
        assert registry.store_news(link, one, author="a", reason="r") is None
        two = one.model_copy(
            update={"units": (*one.units, one.units[0].model_copy(update={"code": OTHER}))}
        )
        second = registry.store_news(link, two, author="a", reason="r")
        assert second is not None
        assert [unit.code for unit in second.registry.units] == [OTHER]
        assert [region.code for region in second.registry.regions] == ["510100"]
        assert second.version == 2


LINED = """
[[units.points]]
name = "made"
quantity = "output"
unit_of_measure = "t"
statement = "PT1H"
rated_per_hour = 1
valid_from = 2026-01-01T00:00:00+08:00
lines = { kiln = 1 }
[[units.points]]
name = "power"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "PT1H"
rated_per_hour = 1
valid_from = 2026-01-01T00:00:00+08:00
sign = 0
lines = { kiln = 1 }
[[units.lines]]
id = "kiln"
name = "Kiln"
indicators = ["cement.clinker.comprehensive"]
parameters = { altitude = "1200" }
evidence = "survey of 2025"
"""


def test_lines_bring_the_limits_that_they_are_held_to(database: str) -> None:
    """With the registry, once; and what is stored is what came."""
    asked = registry.read_registry(TEXT % UNIT + LINED)
    law = registry.law_for(asked)
    assert law is not None
    with psycopg.connect(database, autocommit=True) as link:
        first = registry.store_news(link, asked, author="a", reason="r", law=law)
        assert first is not None
        assert registry.store_news(link, asked, author="a", reason="r", law=law) is None
        assert registry.stored_configurations(link)[1] == first
        newer = law.model_copy(update={"version": "newer"})
        second = registry.store_news(link, asked, author="a", reason="r", law=newer)
        assert second is not None
        assert (second.registry.units, second.law) == ((), newer)
        cells = "SELECT name, sign, cell::text FROM point ORDER BY number DESC LIMIT 2"
        assert link.execute(cells).fetchall() == [
            ("power", 0, "electricity.1"),
            ("made", 1, "output.1"),
        ]
        lines = "SELECT id, indicators, parameters, begins FROM line"
        expected = ("kiln", ["cement.clinker.comprehensive"], {"altitude": "1200"}, None)
        assert link.execute(lines).fetchall() == [expected]
        assert link.execute("SELECT point, sign FROM line_point ORDER BY 1").fetchall()[0][1] == 1


def test_what_of_a_stored_unit_cannot_change_is_refused(database: str) -> None:
    """With the way out; what can is the next version, and comes into force with the step that applies it."""
    with psycopg.connect(database, autocommit=True) as link:
        one = registry.read_registry(TEXT % UNIT)
        registry.store_news(link, one, author="a", reason="r")
        changed = registry.read_registry(
            (TEXT % UNIT).replace("multiplier = 40", "multiplier = 50")
        )
        wrong = registry.read_registry((TEXT % UNIT).replace('name = "E1"', 'name = "E9"'))
        with pytest.raises(RegistryError, match="end the point"):
            registry.store_news(link, wrong, author="a", reason="r")
        second = registry.store_news(link, changed, author="a", reason="r")
        assert second is not None
        assert second.version == 2
        multipliers = "SELECT multiplier FROM point WHERE name = 'E1'"
        assert link.execute(multipliers).fetchone() == (40,)
        (entry,) = second.registry.units
        registry.save_entries(link, [EntryRow(entry, 2, waits=True, restated=False)])
        assert link.execute("SELECT pending, version FROM unit").fetchone() == (2, 1)
        registry.save_entries(link, [EntryRow(entry, 2, waits=False, restated=True)])
        assert link.execute("SELECT pending, version, revised FROM unit").fetchone() == (
            None,
            2,
            True,
        )
        assert link.execute(multipliers).fetchone() == (50,)


def test_what_kafka_does_not_take_is_stored_and_published_again(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A broker that is away: exit 1, and the word that brings it into force later."""
    file = tmp_path / "registry.toml"
    file.write_text(TEXT % UNIT)
    monkeypatch.setattr(registry, "_BOOTSTRAP_MS", 200)
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    monkeypatch.setenv("WEIR_KAFKA", "127.0.0.1:1")
    assert registry.main(["load", str(file)]) == 1
    told = capsys.readouterr()
    assert "stored configuration 1" in told.out
    assert "stored and not published" in told.err
    assert "--again" in told.err


def test_check_names_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where, what, and the value; exit 1."""
    good = tmp_path / "good.toml"
    good.write_text(TEXT % UNIT)
    assert registry.main(["check", str(good)]) == 0
    assert "1 units, 3 points" in capsys.readouterr().out
    bad = tmp_path / "bad.toml"
    bad.write_text(
        (TEXT % UNIT).replace("digits = 6\n", "").replace("2026, energy", "1926, energy")
    )
    assert registry.main(["check", str(bad)]) == 1
    told = capsys.readouterr().err
    assert "units.0.points.0: point E1: a register needs `digits`" in told
    assert "units.0.quotas.0.year" in told
    assert "(is 1926)" in told
    bad.write_text("units = [")
    assert registry.main(["check", str(bad)]) == 1
    assert registry.main(["check", str(tmp_path / "none.toml")]) == 1


def test_load_says_what_is_new(
    database: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once stored, the same file holds nothing new; without a database it says so."""
    file = tmp_path / "registry.toml"
    file.write_text(TEXT % UNIT)
    arguments = ["load", str(file), "--database-only"]
    monkeypatch.delenv("WEIR_DATABASE_URL", raising=False)
    assert registry.main(arguments) == 2
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    assert registry.main(arguments) == 0
    assert "configuration 1: 1 new or changed units" in capsys.readouterr().out
    assert registry.main(arguments) == 0
    assert "nothing is new" in capsys.readouterr().out


def test_numbers_are_read_exactly() -> None:
    """0.1 in the file is 0.1, not the float beside it."""
    point = registry.read_registry(TEXT % UNIT).units[0].points[2]
    assert point.rated == 100_000
    assert isinstance(registry.read_registry(TEXT % UNIT), Registry)
