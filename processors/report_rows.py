"""What a report is made of: rows as the database's views and functions give them to people.

Amounts are Decimal in the unit of measure of their column, exact to 10⁻⁶; instants are aware.
A high of None is unknown. Sources: schemas/sql/0005, 0007, 0008, 0012, 0013 and the papers.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from processors.report_document import Interval


@dataclass(frozen=True, slots=True)
class Span:
    """Business days of a report, both included; None: by the data."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """When the database was read, by its own clock, and the instants that the report is about."""

    read_at: datetime
    starts: datetime | None
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A registered unit (view unit_standing)."""

    unit: str
    name: str
    region: str | None
    region_name: str | None
    industry_name: str | None
    standing: str
    year: int | None
    as_of: datetime | None
    reason: str | None
    since: datetime | None
    quota_tce: Decimal | None
    energy_low: Decimal | None
    energy_best: Decimal | None
    energy_high: Decimal | None
    best_of_quota: Decimal | None
    share_measured: Decimal | None
    watermark: datetime | None
    silent_points: int
    contested: str | None = None
    """By which objections, its year's energy."""


@dataclass(frozen=True, slots=True)
class YearLimit:
    """A unit's newest year against its quota or CO2 budget, and where it lands (unit_verdict, unit_budget, and their landings): tce, t CO2."""

    unit: str
    name: str
    quantity: str
    """`energy` or `co2`."""
    year: int
    as_of: datetime
    standing: str
    reason: str | None
    since: datetime | None
    amount: Decimal
    low: Decimal
    best: Decimal
    high: Decimal | None
    factor_view: str | None
    """Of electricity's factor, that a budget is meant in."""
    source: str | None
    status: str | None
    unverified: bool | None
    contested: str | None
    landing: str | None
    """The forecast's state; None: nothing was forecast yet."""
    year_end_low: Decimal | None
    year_end_best: Decimal | None
    year_end_high: Decimal | None
    exhausted_best: date | None
    per_day_safe: Decimal | None

    @property
    def is_other_view(self) -> bool:
        """CO2 was told by another view of electricity's factor than the budget is meant in."""
        return self.reason == "other factor view"

    @property
    def used(self) -> Interval:
        """Of the year so far."""
        return Interval(self.low, self.best, self.high)

    @property
    def left(self) -> Interval | None:
        """What can still be used, nothing for sure where what was used has no upper end; None by another view than the budget's."""
        if self.is_other_view:
            return None
        least = Decimal(0) if self.high is None else max(Decimal(0), self.amount - self.high)
        best, most = (max(Decimal(0), self.amount - end) for end in (self.best, self.low))
        return Interval(least, best, most)

    @property
    def year_end(self) -> Interval | None:
        """80 % interval around the expected value."""
        if self.year_end_low is None or self.year_end_best is None:
            return None
        return Interval(self.year_end_low, self.year_end_best, self.year_end_high)


@dataclass(frozen=True, slots=True)
class Papers:
    """By what a unit is told (function unit_papers)."""

    configuration: int
    loaded_at: datetime
    author: str
    reason: str
    pending: int | None
    factor_pack: str
    quota_source: str | None
    quota_status: str | None
    opening: str | None
    engine: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """One figure of one window, as last told (view figure_told)."""

    window_kind: str
    starts: datetime
    ends: datetime
    as_of: datetime
    quantity: str
    unit_of_measure: str
    low: Decimal
    best: Decimal
    high: Decimal | None
    share_measured: Decimal
    unverified: bool
    contested: str | None = None
    """By which objections that are not decided."""


@dataclass(frozen=True, slots=True)
class Energy:
    """One of the energies of a unit, or of one of its lines, in a month or year (view unit_energy)."""

    window_kind: str
    starts: datetime
    ends: datetime
    as_of: datetime
    energy: str
    """Which: `gross`, `net of feedstock`, `net of non-fossil`, `net of feedstock and non-fossil`, `by the product standard`."""
    purpose: str
    line: str | None
    indicator: str | None
    unit_of_measure: str
    basis: str
    low: Decimal | None
    best: Decimal
    high: Decimal | None
    rests_on: list[str]
    unverified: bool
    contested: str | None


@dataclass(frozen=True, slots=True)
class Deduction:
    """What is deducted for one of them, to be added end by end (view unit_deducted): tce."""

    window_kind: str
    starts: datetime
    energy: str
    form: str
    carrier: str
    capped: bool
    low: Decimal
    best: Decimal
    high: Decimal
    evidence: list[str]
    rests_on: list[str]
    unverified: bool


@dataclass(frozen=True, slots=True)
class Record:
    """Where in the log a window was told (function windows_told)."""

    window_kind: str
    starts: datetime
    ends: datetime
    as_of: datetime
    generation: int | None
    partition: int | None
    offset: int
    position: int
    configuration: int | None
    cause: str | None
    recomputable: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity over the report's span (function figures)."""

    quantity: str
    unit_of_measure: str
    low: Decimal
    best: Decimal
    high: Decimal | None
    share_measured: Decimal
    recomputable: bool


