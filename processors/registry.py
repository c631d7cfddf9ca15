"""What people enter, on its way into the database and the log.

`python -m processors registry check FILE` says what is wrong with a registry file, `diff FILE` what it would change;
`load FILE` stores what is new in it as one numbered configuration and applies it in every partition.
"""

import argparse
import getpass
import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ValidationError

from processors import co2_entries, line_entries, revision
from processors.packs import UnreadableError, with_ours
from processors.ports import EntryRow
from processors.profiles import weights_of
from processors.rates import TARGETS, Way, changes, way_of
from schemas.cells import named_cell
from schemas.factors import Entry, FactorPack, default_pack
from schemas.law import LawInForce
from schemas.pack_reading import PackError
from schemas.registry import (
    STATEMENTS,
    Configuration,
    FactorsInForce,
    Industry,
    Opening,
    Point,
    Profile,
    Region,
    Registry,
    Unit,
)
from schemas.scale import scaled
from schemas.section import ApplyConfiguration, Record
from schemas.settings import Settings, SettingsError, kafka_client
from schemas.topics import CONFIG, PARTITIONS, READINGS, of_generation
from schemas.wire import configuration_line, encode

Link = Connection[TupleRow]
Place = TypeVar("Place", Region, Industry)

DOOR = "registry"
"""Door of the control records; the incarnation is the configuration's version."""
_BOOTSTRAP_MS = 5_000
_LOCK = 4_932_004_933


class RegistryError(Exception):
    """A registry that cannot be loaded; the message says where and why."""


# ---- The file


def read_registry(text: str) -> Registry:
    """The registry in a TOML text. Raises RegistryError with every place that is wrong."""
    try:
        return Registry.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise RegistryError(message) from error
    except ValidationError as error:
        raise RegistryError("\n".join(_complaints(error))) from error


def _complaints(error: ValidationError) -> list[str]:
    """One line a mistake: where, what, and the value."""
    lines = []
    for one in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"]) or "registry"
        value = repr(one["input"])
        shown = f" (is {value})" if len(value) < 60 else ""  # noqa: PLR2004 - a line stays a line
        lines.append(f"{where}: {one['msg'].removeprefix('Value error, ')}{shown}")
    return lines


def news(stored: Iterable[Registry], asked: Registry) -> Registry:
    """What is new in `asked`: entities that no stored registry has as they are, and those that they refer to.

    Raises RegistryError with a line for each thing that cannot change.
    """
    known = list(stored)
    units = {unit.code: unit for registry in known for unit in registry.units}
    added = tuple(unit for unit in asked.units if units.get(unit.code) != unit)
    wrong = [
        line
        for unit in added
        if unit.code in units
        for line in revision.complaints(units[unit.code], unit)
    ]
    if wrong:
        raise RegistryError("\n".join(wrong))
    regions = _needed(
        asked.regions, [registry.regions for registry in known], {u.region for u in added}
    )
    industries = _needed(
        asked.industries, [registry.industries for registry in known], {u.industry for u in added}
    )
    return Registry(regions=regions, industries=industries, units=added)


def _needed(
    asked: Sequence[Place], stored: Iterable[Sequence[Place]], referred: set[str]
) -> tuple[Place, ...]:
    """Regions or industries that are new, or that new and changed units refer to."""
    known = {place for places in stored for place in places}
    return tuple(place for place in asked if place not in known or place.code in referred)


# ---- The database


def stored_configurations(link: Link, known: Iterable[int] = ()) -> dict[int, Configuration]:
    """All configurations but the known ones, by version: what is stored never changes."""
    rows = link.execute(
        """SELECT version, author, reason, hash, (body - 'units')::text, factors::text, law::text
        FROM configuration WHERE version <> ALL(%s::bigint[]) ORDER BY version""",
        (sorted(known),),
    ).fetchall()
    return {
        version: Configuration(
            version=version,
            author=author,
            reason=reason,
            hash=digest,
            registry=Registry.model_validate(
                {**json.loads(body), "units": tuple(_stored_units(link, version))}
            ),
            factors=None if factors is None else FactorsInForce.model_validate_json(factors),
            law=None if law is None else LawInForce.model_validate_json(law),
        )
        for version, author, reason, digest, body, factors, law in rows
    }


