"""The service without its IO: records in, one step out.

`Engine.step` is a generator: it yields `Needs`, is sent `Fetched`, and returns the `Step` that one transaction writes.
Between two ticks of a unit the order of its records decides nothing but the account.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter

import numpy as np

from processors import restatement, revision, totals
from processors import rows as row_making
from processors.claims import ACCEPTED, REJECTED, Arrival, Group, merge
from processors.feedback import Gathering
from processors.gaps import change_gaps
from processors.line_limits import Law
from processors.ports import (
    ACCOUNT_CLASSES,
    EntryRow,
    Fetched,
    Gap,
    Ints,
    Needs,
    OutboxRow,
    ReadingRow,
    Rebuild,
    RefusedRow,
    Step,
    UnitState,
)
from processors.rates import Rates, Way
from processors.segments import Ordered, continued
from processors.state import (
    FACTOR,
    KEY_BITS,
    LIMIT,
    RESTATED,
    WAITS,
    ClaimColumns,
    State,
    StepClaims,
    configuration_of,
)
from processors.ticks import Moment, Stand, Told, judge, numbered, tick_message
from processors.validation import TOO_FAST, Readings, reasons
from processors.windows import (
    Mask,
    Pieces,
    apply,
    change_limits,
    change_of,
    ensure,
    evict,
    pieces,
    together,
)
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS, business_day
from schemas.factors import FactorPack
from schemas.feedback import SHOWN, UNKNOWN_UNIT
from schemas.quantities import QUANTITIES
from schemas.registry import UNIT_OF_MEASURE, Configuration, Unit
from schemas.section import (
    WITHDRAWN,
    ApplyConfiguration,
    Column,
    HistoryEnds,
    Record,
    Restated,
    Section,
    Tick,
    Unreadable,
    partition_of,
)

UNIT_CODES = {text: code for code, text in enumerate(sorted(set(UNIT_OF_MEASURE.values())))}
Stepping = Generator[Needs, Fetched, Step]
Asking = Generator[Needs, Fetched, None]
Placed = tuple[int, int, Record]
"""(partition, offset, record)."""


class UnknownConfigurationError(LookupError):
    """A control record applies a configuration that is not here yet: fetch it, then take the step again."""

    def __init__(self, version: int) -> None:
        """`version`: what is missing."""
        super().__init__(f"configuration {version} is applied and not known here")
        self.version = version


@dataclass(slots=True)
class _Outcome:
    """What a step gathers."""

    readings: list[ReadingRow] = field(default_factory=list)
    rejections: list[ReadingRow] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    account: dict[tuple[str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0] * len(ACCOUNT_CLASSES))
    )
    told: Told = field(default_factory=Told)
    ticks: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    controls: list[tuple[int, int, str]] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    feedback: Gathering = field(default_factory=Gathering)
    parts: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Chunk:
    """Records between two control records: sections with their rounds, and the ticks that end each round."""

    sections: list[tuple[int, int, Section]] = field(default_factory=list)
    rounds: list[int | Ints] = field(default_factory=list)
    moments: dict[int, list[Moment]] = field(default_factory=lambda: defaultdict(list))
    marks: list[OutboxRow] = field(default_factory=list)
    ticked: dict[int, int] = field(default_factory=dict)
    """Last tick of units in history."""
    points: dict[int, Ints] = field(default_factory=dict)
    """By number of the section: its points, where no names say them. Such a section is declared, not received: no account has it."""
    last: int = 0

    def declare(
        self,
        place: tuple[int, int],
        state: State,
        u: int,
        registers: Sequence[revision.Declared],
        version: int,
    ) -> None:
        """Put the registers that a unit's entry declares before everything else."""
        for register in registers:
            self.points[len(self.sections)] = state.point_of_number[u][[register[0]]]
            self.sections.append(
                (*place, restatement.section_of(state.units[u], register, version))
            )
            self.rounds.append(0)


