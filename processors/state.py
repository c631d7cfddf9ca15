"""What a worker remembers of its units: one structure of arrays over all points of the process.

Four axes: units, carriers (a unit's quantities, contiguous per unit), points (contiguous per unit, sorted by carrier),
series (a point's statements). The database holds the same per unit, as a blob (`export`, `restore`); memory is a cache of it.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from processors.boundaries import Boundary, boundaries
from processors.line_limits import Law
from processors.ports import HOUR_FIELDS, Gap, Ints, UnitState
from processors.profiles import Weights, weights_of
from processors.rates import TARGETS, Rates, Way, way_of
from schemas.calendar import HOUR_MS, year_of
from schemas.cells import named_cell
from schemas.factors import FactorPack
from schemas.quantities import QUANTITIES
from schemas.registry import (
    CARRIERS,
    LENGTH_MS,
    STATEMENTS,
    UNIT_OF_MEASURE,
    Budget,
    Point,
    Profile,
    Unit,
)
from schemas.scale import SCALE, scaled
from schemas.section import NEVER

FOREVER = 2**62
ENERGY, CO2 = range(len(TARGETS))
"""Places in TARGETS: the axis of rates, and of what a unit is held to (quota, budget)."""
LAYOUT = 4
"""Version of the blob; 2 lacked the three last scalars, 3 the last. Another version: rebuild from the records."""

ACC_FIELDS = (
    "best",
    "unknown_best",
    "unknown_high",
    "measured_ms",
    "cut_low",
    "cut_high",
    "all_energy",
    "all_co2",
    "exact_native",
    "exact_energy",
    "exact_co2",
    "inexact_hours",
)
"""Per carrier and open window. `all_*`: every hour's best, converted. `exact_*`, `inexact_hours`: the settled hours only.
`cut_*`: known pieces' bounds less their best, for those that the window cuts or that have several values."""
(
    BEST,
    UNKNOWN_BEST,
    UNKNOWN_HIGH,
    MEASURED,
    CUT_LOW,
    CUT_HIGH,
    ALL,
    EXACT_NATIVE,
    EXACT,
    INEXACT_HOURS,
) = 0, 1, 2, 3, 4, 5, 6, 8, 9, 11
(
    H_BEST,
    H_UNKNOWN_BEST,
    H_UNKNOWN_HIGH,
    H_MEASURED,
    H_INEXACT,
    H_BEFORE_LOW,
    H_BEFORE_HIGH,
    H_AFTER_LOW,
    H_AFTER_HIGH,
    H_FINGERPRINT,
) = range(10)
KEY_BITS = 20
"""A hot hour's key is carrier · 2²⁰ + hour since the epoch (good until 2089)."""

_UNITS = (
    "partition",
    "live",
    "last_tick",
    "begins",
    "horizon",
    "configuration",
    "limit",
    "other_view",
    "last_known_gap",
    "changed",
    "told_verdict",
    "told_since",
    "told_full",
    "pending",
    "revised",
    "pack",
    "mix",
    "law",
    "slot_start",
    "slot_end",
)
_CARRIERS = (
    *("c_unit", "c_quantity", "c_cell", "c_sign", "c_rate", "c_signs", "c_feeds"),
    *("settled", "max_hour", "hot_from", "acc"),
)
_POINTS = (
    "p_unit",
    "p_carrier",
    "p_number",
    "rated",
    "multiplier",
    "dial",
    "is_register",
    "length",
    "p_begins",
    "p_ends",
    "cadence",
    "patience",
    "statement",
    "bounded_by",
    "p_profile",
    "end",
    "tick_end",
    "told_silent",
)
_SERIES = ("s_point", "s_statement", "s_anchor", "ahead", "last_at", "last_value")

LIMIT, RESTATED, FACTOR = 3, 4, 5
"""Codes of `changed` that are told at once, in full."""
WAITS = 10
"""Added to the code of a unit that begins to wait: told at once, in full, with the cause that it has anyway."""
NO_VERDICT, PASS, FAIL, OPENING_UNKNOWN, MISSING_DATA, AMBIGUOUS_DATA, OTHER_VIEW = range(7)
"""Codes of verdict and reason together, as told."""


ClaimColumns = tuple[Ints, ...]
"""at, rank, revision, sent_at, value, whether withdrawn, whether too fast."""


class StepClaims(NamedTuple):
    """Claims of some rounds: their series, ascending, and where their columns have them."""

    series: Ints
    entries: Ints
    columns: ClaimColumns

    def followed_by(self, later: Self) -> Self:
        """These and later ones of the same columns."""
        series = np.concatenate([self.series, later.series])
        order = np.argsort(series, kind="stable")
        entries = np.concatenate([self.entries, later.entries])
        return self._replace(series=series[order], entries=entries[order])