@dataclass(frozen=True, slots=True)
class Emission:
    """One term of CO2 over the report's span, t (function co2_terms)."""

    term: str
    low: Decimal | None
    best: Decimal
    high: Decimal | None
    factors: list[str] | None
    unverified: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Electricity of a quarter hour, kWh (function quarter_hours, summed over the points)."""

    starts: datetime
    low: Decimal
    best: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Point:
    """A metering point (view point_standing)."""

    point: str
    quantity: str
    unit_of_measure: str
    statement: str
    rated_per_hour: Decimal
    valid_from: datetime
    valid_to: datetime | None
    heard_until: datetime | None
    silent: bool
    silent_since: datetime | None
    missing_high: Decimal | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Time whose amount is not exact (function gaps); ends None: until now."""

    point_name: str
    quantity: str
    unit_of_measure: str
    kind: str
    starts: datetime
    ends: datetime | None
    low: Decimal
    high: Decimal | None
    from_register: Decimal | None
    to_register: Decimal | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """A declared stop or maintenance that reaches into the span (view stop_declared); no points: all."""

    name: str
    kind: str
    starts: datetime
    ends: datetime
    points: list[str]
    evidence: str
    declared_by: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class Rejection:
    """Readings that were not taken, of one point for one reason (functions rejections, refusals)."""

    kind: str
    reason: str
    point_name: str | None
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Factor:
    """What a carrier's amount is converted by (function unit_factors)."""

    id: str
    quantity: str
    target: str
    year: int
    view: str
    value: str
    unit_of_measure: str
    source: str
    status: str


@dataclass(frozen=True, slots=True)
class Account:
    """What came from a unit on a business day of arrival, in readings (view unit_account)."""

    day: date
    received: int
    accepted: int
    repeated: int
    superseded: int
    rejected: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class UnitRows:
    """Everything in the report of a unit."""

    asked: Asked
    standing: Standing
    papers: Papers
    told: tuple[Told, ...] = ()
    records: tuple[Record, ...] = ()
    figures: tuple[Figure, ...] | None = ()
    """None: the hours of the span are gone, it is no longer recomputable."""
    emissions: tuple[Emission, ...] = ()
    load: tuple[Load, ...] = ()
    points: tuple[Point, ...] = ()
    gaps: tuple[Gap, ...] = ()
    stops: tuple[Stopped, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    factors: tuple[Factor, ...] = ()
    used: frozenset[str] = frozenset()
    """Ids of the factors that the windows of the report name."""
    account: tuple[Account, ...] = ()
    energies: tuple[Energy, ...] = ()
    deducted: tuple[Deduction, ...] = ()
    limits: tuple[YearLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class RegionTold:
    """A window of a region or industry at a full hour (view region_told)."""

    scope: str
    name: str
    window_kind: str
    starts: datetime
    ends: datetime
    hour: datetime
    energy_low: Decimal
    energy_best: Decimal
    energy_high: Decimal | None
    co2_low: Decimal
    co2_best: Decimal
    co2_high: Decimal | None
    share_measured: Decimal
    units: int
    told: int
    pending: int
    silent: int
    broken: int
    not_judged: int
    contested: int = 0
    """Units with a figure in it that is contested."""
    energy_unverified: bool | None = None
    co2_unverified: bool | None = None
    """A factor of a unit is; None: told before that was kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a target stands at its newest hour (view target_told)."""

    target: str
    scope: str
    name: str
    year: int
    quantity: str
    covers: str
    hour: datetime
    target_amount: Decimal
    allowed: Decimal
    basis: str
    low: Decimal
    best: Decimal
    high: Decimal | None
    verdict: str
    reason: str
    level: int | None
    level_reason: str
    rule: str
    views: list[str] | None = None
    """Of CO2: of electricity's factor."""
    unverified: bool | None = None
    contested: int = 0
    """Units whose year is contested."""


@dataclass(frozen=True, slots=True)
class AlertNow:
    """An alert that is pending or firing (view alert_standing)."""

    unit: str
    rule: str
    kind: str
    severity: str
    state: str
    since: datetime
    summary: str | None


@dataclass(frozen=True, slots=True)
class RegionRows:
    """Everything in the report of a region or industry."""

    asked: Asked
    scope: str
    name: str
    units: tuple[Standing, ...]
    pending: frozenset[str] = frozenset()
    """Units that wait to be restated."""
    windows: tuple[RegionTold, ...] = ()
    """The scope's months and newest year, each as told last."""
    parts: tuple[RegionTold, ...] = ()
    """The newest year of the scopes one level down."""
    targets: tuple[Target, ...] = ()
    alerts: tuple[AlertNow, ...] = ()
    limits: tuple[YearLimit, ...] = ()
    configuration: int | None = None
    factor_packs: tuple[str, ...] = ()
    engine: str | None = None
    generation: int | None = None
    offsets: str = ""
