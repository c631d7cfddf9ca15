"""The tables of regions and industries: one transaction an hour, by whoever holds the advisory lock.

The lock is the connection's: who lost the one lost the other, and cannot write.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString, NamedTuple, cast

import orjson
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import consequences
from processors.aggregation import (
    Gathering,
    Kind,
    Member,
    Span,
    Telling,
    Told,
    first_hour,
    tellings_of,
)
from processors.co2_views import PowerRow
from processors.deduction_store import DeductionStore
from processors.entries import HOUR_LOCK
from processors.landing_store import Inputs, begin, has_begun, tell
from processors.landing_told import Json, Row, landing_messages
from processors.leader_store import LeaderStore
from processors.ledger import EMPTY, Net, netted, spans_moved
from processors.power_store import keep_powers
from processors.region_rows import (
    HourRows,
    Judged,
    Scene,
    level_messages,
    rows_of,
    spans_of,
    subject,
)
from processors.standings import Level, level_after, stand_of
from schemas.calendar import HOUR_MS, window_start, year_start
from schemas.double_control import Amount
from schemas.factors import FactorPack
from schemas.indicator import LandingTold, LevelTold
from schemas.regions import Window
from schemas.section import partition_of
from schemas.targets import Targets, TargetVersion

Link = Connection[TupleRow]

_LEADER = 4_932_004_934
"""Advisory lock of the one aggregator."""
_FETCH = 2_000
_BEFORE, _BEYOND = (-1, -1), (2**62, 0)

_LAST = "SELECT hour FROM aggregation"
_FIRST_TICK = """
SELECT min(at) FROM tick WHERE generation = %s AND partition = %s AND unit = 0"""
_CUT = """
SELECT "offset", position FROM tick
WHERE generation = %s AND partition = %s AND unit = 0 AND at >= %s ORDER BY at, "offset" LIMIT 1"""
_NEWEST_TICK = """
SELECT max(at) FROM tick WHERE generation = %s AND partition = %s AND unit = 0"""
_CUTS = """
SELECT generation, partition, "offset", position FROM region_cut WHERE hour = %s"""
_LOGS = "SELECT generation, partition FROM partition WHERE generation < %s ORDER BY 1, 2"
_OUTBOX = """
SELECT payload FROM outbox
WHERE generation = %s AND partition = %s AND ("offset", position) > (%s, %s)
  AND ("offset", position) <= (%s, %s) ORDER BY "offset", position, number"""
_APPLIED = """
SELECT partition, substring(text FROM 'apply configuration (\\d+)')::integer AS version FROM control
WHERE generation = %s AND "offset" < %s AND partition = %s AND text LIKE 'apply configuration %%'
UNION SELECT partition, substring(text FROM 'apply configuration (\\d+)')::integer FROM control
WHERE generation < %s AND text LIKE 'apply configuration %%'"""
_MEMBERS = """
SELECT u.unit ->> 'code', u.unit ->> 'region', u.unit ->> 'industry',
       (SELECT min(ms_of((p.point ->> 'valid_from')::timestamptz))
        FROM jsonb_array_elements(u.unit -> 'points') AS p (point))
