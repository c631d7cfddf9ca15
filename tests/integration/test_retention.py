"""What is old goes, what is needed or held stays, and the stream tells the same as if nothing had gone.

One unit, an amount an hour over eight months; a second one that falls silent in its first week.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ingest.simulator import Claim, section_of
from processors import __main__ as processors
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.metrics import WorkerMetrics
from processors.store import Store
from processors.worker import Message, Worker
from schemas.calendar import DAY_MS, HOUR_MS, moment, year_start
from schemas.factors import default_pack
from schemas.registry import STATEMENTS, Configuration, Point, Quota, Registry, Unit
from schemas.section import RANKS, ApplyConfiguration, Body, Record, Tick
from schemas.wire import decode, encode

SPEAKS, SILENT = "91510100AGE0000001", "91510100AGE0000002"
YEAR = datetime.now(tz=UTC).year + 2
"""Later than the tables are made by more than the settings keep."""
BEGIN = year_start(YEAR) - 120 * DAY_MS
END = year_start(YEAR) + 120 * DAY_MS
STEP = 10 * DAY_MS
KEEP = 100
REGION_CUT = """
CREATE TABLE IF NOT EXISTS region_cut (
  hour bigint, generation integer, partition integer, "offset" bigint, position integer)"""


def configuration() -> Configuration:
    """Both units, valid from the beginning."""
    point = Point(
        name="E1",
        quantity="electricity",
        unit_of_measure="kWh",
        statement="PT1H",
        rated_per_hour=Decimal(400),
        cadence_ms=HOUR_MS,
        valid_from=moment(BEGIN),
    )
    quota = Quota(year=YEAR, energy_tce=Decimal(1000), source="test", status="example")
    units = tuple(
        Unit(code=code, name=code, region="510100", industry="31", points=(point,), quotas=(quota,))
        for code in (SPEAKS, SILENT)
    )
    registry = Registry.model_validate(
        {
            "regions": [{"code": "510100", "name": "region"}],
            "industries": [{"code": "31", "name": "industry"}],
            "units": units,
        }
    )
    return Configuration(version=1, author="test", reason="test", registry=registry)


def spoken(unit: str, first: int, after: int) -> Body:
    """An amount an hour."""
    claims = [
        Claim(
            "E1",
            STATEMENTS.index("PT1H"),
            at,
            (at // HOUR_MS) % 97 * 10**6,
            "kWh",
            RANKS["measured"],
            0,
            at,
        )
        for at in range(first, after, HOUR_MS)
    ]
    return (section_of(unit, claims, received_at=after),)


def bodies() -> Iterator[Body]:
    """Ten days, then a tick; the second unit says something in the first ten days alone."""
    yield ApplyConfiguration(1)
    yield spoken(SILENT, BEGIN, BEGIN + STEP)
    for first in range(BEGIN, END, STEP):
        yield spoken(SPEAKS, first, first + STEP)
        yield Tick(first + STEP)


def more_bodies() -> Iterator[Body]:
    """Afterwards: a late correction within the horizon, and the next days."""
    at = END - 30 * DAY_MS
    claim = Claim("E1", STATEMENTS.index("PT1H"), at, 7 * 10**6, "kWh", RANKS["corrected"], 0, END)
    yield (section_of(SPEAKS, [claim], received_at=END),)
    yield spoken(SPEAKS, END, END + STEP)
    yield Tick(END + STEP)


@dataclass
class Old:
    """A store with a past."""

    url: str
    log: list[Message]

    def digest(self) -> None:
        with closing(Store(self.url)) as store:
            store.save_configuration(configuration())
            worker = Worker(store, WorkerMetrics(), partitions=1)
            (at,) = worker.take({0: 0}).values()
            for first in range(at, len(self.log), 60):
                worker.write(worker.prepare(self.log[first : first + 60]))

    def append(self, bodies: Iterator[Body]) -> None:
        for body in bodies:
            offset = len(self.log)
            self.log.append((0, offset, encode(Record("door", 1, offset, body))))

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as link:
            return link.execute(query.encode(), values).fetchall()

    def change(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url) as link:
            link.execute(statement.encode(), values)


@pytest.fixture
def old(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    """The settings keep a hundred days."""
    kinds = (
        "readings",
        "rejections",
        "refused",
        "ticks",
        "steps",
        "outbox",
        "hours",
        "day_windows",
    )
    keep = "\n".join(f"{kind} = {KEEP}" for kind in kinds)
    path = tmp_path / "retention.toml"
    path.write_text(f'version = "test"\n[keep_days]\n{keep}\n')
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    monkeypatch.setenv("WEIR_RETENTION", str(path))
    found = Old(database, [])
    found.append(bodies())
    found.digest()
    return found


def told(capsys: pytest.CaptureFixture[str], verb: str) -> dict[str, dict[str, object]]:
    """What `retention plan | apply` says, by kind."""
    capsys.readouterr()
    at = str((moment(END) + timedelta(hours=8)).date())
    assert processors.main(["retention", verb, "--at", at, "--json"]) == 0
    shares = json.loads(capsys.readouterr().out)["kinds"]
    return {share["kind"]: share for share in shares}


def test_what_is_old_goes_and_the_stream_goes_on(
    old: Old, capsys: pytest.CaptureFixture[str]
) -> None:
    """An open end, an unpublished message and a hold keep what they need; afterwards figures are those of a run that keeps all."""
    first = told(capsys, "plan")
    assert f"the open end of point E1 of unit {SILENT}" in str(first["hours"]["decided_by"])
    assert len(kept(first)) > 10
    assert first["outbox"]["rows"] == 0
    old.change(
        "UPDATE point SET valid_to = %s FROM unit WHERE unit.id = unit AND code = %s",
        BEGIN + STEP,
        SILENT,
    )
    day = moment(year_start(YEAR) - 60 * DAY_MS).date()
    words = ["retention", "hold", "--unit", SPEAKS, "--from", str(day), "--to", str(day)]
    assert processors.main([*words, "--reason", "a court asks"]) == 0
    held = told(capsys, "plan")
    (one,) = [chunk for chunk in kept(held) if "held" in chunk["why"]]
    assert one["from"] <= str(day) < one["to"]
    assert held["hours"]["before"] == str(day)
    assert processors.main(["retention", "lift", "1", "--reason", "the court is done"]) == 0
    assert processors.main(["retention", "lift", "1", "--reason", "again"]) == 1
    planned = told(capsys, "plan")
    assert not any("held" in chunk["why"] for chunk in kept(planned))
    assert planned["hours"]["before"] == f"{YEAR - 1}-12-31"
    assert told(capsys, "plan") == planned
    assert old.rows("SELECT count(*) FROM dropped") == [(0,)]

    went = told(capsys, "apply")
    assert went == planned
    assert f"{YEAR - 1}-12-24" < oldest_day(old) <= f"{YEAR - 1}-12-31"
    assert old.rows("SELECT kind, sum(rows) FROM dropped GROUP BY kind ORDER BY kind") == sorted(
        (kind, share["rows"]) for kind, share in went.items() if share["rows"]
    )
    assert processors.main(["retention", "holds"]) == 0
    assert "a court asks; lifted by" in capsys.readouterr().out
    assert processors.main(["retention", "plan"]) == 0
    assert re.search(r"readings +0 rows, about 0 bytes, 0 chunks may go", capsys.readouterr().out)
    after = told(capsys, "apply")
    assert sum(int(str(share["rows"])) for share in after.values()) == 0

    old.append(more_bodies())
    old.digest()
    assert stored(old) == kept_whole(old.log)
    old.change("UPDATE partition SET outbox_offset = next_offset")
    old.change(
        "UPDATE step SET committed_at = committed_at + interval '3 years' WHERE id = (SELECT max(id) FROM step)"
    )
    assert int(str(told(capsys, "plan")["outbox"]["rows"])) > 20
    old.change(REGION_CUT)
    old.change(
        'INSERT INTO region_cut (hour, generation, partition, "offset", position) VALUES (1, 1, 0, 5, 0)'
    )
    assert 0 < int(str(told(capsys, "plan")["outbox"]["rows"])) < 5
    shown(old, capsys)


def kept(shares: dict[str, dict[str, object]]) -> list[dict[str, str]]:
    """Old chunks of readings that stay."""
    return list(shares["readings"]["kept"])  # type: ignore[call-overload, no-any-return]


def oldest_day(old: Old) -> str:
    """Of the readings that are left; a chunk is a week."""
    ((day,),) = old.rows("SELECT min(day)::text FROM reading_record")
    return str(day)


def kept_whole(log: list[Message]) -> dict[object, object]:
    """This year's windows, by an engine that never drops anything."""
    store = MemoryStore()
    engine = Engine(default_pack(), {1: configuration()}, 1)
    for first in range(0, len(log), 60):
        some = [(p, offset, decode(value)) for p, offset, value in log[first : first + 60]]
        store.write(drive(engine.step(some), store))
        engine.clear()
    return {
        key: (row.as_of, json.loads(row.judged))
        for key, row in store.windows.items()
        if row.end > year_start(YEAR) or key[1] != "day"
    }