def _empty() -> Ints:
    return np.empty(0, np.int64)


def _by_target() -> Ints:
    return np.empty((0, len(TARGETS)), np.int64)


@dataclass(slots=True)
class State:
    """See the module. Every field but the dictionaries is an array over one axis."""

    rates: Rates
    generation: int = 1
    units: list[Unit] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    touched: list[set[tuple[int, int]]] = field(default_factory=list)
    """Per unit: (window kind, start) of windows that ended between two ticks since the last full hour told."""
    earlier: list[dict[tuple[int, int], int]] = field(default_factory=list)
    """Per unit: (carrier within the unit, hour) of an hour before the open day that changed since the last full hour told → a hash of its row then."""

    partition: Ints = field(default_factory=_empty)
    live: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    last_tick: Ints = field(default_factory=_empty)
    begins: Ints = field(default_factory=_empty)
    horizon: Ints = field(default_factory=_empty)
    configuration: Ints = field(default_factory=_empty)
    limit: Ints = field(default_factory=_by_target)
    """[unit, target]: quota and budget of the open year window, −1 where there is none."""
    other_view: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """The budget of the open year is meant in another view than the unit is converted by."""
    last_known_gap: Ints = field(default_factory=_empty)
    """No known gap of the unit ends after this."""
    changed: Ints = field(default_factory=_empty)
    """Since last told: 0 nothing, 1 new readings, 2 late ones, from 3 on what is told in full (see LIMIT)."""
    told_verdict: Ints = field(default_factory=_by_target)
    """[unit, target]: verdict code of the open year, as last told."""
    told_since: Ints = field(default_factory=_by_target)
    """Since when it is a FAIL, found when the verdict changed."""
    told_full: Ints = field(default_factory=_empty)
    """Last full hour told."""
    pending: Ints = field(default_factory=_empty)
    """A configuration under which readings count otherwise, and which waits for `Restated`; 0 none."""
    revised: Ints = field(default_factory=_empty)
    """1 where the unit was restated: stored claims may be such that its entry no longer admits."""
    slot_start: Ints = field(default_factory=lambda: np.empty((0, 4), np.int64))
    slot_end: Ints = field(default_factory=lambda: np.empty((0, 4), np.int64))
    """Open hour, day, month, year; FOREVER before the first tick."""

    c_unit: Ints = field(default_factory=_empty)
    c_quantity: Ints = field(default_factory=_empty)
    c_cell: Ints = field(default_factory=_empty)
    """Number of the cell within the quantity (`schemas/cells.py`)."""
    c_sign: Ints = field(default_factory=_empty)
    """How it counts for the unit."""
    c_rate: Ints = field(default_factory=_empty)
    """By what it is converted: a row of `rates`."""
    c_signs: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """How it counts for the unit's energy and CO2; 0 where it is none."""
    c_feeds: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 3), np.bool_))
    """Whether it is told among them: by its quantity, or by a process factor; and whether it is electricity of the unit's own."""
    settled: Ints = field(default_factory=_empty)
    """Hours before this are in the `exact_*` sums of the open windows."""
    max_hour: Ints = field(default_factory=_empty)
    """No hour row of the carrier is later."""
    hot_from: Ints = field(default_factory=_empty)
    """Rows of hours from here on are in memory, if there are any."""
    acc: Ints = field(default_factory=lambda: np.empty((0, 4, len(ACC_FIELDS)), np.int64))

    p_unit: Ints = field(default_factory=_empty)
    p_carrier: Ints = field(default_factory=_empty)
    p_number: Ints = field(default_factory=_empty)
    rated: Ints = field(default_factory=_empty)
    multiplier: Ints = field(default_factory=_empty)
    dial: Ints = field(default_factory=_empty)
    is_register: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    length: Ints = field(default_factory=_empty)
    p_begins: Ints = field(default_factory=_empty)
    p_ends: Ints = field(default_factory=_empty)
    cadence: Ints = field(default_factory=_empty)
    patience: Ints = field(default_factory=_empty)
    statement: Ints = field(default_factory=_empty)
    bounded_by: Ints = field(default_factory=_empty)
    """The statement whose totals bound the point's unknown time, −1: none."""
    p_profile: Ints = field(default_factory=_empty)
    """Which of `profiles` weights the point's unknown time, −1: half the rated maximum always."""
    end: Ints = field(default_factory=_empty)
    tick_end: Ints = field(default_factory=_empty)
    """`end` at the unit's last tick: what changes before it is late."""
    told_silent: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    s_point: Ints = field(default_factory=_empty)
    s_statement: Ints = field(default_factory=_empty)
    s_anchor: Ints = field(default_factory=_empty)
    ahead: Ints = field(default_factory=_empty)
    """No claim of the series, stored or rejected as too fast, is at this instant or later."""
    last_at: Ints = field(default_factory=_empty)
    last_value: Ints = field(default_factory=_empty)

    point_from: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    carrier_from: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    series_from: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    carrier_point_from: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    c_row: Ints = field(default_factory=_empty)
    """Which quantity of its unit a carrier is part of: a row of `row_*`."""
    row_quantity: Ints = field(default_factory=_empty)
    row_feeds: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 3), np.bool_))
    """Whether a quantity of a unit counts for its energy and CO2, and whether some of it is electricity of its own."""
    row_from: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    has_cells: bool = False
    """Whether any carrier is not a whole quantity that counts once."""
    c_name: list[str] = field(default_factory=list)
    """Names of the carriers' cells, as the tables have them."""
    boundaries: list[tuple[Boundary, ...]] = field(default_factory=list)
    """Per unit: its product lines."""
    c_begun: Ints = field(default_factory=_empty)
    c_ends: Ints = field(default_factory=_empty)
    """Between these all points of the carrier are valid."""
    pack: Ints = field(default_factory=_empty)
    """Per unit: by which of the packs it is converted."""
    mix: Ints = field(default_factory=_empty)
    """Per unit: which of `mixes` its carriers are converted by."""
    mixes: list[tuple[int, ...]] = field(default_factory=list)
    """Rates of all carriers of a unit, in order."""
    mix_of: dict[tuple[int, ...], int] = field(default_factory=dict)
    """Their places."""
    pack_from: dict[int, int] = field(default_factory=dict)
    """Configuration that brought factors → their pack."""
    law: Ints = field(default_factory=_empty)
    """Per unit: the configuration whose product limits its lines are held to; 0 none."""
    laws: dict[int, Law] = field(default_factory=dict)
    """Configuration that brought product limits → these."""
    broken_since: list[dict[str, dict[str, int]]] = field(default_factory=list)
    """Per unit, by line and open window: limits that are broken → the tick that found it."""
    profiles: list[Weights] = field(default_factory=list)
    place_of: dict[tuple[Profile, ...], int] = field(default_factory=dict)
    """Dated profiles → their place in `profiles`; points of the same ones share it."""
    series_of: Ints = field(default_factory=lambda: np.empty((0, len(STATEMENTS)), np.int64))
    point_of_number: list[Ints] = field(default_factory=list)
    names: list[dict[str, int]] = field(default_factory=list)
    """Per unit: a point's name → its index among all points, the first where several follow one another."""
    eras: list[dict[str, tuple[Ints, Ints]]] = field(default_factory=list)
    """Per unit: a name that several points have, one after the other → (their beginnings, their indices)."""

    hot_keys: Ints = field(default_factory=_empty)
    hot_rows: Ints = field(default_factory=lambda: np.empty((0, len(HOUR_FIELDS)), np.int64))
    hot_dirty: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    step_gaps: dict[tuple[str, int, int], Gap | None] = field(default_factory=dict)
    """(unit, point number, start) → the gap as this step leaves it, None where it ended; laid over the stored ones."""
    step_claims: list[StepClaims] = field(default_factory=list)
    """Claims of this step, a round after the other."""
    step_gone: list[tuple[str, str, int]] = field(default_factory=list)
    """(unit, cell, hour) of rows that become nothing in this step, since their unit has the cell no more."""

    def register(
        self, units: Iterable[Unit], partition: dict[str, int], configuration: int
    ) -> list[int]:
        """Take new units; those that are known are left alone. Returns the new indices."""
        new = [unit for unit in units if unit.code not in self.index]
        first = len(self.units)
        if not new:
            return []
        for unit in new:
            self.index[unit.code] = len(self.units)
            self.units.append(unit)
            self.touched.append(set())
            self.earlier.append({})
            self.broken_since.append({})
        starts = [[point.begins for point in unit.points] for unit in new]
        self._extend_units(new, [min(mine) for mine in starts], partition, configuration)
        self._extend_points(new, starts, first)
        self._derive()
        new_units = list(range(first, len(self.units)))
        for u in new_units:
            self.convert_by(u, int(self.pack[u]))
        return new_units

    def _extend_units(
        self, new: list[Unit], begins: list[int], partition: dict[str, int], configuration: int
    ) -> None:
        n = len(new)
        columns: dict[str, npt.NDArray[np.generic]] = {
            "partition": np.array([partition[unit.code] for unit in new], np.int64),
            "live": np.array([not unit.history for unit in new], np.bool_),
            "last_tick": np.full(n, NEVER, np.int64),
            "begins": np.array(begins, np.int64),
            "horizon": np.array([unit.horizon_days * 24 * HOUR_MS for unit in new], np.int64),
            "configuration": np.full(n, configuration, np.int64),
            "limit": np.full((n, len(TARGETS)), -1, np.int64),
            "other_view": np.zeros(n, np.bool_),
            "last_known_gap": np.full(n, NEVER, np.int64),
            "changed": np.zeros(n, np.int64),
            "told_verdict": np.zeros((n, len(TARGETS)), np.int64),
            "told_since": np.full((n, len(TARGETS)), NEVER, np.int64),
            "told_full": np.full(n, NEVER, np.int64),
            "pending": np.zeros(n, np.int64),
            "revised": np.zeros(n, np.int64),
            "pack": np.full(n, self.pack_at(configuration), np.int64),
            "mix": np.zeros(n, np.int64),
            "law": np.full(n, self.law_at(configuration), np.int64),
            "slot_start": np.full((n, 4), FOREVER, np.int64),
            "slot_end": np.full((n, 4), FOREVER, np.int64),
        }
        self._append(columns)

    def _extend_points(self, new: list[Unit], starts: list[list[int]], first: int) -> None:
        points: list[tuple[int, ...]] = []
        profiles: list[int] = []
        carriers: list[tuple[int, int, int, int, int]] = []
        feeds: list[tuple[bool, bool, bool]] = []
        series: list[tuple[int, int, int]] = []
        at_point, at_carrier = len(self.p_unit), len(self.c_unit)
        for u, (unit, begins) in enumerate(zip(new, starts, strict=True), first):
            begins_hour = min(begins) // HOUR_MS
            kinds = [
                (QUANTITIES.index(point.quantity), cell)
                for point, cell in zip(unit.points, unit.cells, strict=True)
            ]
            before = None
            for number in sorted(range(len(kinds)), key=lambda n: (kinds[n], n)):
                point = unit.points[number]
                if kinds[number] != before:
                    before = kinds[number]
                    carriers.append((u, *before, point.sign, begins_hour))
                    is_energy = point.quantity in CARRIERS
                    is_own = point.self_generated and point.quantity == "electricity"
                    feeds.append((is_energy, is_energy or bool(point.process), is_own))
                carrier = at_carrier + len(carriers) - 1
                points.append((u, carrier, number, begins[number], *_of_point(point)))
                profiles.append(self._place(point.profiles))
                series.extend(
                    (at_point + len(points) - 1, STATEMENTS.index(name), point.anchor_of(name))
                    for name in (point.statement, *point.others)
                )
        table = dict(zip(_POINT_COLUMNS, np.array(points, np.int64).T.copy(), strict=True))
        columns: dict[str, npt.NDArray[np.generic]] = {**table}
        columns["p_profile"] = np.array(profiles, np.int64)
        columns["is_register"] = table["statement"] == 0
        columns["end"] = table["p_begins"].copy()
        columns["tick_end"] = table["p_begins"].copy()
        columns["told_silent"] = np.zeros(len(points), np.bool_)
        c = np.array(carriers, np.int64).reshape(-1, 5)
        columns |= {
            "c_unit": c[:, 0].copy(),
            "c_quantity": c[:, 1].copy(),
            "c_cell": c[:, 2].copy(),
            "c_sign": c[:, 3].copy(),
            "c_rate": np.zeros(len(c), np.int64),
            "c_signs": np.zeros((len(c), 2), np.int64),
            "c_feeds": np.array(feeds, np.bool_).reshape(-1, 3),
            "settled": c[:, 4].copy(),
            "max_hour": np.full(len(c), NEVER, np.int64),
            "hot_from": np.full(len(c), NEVER, np.int64),
            "acc": np.zeros((len(c), 4, len(ACC_FIELDS)), np.int64),
        }
        s = np.array(series, np.int64).reshape(-1, 3)
        columns |= {
            "s_point": s[:, 0].copy(),
            "s_statement": s[:, 1].copy(),
            "s_anchor": s[:, 2].copy(),
            "ahead": np.full(len(s), NEVER, np.int64),
            "last_at": np.full(len(s), NEVER, np.int64),
            "last_value": np.zeros(len(s), np.int64),
        }
        self._append(columns)

    def _place(self, profiles: tuple[Profile, ...]) -> int:
        """Their place in `profiles`."""
        if not profiles:
            return -1
        if profiles not in self.place_of:
            self.place_of[profiles] = len(self.profiles)
            self.profiles.append(weights_of(profiles))
        return self.place_of[profiles]

    def _append(self, columns: dict[str, npt.NDArray[np.generic]]) -> None:
        for name, values in columns.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))

    def _derive(self) -> None:
        """What follows from the axes alone."""
        count = len(self.units)
        self.point_from = np.searchsorted(self.p_unit, np.arange(count + 1))
        self.carrier_from = np.searchsorted(self.c_unit, np.arange(count + 1))
        self.carrier_point_from = np.searchsorted(self.p_carrier, np.arange(len(self.c_unit) + 1))
        first = self.carrier_point_from[:-1]
        self.c_begun = np.maximum.reduceat(self.p_begins, first) if len(first) else _empty()
        self.c_ends = np.minimum.reduceat(self.p_ends, first) if len(first) else _empty()
        self._derive_quantities(count)
        self.series_from = np.searchsorted(self.p_unit[self.s_point], np.arange(count + 1))
        self.series_of = np.full((len(self.p_unit), len(STATEMENTS)), -1, np.int64)
        self.series_of[self.s_point, self.s_statement] = np.arange(len(self.s_point))
        for u in range(len(self.names), count):
            mine = range(self.point_from[u], self.point_from[u + 1])
            numbers = np.empty(len(mine), np.int64)
            numbers[self.p_number[mine.start : mine.stop]] = mine
            self.point_of_number.append(numbers)
            names, eras = _by_name(self.units[u], numbers, self.p_begins[numbers])
            self.names.append(names)
            self.eras.append(eras)

    def _derive_quantities(self, count: int) -> None:
        """The quantities of each unit: one or more carriers each."""
        key = self.c_unit * len(QUANTITIES) + self.c_quantity
        first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else key.astype(np.bool_)
        self.c_row = np.cumsum(first) - 1
        self.row_quantity = self.c_quantity[first]
        rows = np.flatnonzero(first)
        self.row_feeds = np.logical_or.reduceat(self.c_feeds, rows) if len(rows) else self.c_feeds
        self.row_from = np.searchsorted(self.c_unit[first], np.arange(count + 1))
        self.has_cells = bool((self.c_cell > 0).any())
        kinds = zip(self.c_quantity.tolist(), self.c_cell.tolist(), strict=True)
        self.c_name = [cell_of(*kind) for kind in kinds]
        self.boundaries += [boundaries(unit) for unit in self.units[len(self.boundaries) :]]

    def take_factors(self, configuration: int, pack: FactorPack) -> None:
        """Know the factors that a configuration brings; whom they concern is another matter."""
        if configuration not in self.pack_from:
            self.rates.packs.append(pack)
            self.pack_from[configuration] = len(self.rates.packs) - 1

    def ways_of(self, u: int) -> tuple[Way, ...]:
        """How each carrier of a unit is converted, whatever the packs say."""
        first, last = int(self.carrier_from[u]), int(self.carrier_from[u + 1])
        unit = self.units[u]
        numbers = self.p_number[self.carrier_point_from[first:last]].tolist()
        return tuple(way_of(unit, unit.points[number]) for number in numbers)

    def convert_by(self, u: int, pack: int) -> None:
        """Convert a unit by a pack, and by its own entry."""
        carriers = slice(int(self.carrier_from[u]), int(self.carrier_from[u + 1]))
        ways = self.ways_of(u)
        rows = tuple(self.rates.row(pack, way) for way in ways)
        feeds = np.array([way.feeds for way in ways], np.int64)
        feeds[:, 1] *= [self.rates.sign(row) for row in rows]
        self.pack[u], self.c_rate[carriers] = pack, rows
        self.c_signs[carriers] = self.c_sign[carriers, None] * feeds
        if rows not in self.mix_of:
            self.mix_of[rows] = len(self.mixes)
            self.mixes.append(rows)
        self.mix[u] = self.mix_of[rows]

    def pack_at(self, configuration: int) -> int:
        """The pack that a unit under this configuration is converted by: the last one brought until then."""
        last = max(
            (version for version in self.pack_from if version <= configuration), default=None
        )
        return 0 if last is None else self.pack_from[last]

    def law_at(self, configuration: int) -> int:
        """The configuration that brought the product limits of this one: the last until then; 0 none did."""
        return max((version for version in self.laws if version <= configuration), default=0)

    def drop(self, partitions: set[int]) -> None:
        """Forget the units of these partitions."""
        self._keep(~np.isin(self.partition, list(partitions)))

    def replace(self, u: int, entry: Unit, configuration: int) -> int:
        """Begin a unit anew under another entry; it keeps its time and what it was told. Returns its new index.

        Its series, points and carriers are others then, and those of the units behind it.
        """
        partition = int(self.partition[u])
        kept = {name: getattr(self, name)[u] for name in _KEPT}
        law = int(self.law[u])
        self._keep(np.arange(len(self.units)) != u)
        (new,) = self.register([entry], {entry.code: partition}, configuration)
        for name, value in kept.items():
            getattr(self, name)[new] = value
        self.law[new] = max(law, int(self.law[new]))
        self.revised[new] = 1
        return new

    def _keep(self, keep: npt.NDArray[np.bool_]) -> None:
        """Forget the other units."""
        if keep.all():
            return
        carriers, points = keep[self.c_unit], keep[self.p_unit]
        series = points[self.s_point]
        new_unit, new_carrier, new_point = (
            np.cumsum(mask) - 1 for mask in (keep, carriers, points)
        )
        hot = carriers[self.hot_keys >> KEY_BITS] if len(self.hot_keys) else np.empty(0, np.bool_)
        keys = self.hot_keys[hot]
        self.hot_keys = (new_carrier[keys >> KEY_BITS] << KEY_BITS) | (keys & ((1 << KEY_BITS) - 1))
        self.hot_rows, self.hot_dirty = self.hot_rows[hot], self.hot_dirty[hot]
        for names, mask in (
            (_UNITS, keep),
            (_CARRIERS, carriers),
            (_POINTS, points),
            (_SERIES, series),
        ):
            for name in names:
                setattr(self, name, getattr(self, name)[mask])
        self.c_unit, self.p_unit = new_unit[self.c_unit], new_unit[self.p_unit]
        self.p_carrier, self.s_point = new_carrier[self.p_carrier], new_point[self.s_point]
        kept = np.flatnonzero(keep)
        self.units = [self.units[u] for u in kept]
        self.touched = [self.touched[u] for u in kept]
        self.earlier = [self.earlier[u] for u in kept]
        self.broken_since = [self.broken_since[u] for u in kept]
        self.index = {unit.code: u for u, unit in enumerate(self.units)}
        self.point_of_number, self.names, self.eras, self.boundaries = [], [], [], []
        self._derive()

    def take_entry(self, unit: int, entry: Unit) -> None:
        """Another entry of a unit, under which its readings count as before."""
        self.units[unit] = entry
        self.horizon[unit] = entry.horizon_days * 24 * HOUR_MS
        self.boundaries[unit] = boundaries(entry)
        self.broken_since[unit].clear()

    def opening(self, unit: int, year: int, quantity: str) -> tuple[int, int, int] | None:
        """The declared opening balance (low, best, high) in 10⁻⁶, or None."""
        for entry in self.units[unit].openings:
            if entry.year == year and entry.quantity == quantity:
                return scaled(entry.low)[0], scaled(entry.best)[0], scaled(entry.high)[0]
        return None

    def limits_of(self, unit: int, year: int) -> tuple[int, int]:
        """The unit's quota and budget of a business year in 10⁻⁶ t, −1 where there is none, or nothing that counts against it."""
        feeds = self.c_feeds[self.carrier_from[unit] : self.carrier_from[unit + 1]]
        budget = self.budget_of(unit, year) if feeds[:, CO2].any() else None
        quotas = self.units[unit].quotas if feeds[:, ENERGY].any() else ()
        quota = next((quota.amount for quota in quotas if quota.year == year), -1)
        return quota, -1 if budget is None else budget.amount

    def budget_of(self, unit: int, year: int) -> Budget | None:
        """The unit's CO2 budget of a business year."""
        return next((one for one in self.units[unit].budgets if one.year == year), None)

    def is_other_view(self, unit: int, year: int) -> bool:
        """Whether the year's budget is meant in another view than the unit is converted by."""
        budget = self.budget_of(unit, year)
        return (
            budget is not None
            and budget.view
            != self.rates.packs[int(self.pack[unit])].entry("electricity", "co2", year).view
        )

    def take_limits(self, unit: int, year: int) -> None:
        """Hold the open year window to the limits of a business year."""
        self.limit[unit] = self.limits_of(unit, year)
        self.other_view[unit] = self.is_other_view(unit, year)

    # The form on disk.

    def export(self, units: Sequence[int]) -> list[UnitState]:
        """The units' states as they rest in the database."""
        chosen = np.array(units, np.int64)
        if not len(chosen):
            return []
        scalars = np.stack([self._scalar(name)[chosen] for name in _SCALARS], axis=1).astype("<i8")
        packed = _packed([(values, count) for values, count, _ in self._columns(chosen)])
        ends = self.end[np.concatenate([self.point_of_number[u] for u in units])].tolist()
        edges = [0, *np.cumsum(self.point_from[chosen + 1] - self.point_from[chosen]).tolist()]
        ticks, live = self.last_tick[chosen].tolist(), self.live[chosen].tolist()
        return [
            UnitState(
                self.units[u].code,
                int(self.partition[u]),
                tuple(ends[edges[i] : edges[i + 1]]),
                None if ticks[i] == NEVER else ticks[i],
                live[i],
                b"".join([_LAYOUT.pack(LAYOUT), scalars[i].tobytes(), *packed[i], self._marks(u)]),
            )
            for i, u in enumerate(units)
        ]

    def _scalar(self, name: str) -> Ints:
        """A column of units; of what they have by target that of energy: carbon's rests in the marks of those that have a budget."""
        values: Ints = getattr(self, name)
        return values if values.ndim == 1 else values[:, ENERGY]

    def _marks(self, u: int) -> bytes:
        """What is remembered for the next full hour, and of a budget, as JSON; mostly nothing."""
        budget = self.told_verdict[u, CO2] != NO_VERDICT
        if not (self.touched[u] or self.earlier[u] or self.broken_since[u] or budget):
            return b""
        earlier = [[*key, mark] for key, mark in sorted(self.earlier[u].items())]
        marks = [sorted(self.touched[u]), earlier, self.broken_since[u]]
        if budget:
            marks.append([int(self.told_verdict[u, CO2]), int(self.told_since[u, CO2])])
        return json.dumps(marks, separators=(",", ":"), sort_keys=True).encode()

    def _columns(self, units: Ints) -> list[tuple[Ints, Ints, Ints]]:
        """The columns of the units' blobs, in their order: (values, how many of each unit, where they stand)."""
        found = []
        edges = (
            np.arange(len(self.units) + 1),
            self.carrier_from,
            self.point_from,
            self.series_from,
        )
        for names, edge in zip(_IN_BLOB, edges, strict=True):
            first, last = edge[units], edge[units + 1]
            where = ranges(first, last)
            for name in names:
                values = getattr(self, name)[where]
                if name == "ahead":
                    values -= self.last_at[where]  # one millisecond, nearly always
                each = values.size // len(where)
                found.append(
                    (values.astype(np.int64, copy=False).ravel(), (last - first) * each, where)
                )
        return found

    def restore(self, stored: Iterable[tuple[Unit, int, bytes]]) -> None:
        """Take units (registry entry, partition, blob) as they rest in the database. Raises ValueError for another layout."""
        mine = list(stored)
        self.register(
            [unit for unit, _, _ in mine], {unit.code: partition for unit, partition, _ in mine}, 0
        )
        for unit, _, blob in mine:
            self._fill(self.index[unit.code], blob)

    def _fill(self, u: int, blob: bytes) -> None:
        (layout,) = _LAYOUT.unpack_from(blob)
        if layout not in _SCALARS_OF:
            message = f"state of unit {self.units[u].code} has layout {layout}, this engine reads {LAYOUT}: rebuild it from the records"
            raise ValueError(message)
        names = _SCALARS_OF[layout]
        scalars = np.frombuffer(blob, "<i8", len(names), _LAYOUT.size)
        for name, value in zip(names, scalars.tolist(), strict=True):
            self._scalar(name)[u] = value
        columns = self._columns(np.array([u]))
        stored, rest = _unpacked(
            blob, _LAYOUT.size + scalars.nbytes, [len(values) for values, _, _ in columns]
        )
        for name, (_, _, where), values in zip(
            chain.from_iterable(_IN_BLOB), columns, stored, strict=True
        ):
            target = getattr(self, name)
            target[where] = values.reshape(target[where].shape)
        series = slice(int(self.series_from[u]), int(self.series_from[u + 1]))
        self.ahead[series] += self.last_at[series]
        touched, earlier, *more = json.loads(rest) if rest else ([], [])
        self.broken_since[u] = more[0] if more else {}
        if len(more) > 1:
            self.told_verdict[u, CO2], self.told_since[u, CO2] = more[1]
        self.touched[u] = {(kind, start) for kind, start in touched}
        self.earlier[u] = {(carrier, hour): mark for carrier, hour, mark in earlier}
        carriers = slice(int(self.carrier_from[u]), int(self.carrier_from[u + 1]))
        self.hot_from[carriers] = self.max_hour[carriers] + 1
        self.convert_by(u, self.pack_at(int(self.configuration[u])))
        if self.slot_start[u, -1] != FOREVER:
            self.take_limits(u, year_of(int(self.slot_start[u, -1])))