def _stored_units(link: Link, version: int) -> Iterator[Unit]:
    """The units of a stored configuration, one after the other.

    pydantic keeps a set beside each entry of what was said of it, 2 kB a point: it goes with each unit, and its memory
    serves the next. So does the dictionary of each point, whose keys are those of all.
    """
    rows = link.execute(
        """SELECT u.said::text FROM configuration, jsonb_array_elements(body -> 'units')
        WITH ORDINALITY AS u (said, place) WHERE version = %s ORDER BY u.place""",
        (version,),
    )
    for (said,) in rows:
        unit = Unit.model_validate_json(said)
        object.__setattr__(unit, "points", tuple(_lean(point) for point in unit.points))
        yield unit


def _lean(point: Point) -> Point:
    """The same entry: attributes that are set one by one share their names with those of other points."""
    found = Point.__new__(Point)
    for name, value in point.__dict__.items():
        object.__setattr__(found, name, value)
    object.__setattr__(found, "__pydantic_fields_set__", _SAID)
    object.__setattr__(found, "__pydantic_extra__", None)
    object.__setattr__(found, "__pydantic_private__", None)
    return found


_SAID = frozenset(Point.model_fields)


def save_configuration(link: Link, configuration: Configuration) -> bool:
    """Store a configuration and its entities; False where it is stored already.

    Raises RegistryError where its version has another content.
    """
    digest = configuration.content_hash()
    registry, factors, law = configuration.registry, configuration.factors, configuration.law
    with link.transaction():
        if factors is not None:
            save_factors(link, FactorPack(factors.version, factors.entries))
        cursor = link.execute(
            """INSERT INTO configuration (version, author, reason, hash, body, factors, law)
            VALUES (%s, %s, %s, %s, %s::jsonb, %s::jsonb, %s::jsonb) ON CONFLICT (version) DO NOTHING""",
            (
                configuration.version,
                configuration.author,
                configuration.reason,
                digest,
                registry.model_dump_json(),
                None if factors is None else factors.model_dump_json(),
                None if law is None else law.model_dump_json(),
            ),
        )
        if not cursor.rowcount:
            _refuse_other(link, configuration.version, digest)
            return False
        _save_places(link, registry)
        known = _known_units(link)
        new = [unit for unit in registry.units if unit.code not in known]
        _save_units(link, new, configuration.version)
    return True


def _known_units(link: Link) -> set[str]:
    """Units that have an entry: another one comes into force with the step that applies it."""
    rows = link.execute("SELECT code FROM unit WHERE version IS NOT NULL").fetchall()
    return {code for (code,) in rows}


def save_entries(link: Link, entries: Sequence[EntryRow]) -> None:
    """Bring entries into force, or note that they wait; within the transaction of the step that says so."""
    for entry in entries:
        if entry.waits:
            link.execute(
                "UPDATE unit SET pending = %s WHERE code = %s", (entry.version, entry.unit.code)
            )
            continue
        for table in ("quota", "budget", "opening", "line", "cell_factor"):
            link.execute(
                f"DELETE FROM {table} USING unit u WHERE u.id = {table}.unit AND u.code = %s".encode(),  # noqa: S608 - two constants
                (entry.unit.code,),
            )
        _save_units(link, [entry.unit], entry.version)
        link.execute(
            "UPDATE unit SET pending = NULL, revised = revised OR %s WHERE code = %s",
            (entry.restated, entry.unit.code),
        )


def _refuse_other(link: Link, version: int, digest: str) -> None:
    row = link.execute("SELECT hash FROM configuration WHERE version = %s", (version,)).fetchone()
    if row is None or row[0] != digest:
        message = f"configuration {version} is stored with another content (hash {row and row[0]}, not {digest})"
        raise RegistryError(message)


def _save_places(link: Link, registry: Registry) -> None:
    for table, places in (("region", registry.regions), ("industry", registry.industries)):
        _insert(
            link,
            f"""INSERT INTO {table} (code, name, name_zh)
            SELECT * FROM json_to_recordset(%s::json) AS r (code text, name text, name_zh text)
            ON CONFLICT (code) DO UPDATE SET name = excluded.name, name_zh = excluded.name_zh""",  # noqa: S608 - two constants
            [place.model_dump(mode="json") for place in places],
        )


