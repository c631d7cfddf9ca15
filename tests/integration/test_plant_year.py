"""A year of a plant, from the file to the notice: about 40 seconds.

The file is synthetic (tests/data/synthetic_year.py), in the form of the real one, which the suite does
not depend on. One run goes through all servers; the other quotas go through the same importer and
engine over the store in memory. What is right is worked out from the file alone, in Decimal.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import orjson
import psycopg
import pytest

from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, chosen_folder
from deploy.plant_year import DATABASE, MAPPING, UNIT, control_lines, registry
from deploy.plant_year_sums import FileError, Year, milliseconds, year_of
from ingest.importer import Imported, import_file
from ingest.mapping import read_mapping
from processors.replay import Replay
from schemas.calendar import DAY_MS
from schemas.factors import default_pack
from schemas.registry import Configuration
from schemas.topics import PARTITIONS
from schemas.wire import to_line
from tests.data.synthetic_year import write

MID_YEAR = 17_000
"""A quarter hour in June, within an hour."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plant") / "year.csv")


@pytest.fixture(scope="module")
def expected(file: Path) -> Year:
    return year_of(file)


@dataclass(frozen=True)
class Told:
    """What the engine said last, and what it said when it first said FAIL."""

    year: dict[str, object]
    months: list[dict[str, object]]
    first_fail: tuple[int, int] | None
    """(tick, since)."""


@pytest.fixture(scope="module")
def sections(file: Path) -> list[tuple[int, str]]:
    """The file as lines of the pipe, a tick a day; read once."""
    done = Imported()
    records = import_file(
        file,
        read_mapping(MAPPING),
        unit=UNIT,
        received_at=1_795_000_000_000,
        partitions=PARTITIONS,
        tick_ms=DAY_MS,
        say=lambda _: None,
        done=done,
    )
    told = [(partition, to_line(record, partition)) for partition, record in records]
    assert (done.readings, done.backwards, done.refused) == (35_040, 0, {})
    return told


def judged(sections: list[tuple[int, str]], year: int, quota: Decimal | None) -> Told:
    """The engine's word on a quota, without a server."""
    asked = registry(year, quota)
    configuration = Configuration(version=1, author="-", reason="-", registry=asked)
    replay = Replay(default_pack())
    first_fail: tuple[int, int] | None = None
    lines = [*control_lines(configuration), *(line for _, line in sections)]
    for message in map(orjson.loads, replay.lines(lines)):
        for window in message.get("windows", ()):
            if window["window"] == "year" and window.get("verdict") == "FAIL" and not first_fail:
                first_fail = (message["as_of"], window["since"])
    windows = [orjson.loads(row.judged) for _, row in sorted(replay.store.windows.items())]
    (whole,) = [window for window in windows if window["window"] == "year"]
    return Told(whole, [w for w in windows if w["window"] == "month"], first_fail)


def quotas(expected: Year) -> Iterator[tuple[str, Decimal | None]]:
    """What each is for, and the quota."""
    reached = [tce for _, tce in expected.reached]
    yield "none", None
    yield "within an hour of June", reached[MID_YEAR] - Decimal("0.000001")
    yield "reached exactly, broken a quarter hour later", reached[MID_YEAR]
    yield "broken in the year's last quarter hour", reached[-2]
    yield "broken by the last 10⁻⁶", reached[-1] - Decimal("0.000001")
    yield "reached exactly at the year's end", reached[-1]


@pytest.mark.slow
def test_each_quota_is_judged_to_the_quarter_hour(
    sections: list[tuple[int, str]], expected: Year
) -> None:
    """FAIL since the very end of a quarter hour that the file gives; reached is not broken."""
    for name, quota in quotas(expected):
        told = judged(sections, expected.year, quota)
        since = None if quota is None else expected.since(quota)
        verdict = None if quota is None else "FAIL" if since else "PASS"
        assert told.year.get("verdict") == verdict, name
        assert told.year.get("since") == (milliseconds(since) if since else None), name
        assert (told.first_fail is None) == (since is None), name
        if since and told.first_fail:
            tick, said = told.first_fail
            assert said == milliseconds(since), name
            assert 0 <= tick - said < DAY_MS, name