def cell_of(quantity: int, cell: int) -> str:
    """A cell's name in the tables."""
    return named_cell(QUANTITIES[quantity], cell)


def ranges(first: Ints, last: Ints) -> Ints:
    """All of first[0] … last[0] − 1, then of first[1] … last[1] − 1, and so on."""
    count = last - first
    result: Ints = np.arange(int(count.sum())) + np.repeat(
        first - (np.cumsum(count) - count), count
    )
    return result


def _packed(columns: Sequence[tuple[Ints, Ints]]) -> list[list[bytes]]:
    """Columns of many units, `count` entries each, to pieces of bytes a unit: heads, then what entries exceed their least by, in as few bytes as do."""
    units = len(columns[0][1])
    heads = np.empty((units, len(columns)), _RUN)
    pieces: list[list[bytes]] = [[b""] for _ in range(units)]
    for column, (values, count) in enumerate(columns):
        last = np.cumsum(count)
        low = np.minimum.reduceat(values, last - count)
        over = (values - np.repeat(low, count)).view(np.uint64)
        most = np.maximum.reduceat(over, last - count)
        width = np.sum([(most >> np.uint64(8 * i)) > 0 for i in range(8)], axis=0)
        heads["low"][:, column], heads["width"][:, column] = low, width
        digits = over.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
        for size in set(width.tolist()) - {0}:
            data, mine = digits[:, :size].tobytes(), np.flatnonzero(width == size)
            for unit, begin, end in zip(
                mine.tolist(),
                (size * (last - count)[mine]).tolist(),
                (size * last[mine]).tolist(),
                strict=True,
            ):
                pieces[unit].append(data[begin:end])
    for unit in range(units):
        pieces[unit][0] = heads[unit].tobytes()
    return pieces