def _save_units(link: Link, units: Sequence[Unit], version: int) -> None:
    _insert(link, _UNITS, [_unit_row(unit, version) for unit in units])
    _insert(
        link,
        _POINTS,
        [
            {
                "code": unit.code,
                "number": number,
                "version": version,
                "cell": named_cell(point.quantity, cell),
            }
            | _point_row(point)
            for unit in units
            for number, (point, cell) in enumerate(zip(unit.points, unit.cells, strict=True))
        ],
    )
    _save_lines(link, units, version)
    _save_rates(link, units, version)
    _insert(
        link,
        _QUOTAS,
        [
            {"code": unit.code, "version": version, "amount": quota.amount}
            | quota.model_dump(mode="json", include={"year", "source", "status"})
            for unit in units
            for quota in unit.quotas
        ],
    )
    _insert(
        link,
        _BUDGETS,
        [
            {"code": unit.code, "version": version, "amount": budget.amount}
            | budget.model_dump(mode="json", include={"year", "view", "source", "status"})
            for unit in units
            for budget in unit.budgets
        ],
    )
    _insert(
        link,
        _OPENINGS,
        [
            {"code": unit.code, "version": version} | _opening_row(opening)
            for unit in units
            for opening in unit.openings
        ],
    )


def _save_lines(link: Link, units: Sequence[Unit], version: int) -> None:
    lines = [
        {"code": unit.code, "number": number, "version": version, "begins": line.begins}
        | line.model_dump(mode="json", include={"id", "name", "indicators", "evidence"})
        | {"parameters": dict(line.parameters)}
        for unit in units
        for number, line in enumerate(unit.lines)
    ]
    _insert(link, _LINES, lines)
    members: list[dict[str, object]] = [
        {"code": unit.code, "point": number, "line": line, "sign": sign}
        for unit in units
        for number, point in enumerate(unit.points)
        for line, sign in point.lines
    ]
    _insert(link, _MEMBERS, members)
    openings = [
        {"code": unit.code, "line": line.id} | _opening_row(opening)
        for unit in units
        for line in unit.lines
        for opening in line.openings
    ]
    _insert(link, _LINE_OPENINGS, openings)


def _opening_row(opening: Opening) -> dict[str, object]:
    return {
        **opening.model_dump(mode="json", include={"year", "quantity", "evidence"}),
        **{name: scaled(getattr(opening, name))[0] for name in ("low", "best", "high")},
    }


def _save_rates(link: Link, units: Sequence[Unit], version: int) -> None:
    """By what cells are converted that have a way of their own."""
    own = [
        (unit, named_cell(point.quantity, cell), way)
        for unit in units
        for point, cell in dict(zip(unit.points, unit.cells, strict=True)).items()
        if (way := way_of(unit, point)) != Way(point.quantity)
    ]
    if not own:
        return
    pack = factors_under(link, version) or default_pack()
    rows = {
        (unit.code, cell, target, one.year): {
            "code": unit.code,
            "cell": cell,
            "target": target,
            "year": one.year,
            "numerator": one.rate.numerator,
            "denominator": one.rate.denominator,
            "effect": one.rate.sign if way.feeds[number] else 0,
            "used": [name for name, _ in one.rate.used],
            "unverified": any(mark for _, mark in one.rate.used),
            "version": version,
        }
        for unit, cell, way in own
        for number, target in enumerate(TARGETS)
        if target == "co2" or way.heat_values
        for one in changes(pack, way, target)
    }
    _insert(link, _RATES, list(rows.values()))


def _unit_row(unit: Unit, version: int) -> dict[str, object]:
    return {
        **unit.model_dump(
            mode="json", include={"code", "name", "region", "industry", "history", "horizon_days"}
        ),
        "begins": unit.begins,
        "version": version,
    }


def _point_row(point: Point) -> dict[str, object]:
    return {
        **point.model_dump(
            mode="json",
            include={
                *("name", "quantity", "unit_of_measure", "multiplier", "digits", "cadence_ms"),
                "sign",
            },
        ),
        "statement": STATEMENTS.index(point.statement),
        "others": [STATEMENTS.index(other) for other in point.others],
        "rated": point.rated,
        "tolerance_ms": point.tolerance,
        "anchor": point.anchor,
        "valid_from": point.begins,
        "valid_to": point.ends,
        "profile": _profile_row(point.profiles),
    }


def _profile_row(profiles: Sequence[Profile]) -> dict[str, object] | None:
    """Dated profiles as the type `profile` has them."""
    if not profiles:
        return None
    weights = weights_of(profiles)
    return {
        "begins": weights.begins.tolist(),
        "offsets": weights.offset[1:].tolist(),
        "weeks": weights.week[1:].ravel().tolist(),
    }