class Engine:
    """Digests records of the partitions it holds. One step at a time; a step that was not written must be dropped with its partitions."""

    def __init__(
        self,
        pack: FactorPack,
        configurations: Mapping[int, Configuration],
        partitions: int,
        *,
        generation: int = 1,
        named: int = SHOWN,
    ) -> None:
        """`configurations` may grow while the engine lives; `partitions` is the fixed count of the log, `generation` its number.

        `named`: refused readings that feedback names, of a record and unit.
        """
        self._named = named
        self.state = State(Rates(pack), generation)
        self.partition_ticks: dict[int, int] = {}
        self.configurations = configurations
        self._partitions = partitions
        self._entries = revision.Entries(configurations)
        self._differing: dict[tuple[int, int, tuple[Way, ...]], bool] = {}
        self._maps: dict[tuple[int, tuple[str, ...]], Ints] = {}
        self._expected = np.array(
            [UNIT_CODES[UNIT_OF_MEASURE[name]] for name in QUANTITIES], np.int64
        )

    def step(self, records: Sequence[Placed]) -> Stepping:
        """One step over records, in the order of their offsets within each partition."""
        outcome = _Outcome(feedback=Gathering(shown=self._named))
        chunk = _Chunk()
        counts: dict[int | str, int] = defaultdict(int)
        for placed in records:
            partition, offset, record = placed
            match record.body:
                case Tick(at):
                    self._place_tick(chunk, counts, Stand(partition, offset, 0), at, outcome)
                case ApplyConfiguration() | HistoryEnds() | Restated():
                    yield from self._digest(chunk, outcome)
                    chunk, counts = _Chunk(), defaultdict(int)
                    yield from self._control((partition, offset), record.body, chunk, outcome)
                case parts:
                    self._place_sections(chunk, counts, (partition, offset), parts, outcome)
        yield from self._digest(chunk, outcome)
        return self._finish(records, outcome)

    def take_stored(self, stored: Sequence[tuple[int, Section, Ints]]) -> Stepping:
        """A step over readings that are kept already: (offset, section, its points)."""
        chunk, outcome = _Chunk(), _Outcome()
        for offset, section, points in stored:
            chunk.points[len(chunk.sections)] = points
            chunk.sections.append((0, offset, section))
            chunk.rounds.append(0)
        yield from self._digest(chunk, outcome)
        return self._finish((), outcome)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget these partitions: they are another worker's, or what was prepared on them was not written."""
        gone = set(partitions)
        self.state.drop(gone)
        for partition in gone:
            self.partition_ticks.pop(partition, None)
        self._maps.clear()
        self.clear()

    def clear(self) -> None:
        """Forget what the last step laid over the stored rows: it is handed over."""
        self.state.step_gaps.clear()
        self.state.step_claims.clear()
        self.state.step_gone.clear()

    # Placing records into rounds.

    def _control(
        self,
        place: tuple[int, int],
        body: ApplyConfiguration | HistoryEnds | Restated,
        chunk: _Chunk,
        outcome: _Outcome,
    ) -> Asking:
        match body:
            case HistoryEnds(unit):
                outcome.controls.append((*place, f"history ends {unit}"))
                if (u := self._own(unit, place[0])) is not None:
                    self.state.live[u] = True
                    outcome.told.units.add(u)
            case ApplyConfiguration(version):
                outcome.controls.append((*place, f"apply configuration {version}"))
                yield from self._apply(place, version, chunk, outcome)
            case Restated(unit, version):
                outcome.controls.append((*place, f"restated {unit} {version}"))
                u = self._own(unit, place[0])
                if u is not None and version in {0, int(self.state.pending[u])}:
                    yield from self._restate(place, u, outcome)

    def _own(self, unit: str, partition: int) -> int | None:
        """Index of a unit that is registered in the partition."""
        u = self.state.index.get(unit)
        return u if u is not None and self.state.partition[u] == partition else None

    def _apply(
        self, place: tuple[int, int], version: int, chunk: _Chunk, outcome: _Outcome
    ) -> Asking:
        """New units begin; of others another limit holds at once, and what readings count by waits for `Restated`."""
        if version not in self.configurations:
            raise UnknownConfigurationError(version)
        state, applied = self.state, self.configurations[version]
        self._learn_limits()
        converted = (
            [] if applied.factors is None else self._other_factors(place[0], version, outcome)
        )
        mine = [
            unit
            for unit in applied.registry.units
            if partition_of(unit.code, self._partitions) == place[0]
        ]
        known = [unit for unit in mine if unit.code in state.index]
        new = state.register(mine, {unit.code: place[0] for unit in mine}, version)
        outcome.told.units.update(new)
        for u in new:
            chunk.declare(place, state, u, revision.declared(None, state.units[u]), version)
        changes = [self._change(unit, version, outcome) for unit in known]
        changed = [u for u in changes if u is not None]
        if applied.law is not None:
            changed += self._other_limits(place[0], version)
        outcome.told.units.update([*converted, *changed])
        causes = {u: WAITS if state.pending[u] else LIMIT for u in (*converted, *changed)}
        yield from self._tell(place, causes, outcome)

    def _learn_factors(self) -> None:
        """Know the factors of all configurations at hand."""
        for version, one in sorted(self.configurations.items()):
            if one.factors is not None:
                pack = FactorPack(one.factors.version, one.factors.entries)
                self.state.take_factors(version, pack)

    def _other_factors(self, partition: int, version: int, outcome: _Outcome) -> list[int]:
        """Units of the partition that a configuration's factors convert otherwise: they wait to be restated."""
        self._learn_factors()
        state = self.state
        pack, waiting = state.pack_from[version], []
        for u in np.flatnonzero(state.partition == partition).tolist():
            stale = version <= max(int(state.configuration[u]), int(state.pending[u]))
            waits = bool(state.pending[u])
            if stale or not (waits or self._converts(u, pack)):
                continue
            state.pending[u] = version
            outcome.entries.append(EntryRow(state.units[u], version, waits=True, restated=False))
            waiting.append(u)
        return waiting

    def _learn_limits(self) -> None:
        """Know the product limits of all configurations at hand."""
        for version, one in self.configurations.items():
            if one.law is not None and version not in self.state.laws:
                self.state.laws[version] = Law(one.law)

    def _other_limits(self, partition: int, version: int) -> list[int]:
        """Hold the lines of the partition's units to a configuration's limits; these units."""
        state = self.state
        mine = np.flatnonzero((state.partition == partition) & (state.law < version)).tolist()
        held = [u for u in mine if state.boundaries[u]]
        state.law[held] = version
        for u in held:
            state.broken_since[u].clear()
        return held

    def _converts(self, u: int, pack: int) -> bool:
        """Whether a pack converts the unit's carriers otherwise than its own does."""
        key = (int(self.state.pack[u]), pack, self.state.ways_of(u))
        if key not in self._differing:
            self._differing[key] = self.state.rates.differ(key[2], key[:2])
        return self._differing[key]

    def _change(self, entry: Unit, version: int, outcome: _Outcome) -> int | None:
        """Take another entry of a known unit; its index, if it is another."""
        state = self.state
        u = state.index[entry.code]
        if version <= max(int(state.configuration[u]), int(state.pending[u])):
            return None
        before = state.units[u]
        if (
            state.pending[u]
            or revision.counts_otherwise(before, entry)
            or before.heat_values != entry.heat_values
        ):
            state.pending[u] = version
        elif entry != state.units[u]:
            change_limits(state, u, entry)
            state.configuration[u] = version
        else:
            return None
        outcome.entries.append(EntryRow(entry, version, bool(state.pending[u]), restated=False))
        return u

    def _restate(self, place: tuple[int, int], u: int, outcome: _Outcome) -> Asking:
        """The unit's figures become those of all its readings so far; the record is alone in its step."""
        asked, new, cause = self._asked(u, place), u, FACTOR
        if self.state.pending[u] and not revision.counts_otherwise(asked.before, asked.entry):
            yield from restatement.convert_again(self.state, u, asked)
        else:
            cause = RESTATED
            new, rebuilt = yield from restatement.take(self.state, u, asked)
            if rebuilt is None:
                outcome.controls.append((*place, f"no longer recomputable {asked.entry.code}"))
                return
            outcome.readings.extend(rebuilt.admitted)
            outcome.rejections.extend(rebuilt.too_fast)
        outcome.told.units.add(new)
        outcome.entries.append(EntryRow(asked.entry, asked.version, waits=False, restated=True))
        self._maps.clear()
        yield from self._tell(place, {new: cause}, outcome)

    def _entry(self, unit: str, version: int) -> Unit:
        """A unit's entry under a configuration."""
        found = self._entries.at(unit, version)
        if found is not None:
            return found
        raise UnknownConfigurationError(version)

    def _tell(self, place: tuple[int, int], causes: Mapping[int, int], outcome: _Outcome) -> Asking:
        """Tell units in full what changed and why, as of their last tick; who had none is told at the first."""
        state = self.state
        ticked = [u for u in causes if state.begins[u] < state.last_tick[u]]
        state.changed[ticked] = [
            causes[u] + (int(state.changed[u]) if causes[u] == WAITS else 0) for u in ticked
        ]
        moments = [Moment(u, int(state.last_tick[u]), Stand(*place, 0)) for u in ticked]
        if moments:
            yield from judge(state, moments, outcome.told)

    def restore(self, stored: Iterable[UnitState]) -> None:
        """Take states as they rest in the database, each under the entry that it stands under."""
        self._learn_factors()
        self._learn_limits()
        self.state.restore(
            (self._entry(one.unit, configuration_of(one.blob)), one.partition, one.blob)
            for one in stored
        )

    def waiting(self) -> dict[str, Rebuild]:
        """Units that wait to be restated, with what is to be done; the record's offset is not known yet."""
        state = self.state
        return {
            state.units[u].code: self._asked(u, (int(state.partition[u]), -1))
            for u in np.flatnonzero(state.pending).tolist()
        }

    def _asked(self, u: int, place: tuple[int, int]) -> Rebuild:
        state = self.state
        version = int(state.pending[u] or state.configuration[u])
        entry = self._entry(state.units[u].code, version)
        return Rebuild(entry, state.units[u], version, place, bool(state.live[u]))

    def _place_tick(
        self, chunk: _Chunk, counts: dict[int | str, int], stand: Stand, at: int, outcome: _Outcome
    ) -> None:
        """A partition's tick ends the round of its live units."""
        last = self.partition_ticks.get(stand.partition)
        if last is not None and at <= last:
            return
        self.partition_ticks[stand.partition] = at
        state = self.state
        mine = np.flatnonzero(
            (state.partition == stand.partition) & state.live & (state.last_tick < at)
        )
        number = counts[stand.partition]
        counts[stand.partition] += 1
        chunk.moments[number].extend(Moment(u, at, stand) for u in mine.tolist())
        chunk.last = max(chunk.last, number + 1)
        self._mark(chunk, stand, at, None, outcome)

    def _mark(
        self, chunk: _Chunk, stand: Stand, at: int, unit: str | None, outcome: _Outcome
    ) -> None:
        outcome.ticks.append((stand.partition, stand.offset, stand.position, at, unit or ""))
        chunk.marks.append(tick_message(self.state, stand, at, unit))

    def _place_sections(
        self,
        chunk: _Chunk,
        counts: dict[int | str, int],
        place: tuple[int, int],
        parts: Sequence[Section | Unreadable],
        outcome: _Outcome,
    ) -> None:
        position = 0
        for part in parts:
            if isinstance(part, Unreadable):
                self._unreadable(place, part, outcome)
                continue
            self._refused(place, part, outcome)
            u = self.state.index.get(part.unit)
            if u is None or self.state.partition[u] != place[0]:
                position += len(part.ticks)
                row_making.unknown_unit(place, part, outcome.refused, outcome.parts)
                outcome.feedback.whole(place, part, UNKNOWN_UNIT)
                outcome.account[part.unit, _received_on(part)][REJECTED] += len(part)
                continue
            if self.state.live[u]:
                position += len(part.ticks)
                chunk.sections.append((*place, part))
                chunk.rounds.append(counts[place[0]])
                chunk.last = max(chunk.last, counts[place[0]])
            else:
                position = self._place_history(chunk, counts, (*place, position), part, outcome)

    def _place_history(
        self,
        chunk: _Chunk,
        counts: dict[int | str, int],
        place: tuple[int, int, int],
        part: Section,
        outcome: _Outcome,
    ) -> int:
        """A section of a unit in history: its own ticks end its rounds. Returns the next position in the record."""
        partition, offset, position = place
        u = self.state.index[part.unit]
        first = counts[part.unit]
        starts: list[int] = []
        last = chunk.ticked.get(u, int(self.state.last_tick[u]))
        for after, at in sorted(part.ticks, key=itemgetter(0)):
            stand = Stand(partition, offset, position)
            position += 1
            if at <= last:
                continue
            last = at
            chunk.moments[first + len(starts)].append(Moment(u, at, stand))
            starts.append(after)
            self._mark(chunk, stand, at, part.unit, outcome)
        chunk.ticked[u] = last
        counts[part.unit] = first + len(starts)
        chunk.sections.append((partition, offset, part))
        if starts:
            chunk.rounds.append(
                first + np.searchsorted(np.array(starts), np.arange(len(part)), side="right")
            )
        else:
            chunk.rounds.append(first)
        chunk.last = max(chunk.last, counts[part.unit])
        return position

    def _unreadable(self, place: tuple[int, int], part: Unreadable, outcome: _Outcome) -> None:
        row = row_making.unreadable(place, part, outcome.parts)
        outcome.refused.append(row)
        outcome.feedback.unreadable(place, part)
        outcome.account[part.unit, _received_on(part)][ACCOUNT_CLASSES.index("unreadable")] += 1

    def _refused(self, place: tuple[int, int], part: Section, outcome: _Outcome) -> None:
        if part.refused:
            outcome.feedback.at_the_door(place, part)
            outcome.refused.extend(row_making.refused(place, part, outcome.parts))
            outcome.account[part.unit, _received_on(part)][REJECTED] += len(part.refused)

    # Digesting.

    def _digest(self, chunk: _Chunk, outcome: _Outcome) -> Asking:
        """Validate everything at once, then round by round: readings, then the ticks that end the round."""
        readings, lengths = self._columns(chunk)
        code, series = (
            reasons(self.state, readings) if len(readings.at) else (np.empty(0, np.int64),) * 2
        )
        classes = np.where(code == 0, ACCEPTED, REJECTED)
        rounds = np.concatenate(
            [
                np.full(n, r) if isinstance(r, int) else r
                for r, n in zip(chunk.rounds, lengths, strict=True)
            ]
            or [np.empty(0, np.int64)]
        )
        wanted = np.flatnonzero((code == 0) | (code == TOO_FAST))
        order = wanted[np.lexsort((readings.at[wanted], series[wanted], rounds[wanted]))]
        edges = np.searchsorted(rounds[order], np.arange(chunk.last + 2))
        claims = _claims(readings, code)
        for number in range(chunk.last + 1):
            some = order[edges[number] : edges[number + 1]]
            if len(some):
                yield from self._take(readings, series, some, claims, classes, outcome)
            if number in chunk.moments:
                yield from judge(self.state, chunk.moments[number], outcome.told)
        outcome.told.outbox.extend(chunk.marks)
        row_making.make(
            self.state,
            chunk.sections,
            readings,
            (code, classes),
            outcome.readings,
            outcome.rejections,
            outcome.parts,
        )
        outcome.feedback.rejected(chunk.sections, code, but=chunk.points)
        self._count(chunk, lengths, classes, outcome)

    def _columns(self, chunk: _Chunk) -> tuple[Readings, Ints]:
        """The sections' columns as one."""
        sections = [section for _, _, section in chunk.sections]
        lengths = np.array([len(section) for section in sections], np.int64)
        units = [self.state.index[section.unit] for section in sections]
        point = _joined(
            [
                chunk.points[i] if i in chunk.points else self.points_of(u, section)
                for i, (u, section) in enumerate(zip(units, sections, strict=True))
            ]
        )
        quantity = (
            self.state.c_quantity[self.state.p_carrier[np.maximum(point, 0)]]
            if len(self.state.p_unit)
            else point
        )
        return Readings(
            unit=np.repeat(np.array(units, np.int64), lengths),
            point=point,
            statement=_column([s.statement for s in sections], lengths),
            unit_of_measure=_column([_unit_codes(section) for section in sections], lengths),
            expected_unit_of_measure=self._expected[quantity] if len(point) else point,
            at=_joined([section.at for section in sections]),
            value=_joined([section.value for section in sections]),
            rank=_column([s.rank for s in sections], lengths),
            revision=_column([s.revision for s in sections], lengths),
            sent_at=_column([s.sent_at for s in sections], lengths),
            flags=_column([s.flags for s in sections], lengths),
            received_at=np.repeat(np.array([s.received_at for s in sections], np.int64), lengths),
        ), lengths

    def points_of(self, unit: int, section: Section) -> Ints:
        """Indices of the points that a section names, −1 for those the unit does not have."""
        key = (unit, section.names)
        table = self._maps.get(key)
        if table is None:
            if len(self._maps) > 100_000:  # noqa: PLR2004 - senders that never repeat themselves must not fill the memory
                self._maps.clear()
            names = self.state.names[unit]
            table = self._maps[key] = np.array(
                [*(names.get(name, -1) for name in section.names), -1], np.int64
            )
        if isinstance(section.point, int):
            found = np.broadcast_to(table[min(section.point, len(table) - 1)], len(section))
        else:
            found = table[np.minimum(section.point, len(table) - 1)]
        return self._of_their_time(unit, found, section.at) if self.state.eras[unit] else found

    def _of_their_time(self, unit: int, points: Ints, at: Ints) -> Ints:
        """Of points that follow one another under a name, the one that holds at each instant."""
        found = points.copy()
        for begins, indices in self.state.eras[unit].values():
            mine = points == indices[0]
            place = np.searchsorted(begins, at[mine], side="right") - 1
            found[mine] = indices[np.maximum(place, 0)]
        return found

    def _take(
        self,
        readings: Readings,
        series: Ints,
        some: Ints,
        claims: ClaimColumns,
        classes: Ints,
        outcome: _Outcome,
    ) -> Asking:
        """Readings of one round, sorted by series and instant: continue what continues, merge the rest."""
        s, at = series[some], readings.at[some]
        *_, withdrawn, too_fast = claims
        plain = self._plain(s, at, (withdrawn[some] | too_fast[some]) == 0)
        units = _distinct(readings.unit[some], len(self.state.units))
        self.state.changed[units] = np.maximum(self.state.changed[units], 1)
        outcome.told.units.update(units.tolist())
        bounded = totals.bounded_points(self.state, self.state.s_point[s])
        ends = self.state.end[bounded]
        parts: list[Pieces] = []
        taken_out: list[Pieces] = []
        for wave in _waves(s[~plain], at[~plain], some[~plain]):
            gone, come = yield from self._merge(series, np.sort(wave), claims, classes)
            taken_out.append(gone)
            parts.append(come)
            self._remember(StepClaims(series[wave], wave, claims))
        if plain.any():
            parts += self._continue(readings, series, some[plain])
            self._remember(StepClaims(s[plain], some[plain], claims))
        out, new = (
            change_of(self.state, together(taken_out)),
            change_of(self.state, together(parts)),
        )
        yield from ensure(self.state, np.union1d(out.keys, new.keys) if len(out.keys) else new.keys)
        apply(self.state, out, -1)
        apply(self.state, new)
        if len(bounded):
            spans = totals.touched(self.state, bounded, ends, (s, at))
            yield from totals.share_out(self.state, spans)

    def _plain(self, series: Ints, at: Ints, fine: Mask) -> Mask:
        """Which readings continue their series: all at or beyond `ahead`, one after the other, each fine.

        What came late does not hold up what came in time.
        """
        late = at < self.state.ahead[series]
        first = np.concatenate([[True], (series[1:] != series[:-1]) | (late[1:] != late[:-1])])
        fine = fine & ~late & (first | (at > np.roll(at, 1)))
        group = np.cumsum(first) - 1
        odd = np.zeros(int(group[-1]) + 1, np.bool_)
        odd[group[~fine]] = True
        result: Mask = ~odd[group]
        return result

    def _remember(self, new: StepClaims) -> None:
        """Keep claims for look-ups later in this step, in few parts however many rounds it has."""
        kept = self.state.step_claims
        while (
            kept and kept[-1].columns is new.columns and len(kept[-1].series) <= 2 * len(new.series)
        ):
            new = kept.pop().followed_by(new)
        kept.append(new)

    def _continue(self, readings: Readings, series: Ints, some: Ints) -> list[Pieces]:
        """Readings that come in order. Only primary series make pieces."""
        s = series[some]
        point = self.state.s_point[s]
        primary = self.state.s_statement[s] == self.state.statement[point]
        other = some[~primary]
        if len(other):
            np.maximum.at(self.state.ahead, series[other], readings.at[other] + 1)
        mine = some[primary]
        if not len(mine):
            return []
        part, gaps = continued(
            self.state, Ordered(series[mine], readings.at[mine], readings.value[mine])
        )
        change_gaps(self.state, (), gaps)
        return [part]

    def _merge(
        self, series: Ints, some: Ints, claims: ClaimColumns, classes: Ints
    ) -> Generator[Needs, Fetched, tuple[Pieces, Pieces]]:
        """Readings that do not simply continue their series; `some` is in order of arrival."""
        arrivals: dict[int, list[Arrival]] = defaultdict(list)
        places: dict[int, list[int]] = defaultdict(list)
        columns = (column[some].tolist() for column in (series, *claims))
        for i, s, *claim in zip(some.tolist(), *columns, strict=True):
            arrivals[s].append(Arrival._make(claim))
            places[s].append(i)
        groups = [Group(s, mine) for s, mine in sorted(arrivals.items())]
        changes = yield from merge(self.state, groups)
        for group, change in zip(groups, changes, strict=True):
            classes[places[group.series]] = change.classes
            if change.late:
                self.state.changed[self.state.p_unit[self.state.s_point[group.series]]] = 2
        out = pieces(piece for change in changes for piece in change.taken_out)
        return out, pieces(piece for change in changes for piece in change.put_in)

    def _count(self, chunk: _Chunk, lengths: Ints, classes: Ints, outcome: _Outcome) -> None:
        section = np.repeat(np.arange(len(lengths)), lengths)
        table = (
            np.bincount(section * 4 + classes, minlength=4 * len(lengths)).reshape(-1, 4).tolist()
            if len(lengths)
            else []
        )
        for i, ((_, _, part), counted) in enumerate(zip(chunk.sections, table, strict=True)):
            if i in chunk.points:
                continue
            entry = outcome.account[part.unit, _received_on(part)]
            for number, count in enumerate(counted):
                entry[number] += count

    # Handing over.

    def _finish(self, records: Sequence[Placed], outcome: _Outcome) -> Step:
        state = self.state
        dirty = np.flatnonzero(state.hot_dirty)
        carrier, hour = (
            state.hot_keys[dirty] >> KEY_BITS,
            state.hot_keys[dirty] & ((1 << KEY_BITS) - 1),
        )
        names = [
            (state.units[u].code, state.c_name[c], h)
            for u, c, h in zip(
                state.c_unit[carrier].tolist(), carrier.tolist(), hour.tolist(), strict=True
            )
        ]
        numbers = state.hot_rows[dirty]
        if state.step_gone:
            names += state.step_gone
            nothing = np.zeros((len(state.step_gone), numbers.shape[1]), np.int64)
            numbers = np.concatenate([numbers, nothing])
        state.hot_dirty[:] = False
        evict(state)
        ended, begun = _gap_changes(state.step_gaps)
        positions: dict[int, tuple[int, int]] = {}
        for partition, offset, _ in records:
            positions[partition] = (positions.get(partition, (offset, 0))[0], offset + 1)
        return Step(
            positions=positions,
            readings=tuple(outcome.readings),
            rejections=tuple(outcome.rejections),
            refused=tuple(outcome.refused),
            hours=tuple(names),
            hour_numbers=numbers,
            gaps_ended=ended,
            gaps=begun,
            windows=tuple(_latest(outcome.told)),
            lines=tuple(
                {
                    (row.unit, row.line, row.kind, row.start): row for row in outcome.told.lines
                }.values()
            ),
            states=tuple(state.export(sorted(outcome.told.units))),
            account={key: tuple(counts) for key, counts in outcome.account.items()},
            outbox=numbered(outcome.told.outbox),
            feedback=outcome.feedback.rows(state.generation),
            ticks=tuple(outcome.ticks),
            controls=tuple(outcome.controls),
            entries=tuple(outcome.entries),
        )