def _unpacked(blob: bytes, at: int, counts: Sequence[int]) -> tuple[list[Ints], bytes]:
    """The columns of one unit, and what follows them."""
    heads = np.frombuffer(blob, _RUN, len(counts), at)
    at += heads.nbytes
    columns = []
    for count, low, width in zip(
        counts, heads["low"].tolist(), heads["width"].tolist(), strict=True
    ):
        digits = np.zeros((count, 8), np.uint8)
        digits[:, :width] = np.frombuffer(blob, np.uint8, count * width, at).reshape(count, width)
        columns.append(digits.view("<i8").ravel() + low)
        at += count * width
    return columns, blob[at:]


_LAYOUT = struct.Struct("<H")
_RUN = np.dtype([("low", "<i8"), ("width", "u1")])
_IN_BLOB = (
    ("slot_start", "slot_end"),
    ("settled", "max_hour", "acc"),
    ("end", "tick_end", "told_silent"),
    ("ahead", "last_at", "last_value"),
)
"""Arrays of a blob, by axis: units, carriers, points, series."""
_SCALARS = (
    "live",
    "last_tick",
    "configuration",
    "limit",
    "last_known_gap",
    "changed",
    "told_verdict",
    "told_since",
    "told_full",
    "pending",
    "revised",
    "law",
)
_SCALARS_OF = {2: _SCALARS[:-3], 3: _SCALARS[:-1], LAYOUT: _SCALARS}
_KEPT = ("live", "last_tick", "told_verdict")
"""What a unit keeps under another entry: its time, and the verdict that it was told."""