FROM configuration c CROSS JOIN LATERAL jsonb_array_elements(c.body -> 'units') AS u (unit)
WHERE c.version = %s"""
_TELLING = """unit, kind, starts, ends, as_of, cause, silent, verdict, fed, share,
  energy_low, energy_best, energy_high, co2_low, co2_best, co2_high, configuration,
  energy_unverified, co2_unverified, natives"""
_DUE = f"SELECT {_TELLING} FROM region_telling WHERE NOT counted AND as_of <= %s ORDER BY as_of"  # noqa: S608 - our own columns
_COUNTED = f"SELECT {_TELLING} FROM region_telling WHERE kind = %s AND starts = %s AND counted"  # noqa: S608 - our own columns
_FORGET_DUE = "DELETE FROM region_telling WHERE NOT counted AND as_of <= %s"
_FORGET_OLDER = """
DELETE FROM region_telling t USING unnest(%s::text[], %s::bigint[], %s::text[]) AS s (kind, starts, unit)
WHERE t.kind = s.kind AND t.starts = s.starts AND t.unit = s.unit AND t.counted"""
_FORGET_AHEAD = """
DELETE FROM region_telling t USING unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[]) AS s (kind, starts, unit, as_of)
WHERE t.kind = s.kind AND t.starts = s.starts AND t.unit = s.unit AND t.as_of = s.as_of"""
_COPY_TELLINGS = f"COPY region_telling (counted, {_TELLING}) FROM STDIN"
_COPY_HOURS = """
COPY region_hour (scope, kind, starts, hour, ends, energy_low, energy_best, energy_high, co2_low, co2_best, co2_high,
  share, units, told, pending, silent, broken, not_judged, energy_unverified, co2_unverified) FROM STDIN"""
_FORGET_DEDUCTED = "DELETE FROM unit_deduction WHERE kind = %s AND starts = %s"
_COPY_DEDUCTED = """
COPY unit_deduction (kind, starts, unit, net_of, number, form, carrier, capped, low, best, high, evidence, rests_on, unverified) FROM STDIN"""
_COPY_DEDUCTED_SUMS = (
    "COPY scope_deduction (scope, kind, starts, hour, net_of, low, best, high) FROM STDIN"
)
_COPY_OUTBOX = "COPY region_outbox (hour, number, partition, key, payload) FROM STDIN"
_TARGETS = """
SELECT version, from_hour, body FROM target_version WHERE from_hour <= %s
ORDER BY from_hour DESC, version DESC LIMIT 1"""
_LEVELS = """
SELECT DISTINCT ON (target) target, scope, year, quantity, covers, level, level_reason, last_known
FROM target_hour WHERE target = ANY(%s) ORDER BY target, hour DESC"""
_STANDING = """
INSERT INTO target_hour (target, hour, version, scope, year, quantity, covers, target_amount, allowed, basis,
  low, best, high, verdict, reason, level, level_reason, last_known, rule, net_of, gross_low, gross_best, gross_high,
  unverified, views)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_CHANGE = """
INSERT INTO level_change (target, hour, scope, from_level, to_level, body)
VALUES (%s, %s, %s, %s, %s, %s::jsonb)"""
_DEDUCTIONS_FROM = "SELECT deductions_from FROM aggregation"
_TOLD = """
INSERT INTO aggregation (hour, deductions_from) VALUES (%(hour)s, %(hour)s) ON CONFLICT (one) DO UPDATE
SET hour = excluded.hour, deductions_from = coalesce(aggregation.deductions_from, excluded.deductions_from)"""
_UNPUBLISHED = """
SELECT o.hour, o.number, o.partition, o.key, o.payload FROM region_outbox o CROSS JOIN aggregation a
WHERE (o.hour, o.number) > (a.outbox_hour, a.outbox_number) ORDER BY o.hour, o.number LIMIT %s"""
_PUBLISHED = "UPDATE aggregation SET outbox_hour = %s, outbox_number = %s"
_NEWEST_WINDOWS = """
SELECT r.kind, r.starts, r.ends, r.hour, r.energy_low, r.energy_best, r.energy_high, r.co2_low, r.co2_best, r.co2_high,
       r.share, r.units, r.told, r.pending, r.silent, r.broken, r.not_judged, r.energy_unverified, r.co2_unverified,
       (SELECT v.contested FROM region_told v WHERE (v.scope, v.window_kind, v.starts, v.hour) = (r.scope, r.kind, instant(r.starts), instant(r.hour)))
           AS contested,
       (SELECT jsonb_object_agg(array_to_string(d.net_of, ' and '), ARRAY[d.low, d.best, d.high]) FROM scope_deduction d
        WHERE (d.scope, d.kind, d.starts, d.hour) = (r.scope, r.kind, r.starts, r.hour)) AS deducted
FROM (VALUES ('year'), ('month')) AS k (kind)
CROSS JOIN LATERAL (SELECT DISTINCT starts FROM region_hour h WHERE h.scope = %(scope)s AND h.kind = k.kind
                    ORDER BY starts DESC LIMIT 2) AS w
CROSS JOIN LATERAL (SELECT * FROM region_hour h WHERE h.scope = %(scope)s AND h.kind = k.kind AND h.starts = w.starts
                    ORDER BY h.hour DESC LIMIT 1) AS r
ORDER BY r.kind DESC, r.starts DESC"""
_NEWEST_STANDINGS = """
SELECT DISTINCT ON (target) target, hour, year, quantity, covers, target_amount, allowed, basis, low, best, high,
       verdict, reason, level, level_reason, rule, net_of, gross_low, gross_best, gross_high, unverified, views,
       (SELECT v.contested FROM target_told v WHERE v.target = t.target AND v.is_newest) AS contested
FROM target_hour t WHERE scope = %(scope)s ORDER BY target, hour DESC"""
_NEWEST_CHANGES = """
SELECT DISTINCT ON (target) target, hour, body FROM level_change WHERE scope = %(scope)s ORDER BY target, hour DESC"""


