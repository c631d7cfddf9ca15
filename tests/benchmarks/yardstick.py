"""The yardstick (rows of one reading by psql) and the store alone (rows of records by the store's own code)."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
import servers
from workload import PAIR, Workload

from processors import narrow, statements
from processors.ports import ReadingRow, Step
from processors.store import Store
from schemas.calendar import DAY_MS, OFFSET_MS, QUARTER_MS

_TABLE = """
DROP TABLE IF EXISTS yardstick;
CREATE TABLE yardstick (unit integer NOT NULL, point smallint NOT NULL, statement smallint NOT NULL, at timestamptz NOT NULL,
    received_at timestamptz NOT NULL, value bigint NOT NULL, PRIMARY KEY (unit, point, at));
SELECT create_hypertable('yardstick', by_range('at', INTERVAL '7 days'), create_default_indexes => false)"""
_COPY = "COPY yardstick FROM STDIN (FORMAT binary)"
_FIELDS = (
    ("unit", ">i4"),
    ("point", ">i2"),
    ("statement", ">i2"),
    ("at", ">i8"),
    ("received_at", ">i8"),
    ("value", ">i8"),
)
_SUMS = """
SELECT sum(cardinality(point)), sum(s) FROM reading_record, LATERAL (
  SELECT sum(coalesce(v, value_from + n * value_times)) AS s FROM unnest(value, narrow_value) AS u (v, n)) AS t"""
_EPOCH_MS = 946_684_800_000
"""PostgreSQL's instants count from 2000-01-01 UTC, in microseconds."""

ROWS_A_STEP = 800
"""Of 400 records of 100 readings: registers and periods apart."""


def rates(url: str, workload: Workload, quarters: int, runs: int) -> tuple[list[float], bool]:
    """Rows a second of every run, and whether the sums were right."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        psycopg.connect(url, autocommit=True) as link,
    ):
        file = Path(folder) / "rows"
        count, total = _write_file(file, workload, quarters)
        found, right = [], True
        for _ in range(runs):
            link.execute(_TABLE, prepare=False)
            link.execute("CHECKPOINT")
            started = time.perf_counter()
            servers.psql(url, _COPY, file)
            found.append(count / (time.perf_counter() - started))
            right &= link.execute("SELECT count(*), sum(value) FROM yardstick").fetchone() == (
                count,
                total,
            )
        link.execute("DROP TABLE yardstick")
    return found, right


def _write_file(file: Path, workload: Workload, quarters: int) -> tuple[int, int]:
    """All readings of the span, one row each, in order of unit, point and instant."""
    layout = [("columns", ">i2")]
    for name, kind in _FIELDS:
        layout += [(f"{name}_size", ">i4"), (name, kind)]
    rows = np.empty((workload.units, workload.points, quarters), layout)
    rows["columns"] = len(_FIELDS)
    for name, kind in _FIELDS:
        rows[f"{name}_size"] = np.dtype(kind).itemsize
    rows["unit"] = np.arange(workload.units)[:, None, None]
    rows["point"] = np.arange(workload.points)[None, :, None]
    for n in range(workload.units):
        for pair in range(quarters // PAIR):
            section = workload.section(n, pair, received=pair)
            mine = slice(pair * PAIR, (pair + 1) * PAIR)
            for name, column in (
                ("statement", section.statement),
                ("at", (section.at - _EPOCH_MS) * 1000),
                ("value", section.value),
            ):
                rows[name][n, :, mine] = np.asarray(column).reshape(PAIR, -1).T
            rows["received_at"][n, :, mine] = (section.received_at - _EPOCH_MS) * 1000
    file.write_bytes(b"".join([b"PGCOPY\n\xff\r\n\0", bytes(8), rows.tobytes(), b"\xff\xff"]))
    return rows.size, int(rows["value"].astype(np.int64).sum())


def store_rates(url: str, workload: Workload, quarters: int, runs: int) -> tuple[list[float], bool]:
    """Readings a second through Store.write, steps that hold nothing but the rows of 400 records; and whether the sums were right."""
    rows = list(record_rows(workload, 0, quarters))
    steps = [rows[i : i + ROWS_A_STEP] for i in range(0, len(rows), ROWS_A_STEP)]
    count, total = sum(len(row.at) for row in rows), sum(int(row.value.sum()) for row in rows)
    found, right = [], True
    with psycopg.connect(url, autocommit=True) as link, closing(Store(url)) as store:
        store.save_configuration(workload.configuration())
        for run in range(runs):
            link.execute("TRUNCATE reading_record")
            link.execute("CHECKPOINT")
            partition = 1_000 + run
            store.take({partition: 0})
            started = time.perf_counter()
            for number, some in enumerate(steps):
                store.write(Step(positions={partition: (number, number + 1)}, readings=tuple(some)))
            found.append(count / (time.perf_counter() - started))
            right &= sums(link) == (count, total)
        link.execute("TRUNCATE reading_record, step, partition")
    return found, right


def sums(link: psycopg.Connection) -> tuple[int, int]:
    """How many readings are stored, and the sum of their values."""
    row = link.execute(_SUMS).fetchone()
    return (int(row[0] or 0), int(row[1] or 0)) if row else (0, 0)


def record_rows(workload: Workload, first: int, quarters: int) -> Iterator[ReadingRow]:
    """Rows as the engine makes them of sections that all come in time: one of registers, one of periods."""
    for pair in range(first // PAIR, (first + quarters) // PAIR):
        for n in range(workload.units):
            section = workload.section(n, pair, received=pair)
            statement = np.asarray(section.statement)
            for kind in (0, 1):
                mine = statement == kind
                at, day = section.at[mine], (section.at[mine] + OFFSET_MS) // DAY_MS
                for one in np.unique(day).tolist():
                    some = day == one
                    yield ReadingRow(
                        unit=section.unit,
                        day=one,
                        first_at=int(at[some].min()),
                        last_at=int(at[some].max()),
                        partition=0,
                        offset=pair * workload.units + n,
                        part=kind,
                        received_at=section.received_at,
                        statement=kind,
                        rank=5,
                        revision=0,
                        flags=0,
                        message="",
                        sent_at=int(section.sent_at),
                        point=np.asarray(section.point)[mine][some].astype(np.int16),
                        at=at[some],
                        value=section.value[mine][some],
                    )


def prefill(link: psycopg.Connection, workload: Workload, first: int, quarters: int) -> int:
    """Copy the record rows of a span, a day at a time; returns how many readings."""
    ids: dict[str, int] = dict(link.execute("SELECT code, id FROM unit").fetchall())
    count = 0
    day = DAY_MS // QUARTER_MS
    for begin in range(first, first + quarters, day):
        rows: Sequence[ReadingRow] = list(
            record_rows(workload, begin, min(day, first + quarters - begin))
        )
        with link.cursor().copy(statements.COPY_READINGS) as stream:
            for piece in narrow.copy_of_records(rows, ids, 0):
                stream.write(piece)
        count += sum(len(row.at) for row in rows)
    return count


def sums_before(link: psycopg.Connection) -> tuple[int, int]:
    """The same of what was copied before the units begin, under generation 0."""
    row = link.execute(_SUMS + " WHERE generation = 0").fetchone()
    return (int(row[0] or 0), int(row[1] or 0)) if row else (0, 0)