def configuration_of(blob: bytes) -> int:
    """Under which configuration's entry a stored state stands."""
    place = _LAYOUT.size + 8 * _SCALARS.index("configuration")
    return int.from_bytes(blob[place : place + 8], "little")


def _by_name(
    unit: Unit, points: Ints, begins: Ints
) -> tuple[dict[str, int], dict[str, tuple[Ints, Ints]]]:
    """A unit's points by name: the first of each, and of names that several have all of them, in order of time."""
    found: dict[str, list[tuple[int, int]]] = {}
    for point, begin, index in zip(unit.points, begins.tolist(), points.tolist(), strict=True):
        found.setdefault(point.name, []).append((begin, index))
    names = {name: min(entries)[1] for name, entries in found.items()}
    several = {name: sorted(entries) for name, entries in found.items() if len(entries) > 1}
    tables = {name: np.array(entries, np.int64).T.copy() for name, entries in several.items()}
    eras = {name: (table[0], table[1]) for name, table in tables.items()}
    return names, eras


_POINT_COLUMNS = (
    "p_unit",
    "p_carrier",
    "p_number",
    "p_begins",
    "rated",
    "multiplier",
    "dial",
    "length",
    "p_ends",
    "cadence",
    "patience",
    "statement",
    "bounded_by",
)


def _of_point(point: Point) -> tuple[int, ...]:
    """What an entry says of a point, in the order of the columns from `rated` on."""
    cadence, ends = point.cadence_ms, point.ends
    return (
        point.rated,
        point.multiplier,
        10 ** (point.digits or 0) * SCALE,
        LENGTH_MS.get(point.statement, 0),
        FOREVER if ends is None else ends,
        cadence,
        cadence + point.tolerance,
        STATEMENTS.index(point.statement),
        -1 if point.bounded_by is None else STATEMENTS.index(point.bounded_by),
    )


def unit_of_measure(quantity: str) -> str:
    """Unit of measure of a quantity, `energy` and `co2` included."""
    return UNIT_OF_MEASURE[quantity]