_UNITS = """
INSERT INTO unit (code, name, region, industry, history, horizon_days, begins, version)
SELECT * FROM json_to_recordset(%s::json) AS r (code text, name text, region text, industry text,
  history boolean, horizon_days integer, begins bigint, version integer)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, region = excluded.region,
  industry = excluded.industry, history = excluded.history, horizon_days = excluded.horizon_days,
  begins = excluded.begins, version = excluded.version"""
_POINTS = """
INSERT INTO point (unit, number, name, quantity, unit_of_measure, statement, others, multiplier, digits,
  rated, cadence_ms, tolerance_ms, anchor, valid_from, valid_to, profile, version, sign, cell)
SELECT u.id, r.number, r.name, r.quantity, r.unit_of_measure, r.statement, r.others, r.multiplier, r.digits,
  r.rated, r.cadence_ms, r.tolerance_ms, r.anchor, r.valid_from, r.valid_to, r.profile, r.version,
  r.sign, r.cell
FROM json_to_recordset(%s::json) AS r (code text, number smallint, name text, quantity quantity,
  unit_of_measure text, statement smallint, others smallint[], multiplier integer, digits smallint,
  rated bigint, cadence_ms bigint, tolerance_ms bigint, anchor bigint, valid_from bigint,
  valid_to bigint, profile profile, version integer, sign smallint,
  cell quantity) JOIN unit u USING (code)
ON CONFLICT (unit, number) DO UPDATE SET name = excluded.name, quantity = excluded.quantity,
  unit_of_measure = excluded.unit_of_measure, statement = excluded.statement, others = excluded.others,
  multiplier = excluded.multiplier, digits = excluded.digits, rated = excluded.rated,
  cadence_ms = excluded.cadence_ms, tolerance_ms = excluded.tolerance_ms, anchor = excluded.anchor,
  valid_from = excluded.valid_from, valid_to = excluded.valid_to, profile = excluded.profile,
  version = excluded.version, sign = excluded.sign, cell = excluded.cell"""
_LINES = """
INSERT INTO line (unit, id, number, name, indicators, parameters, evidence, begins, version)
SELECT u.id, r.id, r.number, r.name, r.indicators, r.parameters, r.evidence, r.begins, r.version
FROM json_to_recordset(%s::json) AS r (code text, id text, number smallint, name text, indicators text[],
  parameters jsonb, evidence text, begins bigint, version integer) JOIN unit u USING (code)"""
_MEMBERS = """
INSERT INTO line_point (unit, line, point, sign)
SELECT u.id, r.line, r.point, r.sign
FROM json_to_recordset(%s::json) AS r (code text, line text, point smallint, sign smallint) JOIN unit u USING (code)"""
_LINE_OPENINGS = """
INSERT INTO line_opening (unit, line, year, quantity, low, best, high, evidence)
SELECT u.id, r.line, r.year, r.quantity, r.low, r.best, r.high, r.evidence
FROM json_to_recordset(%s::json) AS r (code text, line text, year smallint, quantity quantity, low bigint,
  best bigint, high bigint, evidence text) JOIN unit u USING (code)"""
_RATES = """
INSERT INTO cell_factor (unit, cell, target, year, numerator, denominator, effect, used, unverified, version)
SELECT u.id, r.cell, r.target, r.year, r.numerator, r.denominator, r.effect, r.used, r.unverified, r.version
FROM json_to_recordset(%s::json) AS r (code text, cell quantity, target text, year integer, numerator bigint, denominator bigint,
  effect smallint, used text[], unverified boolean, version integer) JOIN unit u USING (code)"""
_QUOTAS = """
INSERT INTO quota (unit, year, amount, source, status, version)
SELECT u.id, r.year, r.amount, r.source, r.status, r.version
FROM json_to_recordset(%s::json) AS r (code text, year integer, amount bigint, source text,
  status text, version integer) JOIN unit u USING (code)
ON CONFLICT (unit, year) DO UPDATE SET amount = excluded.amount, source = excluded.source,
  status = excluded.status, version = excluded.version"""