class Cut(NamedTuple):
    """Where an hour cuts a partition's log."""

    generation: int
    partition: int
    offset: int
    position: int


class Message(NamedTuple):
    """One of the outbox, in the order of (hour, number)."""

    hour: int
    number: int
    partition: int | None
    """Of weir.indicators.v1; None: it goes to weir.regions.v1."""
    key: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """What was told of one scope last; rows as the tables have them, by name."""

    windows: Sequence[Mapping[str, object]]
    standings: Sequence[Mapping[str, object]]
    changes: Mapping[str, tuple[int, Mapping[str, object]]]
    """By target: when its level changed last, and what moved it."""
    targets: TargetVersion | None
    """In force at the hour told last."""


class RegionStore(LeaderStore):
    """The tables, as the aggregator sees them. Raises AwayError and TablesError."""

    def __init__(
        self,
        url: str,
        *,
        generation: int = 1,
        partitions: int,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`at_point` is for tests."""
        super().__init__(url, name="weir aggregator", lock=_LEADER)
        self._generation, self._partitions = generation, partitions
        self._at_point = at_point
        self._members: dict[int, list[Member]] = {}
        self._targets: dict[int, TargetVersion] = {}
        self._deductions = DeductionStore()

    def keep_powers(self, rows: Sequence[PowerRow]) -> None:
        """The factors of electricity that CO2 is shown by, beside the one that it is told by."""
        with self._linked() as link:
            keep_powers(link, rows)

    # ---- An hour

    def lag_hours(self) -> int | None:
        """Full hours that every partition is past and that were not told; None before the first."""
        with self._linked() as link:
            newest = [
                link.execute(_NEWEST_TICK, (self._generation, partition)).fetchone()
                for partition in range(self._partitions)
            ]
            last = link.execute(_LAST).fetchone()
        ticks = [row[0] for row in newest if row and row[0] is not None]
        if last is None or len(ticks) < self._partitions:
            return None
        return int(max(0, (min(ticks) - last[0]) // HOUR_MS))

    def tell_next(self) -> tuple[int, HourRows] | None:
        """Tell the next hour in one transaction; None where it is not due. Only who leads may ask."""
        with self._linked() as link:
            with link.transaction():
                link.execute("SELECT pg_advisory_xact_lock(%s)", (HOUR_LOCK,))
                found = self._next(link)
                if found is None:
                    return None
                hour, last, cuts = found
                rows = self._tell(link, hour, last, cuts)
                self._at_point("before commit")
            self._at_point("committed")
            return hour, rows

    def _logs(self, link: Link) -> dict[int, list[int]]:
        """The partitions of each generation; of the present one those that the settings say."""
        logs: dict[int, list[int]] = defaultdict(list)
        for generation, partition in link.execute(_LOGS, (self._generation,)):
            logs[generation].append(partition)
        return {**logs, self._generation: list(range(self._partitions))}

    def _next(self, link: Link) -> tuple[int, int | None, list[Cut]] | None:
        """The next hour, the one before it, and its cuts, if every partition is past it.

        By the first generation of the log in which all are: what a later one holds came after.
        """
        row = link.execute(_LAST).fetchone()
        last = None if row is None else int(row[0])
        since = 0
        if last is not None:
            since = max(int(generation) for generation, *_ in link.execute(_CUTS, (last,)))
        for generation, partitions in sorted(self._logs(link).items()):
            if generation < since:
                continue
            hour = self._first(link, generation, partitions) if last is None else last + HOUR_MS
            cuts = None if hour is None else self._cuts(link, hour, generation, partitions)
            if hour is not None and cuts is not None:
                return hour, last, cuts
        return None

    @staticmethod
    def _first(link: Link, generation: int, partitions: Sequence[int]) -> int | None:
        ticks = []
        for partition in partitions:
            row = link.execute(_FIRST_TICK, (generation, partition)).fetchone()
            if row is None or row[0] is None:
                return None
            ticks.append(int(row[0]))
        return first_hour(ticks)

    @staticmethod
    def _cuts(
        link: Link, hour: int, generation: int, partitions: Sequence[int]
    ) -> list[Cut] | None:
        cuts = []
        for partition in partitions:
            found = link.execute(_CUT, (generation, partition, hour)).fetchone()
            if found is None:
                return None
            cuts.append(Cut(generation, partition, *found))
        return cuts

    def _tell(self, link: Link, hour: int, last: int | None, cuts: Sequence[Cut]) -> HourRows:
        earlier = [] if last is None else [Cut(*row) for row in link.execute(_CUTS, (last,))]
        gathering = self._gather(link, hour, earlier, cuts)
        targets, old = self._targets_at(link, hour), self._targets_at(link, hour - HOUR_MS)
        ledgers = [self._deductions.at(link, at) for at in (hour - HOUR_MS, hour)]
        begun = link.execute(_DEDUCTIONS_FROM).fetchone() not in {None, (None,)}
        # A release that kept no deductions of units was here before: all that evidence is of is told anew.
        moved = spans_moved(ledgers[0] if begun else EMPTY, ledgers[1])
        touched = {*gathering.spans(), *moved}
        spans = spans_of(hour, touched, None if targets == old else targets)
        counted = {span: self._counted(link, span) for span in spans}
        fresh = {
            span: {key[0]: one for key, one in gathering.fresh.items() if key[1] == span}
            for span in spans
        }
        before = Scene(hour - HOUR_MS, self._members_at(link, earlier), counted, old, ledgers[0])
        told = {span: {**counted[span], **fresh[span]} for span in spans}
        after = Scene(hour, self._members_at(link, cuts), told, targets, ledgers[1])
        rows = rows_of(before, after, self._levels(link, targets))
        self._keep(link, gathering)
        midnight = window_start("day", hour) == hour
        landed = tell(link, hour, after.members) if midnight else []
        self._write(link, hour, cuts, rows, landed)
        return rows

    def _gather(
        self, link: Link, hour: int, earlier: Sequence[Cut], cuts: Sequence[Cut]
    ) -> Gathering:
        """All that was told between the cuts, and what was told for this hour ahead of it."""
        gathering, inputs = Gathering(hour), Inputs(link)
        if not has_begun(link):
            # A release that told no landings was here before: of its hours the days are taken up.
            for told in self._told(link, (), earlier) if earlier else ():
                inputs.add(told)
            begin(link, hour)
        gathering.add(_telling(row) for row in link.execute(_DUE, (hour,)))
        for told in self._told(link, earlier, cuts):
            gathering.add(tellings_of(told))
            inputs.add(told)
        inputs.write()
        return gathering

    def _told(self, link: Link, earlier: Sequence[Cut], cuts: Sequence[Cut]) -> Iterator[Json]:
        """The messages between the cuts, in the log's order."""
        begins = {cut[:2]: cut[2:] for cut in earlier}
        ends = {cut[:2]: cut[2:] for cut in cuts}
        since, until = (
            max((cut.generation for cut in some), default=0) for some in (earlier, cuts)
        )
        for generation, partitions in sorted(self._logs(link).items()):
            for partition in partitions if since <= generation <= until else ():
                log = generation, partition
                # An earlier generation's log was digested to its end before the next one began.
                first, last = begins.get(log, _BEFORE), ends.get(log, _BEYOND)
                with link.cursor(name="told", binary=True) as cursor:
                    cursor.itersize = _FETCH
                    for (payload,) in cursor.execute(_OUTBOX, (*log, *first, *last)):
                        yield orjson.loads(payload)

    def _counted(self, link: Link, span: Span) -> Told:
        rows = link.execute(_COUNTED, (span.kind, span.start))
        return {telling.unit: telling for telling in map(_telling, rows)}

    def _members_at(self, link: Link, cuts: Sequence[Cut]) -> list[Member]:
        """The units whose registration stands before the cut of their partition."""
        found: dict[str, Member] = {}
        for cut in cuts:
            key = (cut.generation, cut.offset, cut.partition, cut.generation)
            for _, version in sorted(link.execute(_APPLIED, key).fetchall(), key=lambda r: r[1]):
                mine = (
                    member
                    for member in self._members_of(link, version)
                    if partition_of(member.unit, len(cuts)) == cut.partition
                )
                found.update((member.unit, member) for member in mine)
        return [found[unit] for unit in sorted(found)]

    def _members_of(self, link: Link, version: int) -> Sequence[Member]:
        """The units of one configuration, which never changes."""
        if version not in self._members:
            rows = link.execute(_MEMBERS, (version,)).fetchall()
            self._members[version] = [Member(*row) for row in rows]
        return self._members[version]

    def _targets_at(self, link: Link, hour: int) -> TargetVersion | None:
        row = link.execute(_TARGETS, (hour,)).fetchone()
        if row is None:
            return None
        version, from_hour, body = row
        if version not in self._targets:
            targets = Targets.model_validate(body)
            self._targets[version] = TargetVersion(
                version=version, from_hour=from_hour, targets=targets
            )
        return self._targets[version]

    def _levels(self, link: Link, targets: TargetVersion | None) -> dict[str, Level]:
        """Where the targets stood when they were judged last."""
        subjects = (
            {} if targets is None else {one.id: subject(one) for one in targets.targets.targets}
        )
        rows = link.execute(_LEVELS, (list(subjects),)) if subjects else ()
        return {
            target: Level(*level)
            for target, scope, year, quantity, covers, *level in rows
            if subjects[target] == (scope, year, quantity, covers)
        }

    # ---- Writing

    def _keep(self, link: Link, gathering: Gathering) -> None:
        link.execute(_FORGET_DUE, (gathering.hour,))
        for statement, keys in (
            (_FORGET_OLDER, [(s.kind, s.start, unit) for unit, s in gathering.fresh]),
            (_FORGET_AHEAD, [(s.kind, s.start, unit, at) for unit, s, at in gathering.ahead]),
        ):
            if keys:
                link.execute(statement, [list(column) for column in zip(*keys, strict=True)])
        with link.cursor().copy(_COPY_TELLINGS) as copy:
            for telling in gathering.fresh.values():
                copy.write_row((True, *_columns(telling)))
            for telling in gathering.ahead.values():
                copy.write_row((False, *_columns(telling)))

    def _write(
        self, link: Link, hour: int, cuts: Sequence[Cut], rows: HourRows, landed: Sequence[Row]
    ) -> None:
        with link.cursor().copy(_COPY_HOURS) as copy:
            for span, by_scope in rows.windows.items():
                for scope, window in by_scope.items():
                    copy.write_row((scope, span.kind, span.start, hour, span.end, *_sums(window)))
        _write_deducted(link, hour, rows)
        for judged in rows.judged:
            _write_standing(link, hour, judged)
        with link.cursor().copy(_COPY_OUTBOX) as copy:
            log = {"generation": cuts[0].generation, "partitions": len(cuts)}
            alerts: list[LevelTold | LandingTold] = [
                *level_messages(rows, hour, **log),
                *landing_messages(landed, **log),
            ]
            told = [(None, one.scope, one.model_dump_json()) for one in rows.messages] + [
                (one.version.partition, one.subject, one.model_dump_json()) for one in alerts
            ]
            for number, (partition, key, payload) in enumerate(told):
                copy.write_row((hour, number, partition, key, payload.encode()))
        with link.cursor().copy(
            'COPY region_cut (hour, generation, partition, "offset", position) FROM STDIN'
        ) as copy:
            for cut in cuts:
                copy.write_row((hour, *cut))
        link.execute(_TOLD, {"hour": hour})

    # ---- The outbox

    def unpublished(self, limit: int) -> list[Message]:
        """The first messages beyond the cursor, in order."""
        with self._linked() as link:
            return [Message(*row) for row in link.execute(_UNPUBLISHED, (limit,))]

    def published(self, last: Message) -> None:
        """Remember the last message that Kafka has."""
        with self._linked() as link:
            link.execute(_PUBLISHED, (last.hour, last.number))

    # ---- Showing

    def netted(self, year: int, asked: Callable[[Member], bool]) -> tuple[int, list[Net]] | None:
        """The hour told last, and the energy of a year, gross and net, of the units asked for by then; None before the first."""
        with self._linked() as link, link.transaction():
            row = link.execute(_LAST).fetchone()
            if row is None:
                return None
            hour = int(row[0])
            cuts = [Cut(*cut) for cut in link.execute(_CUTS, (hour,))]
            told = self._counted(link, Span("year", year_start(year), year_start(year + 1)))
            members = [one for one in self._members_at(link, cuts) if asked(one)]
            return hour, netted(members, told, hour, self._deductions.at(link, hour))

    def foretold(
        self, other: Callable[[Telling], Telling], version: int, pack: FactorPack
    ) -> list[tuple[consequences.Judged, consequences.Judged]]:
        """Each target at the hour told last: as it stood, and as if units had told otherwise; `pack` is of the version that they would tell under."""
        with self._linked() as link, link.transaction():
            row = link.execute(_LAST).fetchone()
            targets = None if row is None else self._targets_at(link, int(row[0]))
            if row is None or targets is None:
                return []
            hour = int(row[0])
            self._deductions.know(version, pack)
            ledger = self._deductions.at(link, hour)
            members = self._members_at(link, [Cut(*cut) for cut in link.execute(_CUTS, (hour,))])
            levels = self._levels(link, targets)
            found = []
            for target in targets.targets.targets:
                span = Span("year", year_start(target.year), year_start(target.year + 1))
                if target.id not in levels or span.start >= hour:
                    continue
                told = self._counted(link, span)
                changed = {unit: other(one) for unit, one in told.items()}
                stands = [
                    stand_of(targets, target, members, some, hour, ledger)
                    for some in (told, changed)
                ]
                known = levels[target.id]
                judged = known, level_after(stands[1], known.last_known)
                before, after = map(consequences.Judged, stands, judged)
                found.append((before, after))
            return found

    def shown(self, scope: str) -> Shown:
        """What was told of a scope last."""
        with self._linked() as link:
            changes = link.execute(_NEWEST_CHANGES, {"scope": scope}).fetchall()
            last = link.execute(_LAST).fetchone()
            return Shown(
                windows=_by_name(link, _NEWEST_WINDOWS, scope),
                standings=_by_name(link, _NEWEST_STANDINGS, scope),
                changes={target: (hour, body) for target, hour, body in changes},
                targets=None if last is None else self._targets_at(link, int(last[0])),
            )


def _by_name(link: Link, query: LiteralString, scope: str) -> list[dict[str, object]]:
    cursor = link.execute(query, {"scope": scope})
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _telling(row: TupleRow) -> Telling:
    unit, kind, starts, ends, *rest = row
    as_of, cause, silent, verdict, fed, share, *amounts, configuration, energy, co2, natives = rest
    return Telling(
        unit=unit,
        span=Span(cast("Kind", kind), starts, ends),
        as_of=as_of,
        cause=cause,
        silent=silent,
        verdict=verdict,
        fed=fed,
        share=share,
        energy=Amount(*amounts[:3]),
        co2=Amount(*amounts[3:]),
        configuration=configuration,
        energy_unverified=energy,
        co2_unverified=co2,
        natives=tuple(Amount(*natives[n : n + 3]) for n in range(0, len(natives), 3)),
    )


def _columns(telling: Telling) -> tuple[object, ...]:
    energy, co2 = telling.energy, telling.co2
    return (
        telling.unit,
        *telling.span,
        telling.as_of,
        telling.cause,
        telling.silent,
        telling.verdict,
        telling.fed,
        telling.share,
        *(energy.low, energy.best, energy.high),
        *(co2.low, co2.best, co2.high),
        telling.configuration,
        *(telling.energy_unverified, telling.co2_unverified),
        [end for one in telling.natives for end in (one.low, one.best, one.high)],
    )


def _sums(window: Window) -> tuple[int | None, ...]:
    energy, co2, counts = window.energy, window.co2, window.counts
    return (
        *(energy.low, energy.best, energy.high),
        *(co2.low, co2.best, co2.high),
        window.share_measured,
        *(counts.units, counts.told, counts.pending),
        *(counts.silent, counts.broken, counts.not_judged),
        *(energy.unverified, co2.unverified),
    )


def _write_deducted(link: Link, hour: int, rows: HourRows) -> None:
    """Of units as they are now, of scopes hour by hour."""
    for span in rows.deducted:
        link.execute(_FORGET_DEDUCTED, (span.kind, span.start))
    with link.cursor().copy(_COPY_DEDUCTED) as copy:
        for span, of_units in rows.deducted.items():
            for unit, its in of_units.items():
                for net_of, lines in its.items():
                    for number, one in enumerate(lines):
                        copy.write_row(
                            (
                                *(span.kind, span.start, unit, list(net_of), number),
                                *(one.form, one.carrier, one.capped),
                                *(one.amount.low, one.amount.best, one.amount.high),
                                *(list(one.evidence), list(one.rests_on), one.unverified),
                            )
                        )
    with link.cursor().copy(_COPY_DEDUCTED_SUMS) as copy:
        for span, sums in rows.deducted_sums.items():
            for (scope, net_of), amount in sums.items():
                key = scope, span.kind, span.start, hour, list(net_of)
                copy.write_row((*key, amount.low, amount.best, amount.high))


def _write_standing(link: Link, hour: int, judged: Judged) -> None:
    said, target, level = judged.said, judged.stand.target, judged.level
    gross = said.gross
    link.execute(
        _STANDING,
        (
            *(target.id, hour, said.version, target.scope, target.year, target.quantity),
            *(target.covers, said.amount, said.allowed, said.basis),
            *(said.used.low, said.used.best, said.used.high, said.verdict, said.reason),
            *(level.level, level.reason, level.last_known, said.rule, list(said.net_of)),
            *((None,) * 3 if gross is None else (gross.low, gross.best, gross.high)),
            *(said.used.unverified, list(said.views)),
        ),
    )
    if said.changed is not None:
        body = json.dumps(said.changed.model_dump(mode="json"))
        key = (target.id, hour, target.scope, said.changed.before, said.changed.after)
        link.execute(_CHANGE, (*key, body))