def runs(records: Iterable[Placed]) -> Iterator[list[Placed]]:
    """The records as steps may take them: a `Restated` is alone, after all that is before it is written."""
    run: list[Placed] = []
    for placed in records:
        if isinstance(placed[2].body, Restated):
            yield from ([run] if run else [])
            yield [placed]
            run = []
        else:
            run.append(placed)
    if run:
        yield run


def _latest(told: Told) -> list[row_making.WindowRow]:
    """Each window once, as last told."""
    return list({(row.unit, row.kind, row.start): row for row in told.windows}.values())


def _gap_changes(
    changed: Mapping[tuple[str, int, int], Gap | None],
) -> tuple[tuple[Gap, ...], tuple[Gap, ...]]:
    ended = tuple(
        Gap(*key, 0, "known", 0, 0, None, None) for key, gap in changed.items() if gap is None
    )
    return ended, tuple(gap for gap in changed.values() if gap is not None)


def _waves(series: Ints, at: Ints, some: Ints) -> Iterator[Ints]:
    """The readings, sorted by series and instant, so that each series has neighbours alone in a wave.

    Between readings of last week and of today lies a week of claims, which nobody needs to see.
    """
    if not len(some):
        return
    begins = np.concatenate([[True], series[1:] != series[:-1]])
    apart = np.concatenate([[False], at[1:] - at[:-1] > HOUR_MS]) & ~begins
    count = np.cumsum(apart)
    wave = count - np.maximum.accumulate(np.where(begins, count, 0))
    for number in range(int(wave.max()) + 1):
        yield some[wave == number]