@pytest.mark.slow
def test_month_by_month_to_the_last_digit(sections: list[tuple[int, str]], expected: Year) -> None:
    """Low, best and high are one number, and it is the file's."""
    told = judged(sections, expected.year, None)
    for window, kwh in zip(told.months, expected.months_kwh, strict=True):
        assert bounds(window, "electricity") == {kwh}
    assert bounds(told.year, "electricity") == {expected.kwh}
    assert bounds(told.year, "energy") == {expected.tce}
    assert bounds(told.year, "co2") == {expected.co2}


def bounds(window: dict[str, object], quantity: str) -> set[Decimal]:
    figures = window["figures"]
    assert isinstance(figures, dict)
    return {Decimal(figures[quantity][name]) / 1_000_000 for name in ("low", "best", "high")}


def test_the_file_is_understood_as_its_readme_says(
    sections: list[tuple[int, str]], file: Path
) -> None:
    """The label is the end; the row of midnight belongs to the day that ends; a mark leads the file."""
    first = orjson.loads(sections[0][1])["sections"][0]
    last = orjson.loads(sections[-1][1])["sections"][0]
    assert first["at"][0] == milliseconds_of("2018-01-01T00:00:00+08:00")
    assert last["at"][-1] == milliseconds_of("2018-12-31T23:45:00+08:00")
    assert last["ticks"][-1] == [len(last["at"]), milliseconds_of("2019-01-01T00:00:00+08:00")]
    assert file.read_bytes().startswith(b"\xef\xbb\xbfdate,")


def milliseconds_of(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda rows: rows[:-1], "not one year", id="a quarter hour short"),
        pytest.param(lambda rows: [*rows[:99], *rows[100:]], "row 99 ends at", id="a hole"),
        pytest.param(lambda rows: rows[:1], "has no rows", id="a header alone"),
    ],
)
def test_what_is_no_year_is_refused(file: Path, tmp_path: Path, change: object, said: str) -> None:
    """A figure worked out from half a year would be held against nothing."""
    assert callable(change)
    rows = file.read_text(encoding="utf-8").splitlines()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(change(rows)), encoding="utf-8")
    with pytest.raises(FileError, match=said):
        year_of(short)


@pytest.mark.slow
def test_through_the_servers_to_the_notice(file: Path, expected: Year) -> None:
    """`make plant-year`: the gateway's counter, every figure, the verdict, and the webhook's word.

    The quota is broken in the year's last quarter hour: nothing comes after it that could tell.
    """
    quota = expected.reached[-2][1]
    done = plant_year(str(file), "--quota-tce", str(quota))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    readings by the gateway's counter: 35040" in done.stdout
    assert "ok    since: 2019-01-01T00:00:00+08:00" in done.stdout
    assert "ok    notified at the webhook, since: ['2019-01-01T00:00:00+08:00']" in done.stdout
    assert not re.search("WRONG|NOT as the file says", done.stdout)
    assert nothing_is_left() == []


@pytest.mark.slow
def test_interrupted_it_leaves_nothing_behind(file: Path) -> None:
    """No process, no database: also when it is stopped in the middle."""
    with subprocess.Popen(
        command(str(file)),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "worker, gateway, alerts run" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
    assert nothing_is_left() == []


def test_a_quota_that_is_no_number_is_refused(file: Path) -> None:
    """With two lines, and nothing started."""
    done = plant_year(str(file), "--quota-tce", "much")
    assert done.returncode == 2
    assert "'much' is no number" in done.stderr


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "deploy.plant_year", *words]


def plant_year(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*words), cwd=CHECKOUT, capture_output=True, text=True, timeout=200, check=False
    )


def nothing_is_left() -> list[str]:
    """Processes and databases of a run that are still there."""
    folder = chosen_folder() / "plant-year"
    left = [entry.name for entry in (folder / "services").glob("*.json")]
    with psycopg.connect(LocalParts().endpoints().database_url) as link:
        found = link.execute("SELECT datname FROM pg_database").fetchall()
    return left + [name for (name,) in found if name.startswith(DATABASE)]