_BUDGETS = """
INSERT INTO budget (unit, year, amount, view, source, status, version)
SELECT u.id, r.year, r.amount, r.view, r.source, r.status, r.version
FROM json_to_recordset(%s::json) AS r (code text, year integer, amount bigint, view text, source text,
  status text, version integer) JOIN unit u USING (code)
ON CONFLICT (unit, year) DO UPDATE SET amount = excluded.amount, view = excluded.view, source = excluded.source,
  status = excluded.status, version = excluded.version"""
_OPENINGS = """
INSERT INTO opening (unit, year, quantity, low, best, high, evidence, version)
SELECT u.id, r.year, r.quantity, r.low, r.best, r.high, r.evidence, r.version
FROM json_to_recordset(%s::json) AS r (code text, year integer, quantity text, low bigint, best bigint,
  high bigint, evidence text, version integer) JOIN unit u USING (code)
ON CONFLICT (unit, year, quantity) DO UPDATE SET low = excluded.low, best = excluded.best,
  high = excluded.high, evidence = excluded.evidence, version = excluded.version"""


def _insert(link: Link, statement: str, rows: Sequence[dict[str, object]]) -> None:
    """All rows by one statement that reads them from JSON."""
    if rows:
        link.execute(statement.encode(), (json.dumps(rows),))


def save_factors(link: Link, pack: FactorPack) -> bool:
    """Store a factor pack; False where it is stored already. Raises RegistryError for another content."""
    digest, rows = factor_rows(pack)
    with link.transaction():
        cursor = link.execute(
            """INSERT INTO factor_pack (version, hash, base)
            SELECT %s, %s, NOT EXISTS (SELECT FROM factor_pack WHERE base) ON CONFLICT DO NOTHING""",
            (pack.version, digest),
        )
        if not cursor.rowcount:
            _refuse_edited(link, pack.version, digest)
            return False
        _insert(
            link,
            """INSERT INTO factor SELECT * FROM json_to_recordset(%s::json) AS r (pack text, id text,
            quantity quantity, target text, year integer, numerator bigint, denominator bigint,
            unverified boolean, body jsonb)""",
            rows,
        )
    return True


def factor_rows(pack: FactorPack) -> tuple[str, list[dict[str, object]]]:
    """A pack as the table `factor` has it, and the hash of that."""
    rows = [_factor_row(entry, pack.version) for entry in pack.entries]
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest(), rows


def _refuse_edited(link: Link, version: str, digest: str) -> None:
    known = link.execute("SELECT hash FROM factor_pack WHERE version = %s", (version,)).fetchone()
    if known is None or known[0] != digest:
        message = f"factor pack {version} was edited: give what is changed another version"
        raise RegistryError(message)


def _factor_row(entry: Entry, version: str) -> dict[str, object]:
    ratio = entry.per_unit()
    return {
        **entry.model_dump(mode="json", include={"id", "quantity", "target", "year"}),
        "pack": version,
        "numerator": ratio.numerator,
        "denominator": ratio.denominator,
        "unverified": entry.status == "unverified",
        "body": entry.model_dump(mode="json"),
    }


def stored_factors(link: Link) -> FactorPack | None:
    """The pack that holds where no configuration says otherwise."""
    rows = link.execute(
        """SELECT f.pack, f.body FROM factor f
        WHERE f.pack = (SELECT version FROM factor_pack WHERE base) ORDER BY f.id"""
    ).fetchall()
    if not rows:
        return None
    return FactorPack(rows[0][0], tuple(Entry.model_validate(body) for _, body in rows))


def factors_under(link: Link, version: int) -> FactorPack | None:
    """The pack that a configuration converts by: of the last one up to it that brought one, else the first."""
    row = link.execute(
        """SELECT factors FROM configuration WHERE version <= %s AND factors IS NOT NULL
        ORDER BY version DESC LIMIT 1""",
        (version,),
    ).fetchone()
    if row is None:
        return stored_factors(link)
    brought = FactorsInForce.model_validate(row[0])
    return FactorPack(brought.version, brought.entries)


# ---- The log


def publish(
    configuration: Configuration,
    brokers: str,
    *,
    partitions: int = PARTITIONS,
    prefix: str = "",
    generation: int = 1,
) -> None:
    """Put a configuration on its topic, then the control record that applies it into every partition.

    Raises RegistryError with the way out where Kafka does not take it: it is stored by then.
    """
    from kafka.errors import KafkaError  # noqa: PLC0415 - the store needs no Kafka

    try:
        _publish(configuration, brokers, (prefix, partitions, generation))
    except KafkaError as error:
        message = f"configuration {configuration.version} is stored and not published ({error}): give the same command with --again once Kafka is at {brokers}"
        raise RegistryError(message) from error