def _claims(readings: Readings, code: Ints) -> ClaimColumns:
    """The columns of claims.Arrival."""
    r = readings
    return (
        r.at,
        r.rank,
        r.revision,
        r.sent_at,
        r.value,
        (r.flags & WITHDRAWN) != 0,
        code == TOO_FAST,
    )


def _distinct(numbers: Ints, count: int) -> Ints:
    """Which numbers below `count` occur, in order."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    return np.flatnonzero(occurs)


@lru_cache(maxsize=1_024)
def _day_name(day: int) -> str:
    return business_day(day * DAY_MS - OFFSET_MS)


def _received_on(part: Section | Unreadable) -> str:
    """Business day of the account."""
    return _day_name((part.received_at + OFFSET_MS) // DAY_MS)


@lru_cache(maxsize=4_096)
def _code_table(units_of_measure: tuple[str, ...]) -> Ints:
    """Codes of texts, −1 for one that no point has, and for an index beyond them."""
    return np.array([*(UNIT_CODES.get(text, -1) for text in units_of_measure), -1], np.int64)


def _unit_codes(section: Section) -> Ints | int:
    codes = _code_table(section.units_of_measure)
    if isinstance(section.unit_of_measure, int):
        return int(codes[min(section.unit_of_measure, len(codes) - 1)])
    return codes[np.minimum(section.unit_of_measure, len(codes) - 1)]


def _joined(columns: list[Ints]) -> Ints:
    return (
        np.concatenate(columns).astype(np.int64, copy=False) if columns else np.empty(0, np.int64)
    )


def _column(columns: Sequence[Column], lengths: Ints) -> Ints:
    """Columns of sections, each an array or one value."""
    if all(isinstance(column, int) for column in columns):
        return np.repeat(np.array(columns, np.int64), lengths)
    return _joined(
        [
            np.full(n, column, np.int64) if isinstance(column, int) else column.astype(np.int64)
            for column, n in zip(columns, lengths, strict=True)
        ]
    )