def stored(old: Old) -> dict[object, object]:
    """The same of the database."""
    rows = old.rows(
        """SELECT code, kind, starts, as_of, judged FROM unit_window JOIN unit ON id = unit
           WHERE ends > %s OR kind <> 'day'""",
        year_start(YEAR),
    )
    return {(code, kind, starts): (as_of, judged) for code, kind, starts, as_of, judged in rows}


def shown(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    """A figure whose records are gone says so, one whose hours are gone is none."""
    year, last = year_start(YEAR), year_start(YEAR - 1)
    query = "SELECT bool_and(recomputable), count(*) FROM figures(%s, %s, %s)"
    ((now, count),) = old.rows(query, SPEAKS, moment(year), moment(END))
    assert (now, int(str(count)) > 0) == (True, True)
    with pytest.raises(psycopg.errors.NoDataFound, match="no longer recomputable"):
        old.rows(query, SPEAKS, moment(last), moment(year))
    old.change("DELETE FROM dropped WHERE kind = 'hours'")
    ((now, _),) = old.rows(query, SPEAKS, moment(last), moment(year))
    assert now is False
    capsys.readouterr()
    assert processors.main(["show", SPEAKS]) == 0
    (second,) = [
        part
        for part in capsys.readouterr().out.split("\n\n")
        if part.startswith(f"year from {YEAR - 1}")
    ]
    assert "no longer recomputable" in second