def _publish(configuration: Configuration, brokers: str, log: tuple[str, int, int]) -> None:
    from kafka import KafkaProducer  # noqa: PLC0415 - as above

    prefix, partitions, generation = log
    producer = KafkaProducer(
        bootstrap_servers=brokers.split(","),
        **kafka_client(),
        acks="all",
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    version = configuration.version
    readings = prefix + of_generation(READINGS, generation)
    try:
        if (there := len(producer.partitions_for(readings))) != partitions:
            message = (
                f"{readings} has {there} partitions, not {partitions}: set WEIR_PARTITIONS={there}"
            )
            raise RegistryError(message)
        line = configuration_line(configuration).encode()
        producer.send(prefix + CONFIG, line, key=str(version).encode()).get(timeout=60)
        record = encode(Record(DOOR, version, 0, ApplyConfiguration(version)))
        sent = [
            producer.send(readings, record, partition=partition) for partition in range(partitions)
        ]
        for one in sent:
            one.get(timeout=60)
    finally:
        producer.close()


# ---- Command line


def check(path: Path) -> Registry:
    """Read a registry file. Raises RegistryError."""
    try:
        return read_registry(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: {error}"
        raise RegistryError(message) from error


def law_for(asked: Registry) -> LawInForce | None:
    """The product limits of the packs (WEIR_PACKS on ours) that lines of a registry are held to; None without lines.

    Raises RegistryError with a line for each line or process of which the packs know too little.
    """
    emits = any(point.process for unit in asked.units for point in unit.points)
    if not emits and not any(unit.lines for unit in asked.units):
        return None
    try:
        packs = with_ours([Path(name) for name in Settings.read().packs.split(":") if name])
    except (PackError, UnreadableError) as error:
        raise RegistryError(str(error)) from error
    wrong = [
        *line_entries.complaints(asked.units, packs),
        *co2_entries.complaints(asked.units, packs),
    ]
    if wrong:
        raise RegistryError("\n".join(wrong))
    return LawInForce.of(packs) if any(unit.lines for unit in asked.units) else None


def store_news(
    link: Link, asked: Registry, *, author: str, reason: str, law: LawInForce | None = None
) -> Configuration | None:
    """Store what is new in a registry as the next version, with `law` where that is new too; None where nothing is."""

    def added(
        stored: Mapping[int, Configuration],
    ) -> tuple[Registry, LawInForce | None] | None:
        found = news((one.registry for one in stored.values()), asked)
        _refuse_gone(link, stored, found)
        _refuse_unknown(link, max(stored, default=0), found)
        brought = [one.law.version for _, one in sorted(stored.items()) if one.law is not None]
        new = None if law is None or brought[-1:] == [law.version] else law
        return (found, new) if found.units or found.regions or found.industries or new else None

    return _store_next(link, added, author=author, reason=reason)


def _refuse_gone(link: Link, stored: Mapping[int, Configuration], asked: Registry) -> None:
    """Refuse what would have to be worked out again from records that are gone. Raises RegistryError."""
    entries = revision.Entries(stored)
    known = [(entries.at(unit.code, max(stored, default=0)), unit) for unit in asked.units]
    codes = [unit.code for old, unit in known if old and revision.counts_otherwise(old, unit)]
    rows = link.execute(
        "SELECT code FROM unit WHERE code = ANY(%s) AND NOT is_recomputable(id, 0, 4102444800000)",
        (codes,),
    ).fetchall()
    if rows:
        gone = ", ".join(code for (code,) in rows)
        message = f"unit {gone}: no longer recomputable: records of its time are gone, so its points cannot change any more"
        raise RegistryError(message)


def _refuse_unknown(link: Link, version: int, asked: Registry) -> None:
    """Refuse what the factors in force cannot convert. Raises RegistryError."""
    pack = factors_under(link, version) or default_pack()
    if wrong := list(co2_entries.unknown(asked.units, pack)):
        raise RegistryError("\n".join(wrong))


def other_factors(
    link: Link, pack: FactorPack, *, author: str, reason: str
) -> Configuration | None:
    """The configuration that would bring other factors into force, next in number; None where they are already."""
    stored = stored_configurations(link)
    if pack.version == version_in_force(link, stored):
        return None
    configuration = Configuration(
        version=max(stored, default=0) + 1,
        author=author,
        reason=reason,
        registry=Registry(),
        factors=FactorsInForce(version=pack.version, entries=pack.entries),
    )
    return configuration.model_copy(update={"hash": configuration.content_hash()})


def version_in_force(link: Link, stored: Mapping[int, Configuration]) -> str:
    """The pack that new units are converted by."""
    brought = [one.factors.version for _, one in sorted(stored.items()) if one.factors is not None]
    base = stored_factors(link)
    return brought[-1] if brought else "" if base is None else base.version


def _store_next(
    link: Link,
    added: Callable[[Mapping[int, Configuration]], tuple[Registry, LawInForce | None] | None],
    *,
    author: str,
    reason: str,
) -> Configuration | None:
    """One at a time; `added` says what there is to add to the stored versions."""
    link.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        stored = stored_configurations(link)
        found = added(stored)
        if found is None:
            return None
        configuration = Configuration(
            version=max(stored, default=0) + 1,
            author=author,
            reason=reason,
            registry=found[0],
            law=found[1],
        )
        configuration = configuration.model_copy(update={"hash": configuration.content_hash()})
        save_configuration(link, configuration)
        return configuration
    finally:
        link.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake."""
    chosen = _parser().parse_args(arguments)
    try:
        asked = check(chosen.file)
        law = law_for(asked)
        if chosen.verb == "load":
            return _load(asked, law, chosen)
        if chosen.verb == "diff":
            return _diff(asked)
    except (RegistryError, SettingsError, psycopg.Error) as error:
        _complain(f"registry: {error}")
        return 1
    points = sum(len(unit.points) for unit in asked.units)
    _tell(f"{chosen.file}: {len(asked.units)} units, {points} points: in order")
    return 0


def _diff(asked: Registry) -> int:
    """Say what loading the file would change, against the database."""
    database = Settings.read().database_url
    if database is None:
        _complain("registry: no database named: set WEIR_DATABASE_URL")
        return 2
    with psycopg.connect(database.get_secret_value()) as link:
        stored = [one.registry for one in stored_configurations(link).values()]
    units = {unit.code: unit for registry in stored for unit in registry.units}
    changed = news(stored, asked)
    lines = [
        line for unit in changed.units for line in revision.described(units.get(unit.code), unit)
    ]
    for line in lines or ["nothing is new"]:
        _tell(line)
    return 0


def _load(asked: Registry, law: LawInForce | None, chosen: argparse.Namespace) -> int:
    """Store first, then publish: `--again` publishes what a broker that was away did not get."""
    settings = Settings.read()
    database = settings.database_url
    if database is None:
        _complain("registry: no database named: set WEIR_DATABASE_URL")
        return 2
    with psycopg.connect(database.get_secret_value(), autocommit=True) as link:
        added = store_news(link, asked, author=chosen.author, reason=chosen.reason, law=law)
        stored = list(stored_configurations(link).values())
    if added:
        _tell(
            f"stored configuration {added.version}: {len(added.registry.units)} new or changed units"
            + (f"; product limits of {added.law.version}" if added.law else "")
        )
    told = [added] if added else stored if chosen.again else []
    if not told:
        _tell("nothing is new; --again publishes once more what is stored")
    for configuration in [] if chosen.database_only else told:
        publish(
            configuration,
            settings.kafka,
            partitions=settings.partitions,
            prefix=settings.topic_prefix,
            generation=settings.generation,
        )
        _tell(f"published configuration {configuration.version}")
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors registry",
        description=__doc__,
        epilog="WEIR_DATABASE_URL and WEIR_KAFKA say where to.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    checked = verbs.add_parser("check", help="say what is wrong with a file")
    diff = verbs.add_parser("diff", help="say what loading a file would change, and when it holds")
    load = verbs.add_parser("load", help="store what is new, and apply it in every partition")
    for verb in (checked, diff, load):
        verb.add_argument("file", type=Path)
    load.add_argument("--author", default=getpass.getuser())
    load.add_argument("--reason", default="registry load")
    load.add_argument("--again", action="store_true", help="publish what is stored once more")
    load.add_argument("--database-only", action="store_true", help="leave the log alone")
    return parser
