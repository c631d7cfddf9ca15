"""A report as a value: what stands on the page, in the workbook and in the CSV files alike.

Cells keep their exact numbers; how they are written is the business of who writes them.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Language = Literal["zh", "en"]
Tone = Literal["breach", "suspected", "unknown", "well", "plain"]
"""What a mark looks like; each has a shape of its own beside its colour."""


@dataclass(frozen=True, slots=True)
class Say:
    """Picks the language: `say("Gaps", "缺口")`."""

    language: Language

    def __call__(self, english: str, chinese: str) -> str:
        """The text in the language."""
        return chinese if self.language == "zh" else english


@dataclass(frozen=True, slots=True)
class Interval:
    """An amount with its bounds, in the unit of measure of its column; a high of None is unknown."""

    low: Decimal
    best: Decimal
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class Share:
    """A part of one, shown in percent."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Mark:
    """A standing in words."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Noted:
    """A text with a smaller one below it; on the page only."""

    text: str
    note: str


Cell = str | int | Decimal | date | datetime | Interval | Share | Mark | Noted | None


@dataclass(frozen=True, slots=True)
class Column:
    """Title, and the unit of measure of its numbers where it has one."""

    title: str
    unit: str = ""
    exact: bool = False
    """Six decimals on the page, too; else three, low rounded down and high rounded up."""
    on_page: bool = True
    """False: in the workbook and the CSV files only."""


def columns(
    say: Say, *titles: tuple[str, str] | tuple[str, str, str] | Column
) -> tuple[Column, ...]:
    """Columns by their titles in English and Chinese, and the unit of measure where they have one."""
    return tuple(
        one if isinstance(one, Column) else Column(say(one[0], one[1]), *one[2:]) for one in titles
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. `name` names its sheet and its file: short, ASCII, unique in a report."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str
    """What is said in place of rows."""
    shown: int = 1_000
    """Rows on the page; the workbook and the CSV files have all."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A place on a chart's time or category axis with its amount."""

    label: str
    amount: Interval


@dataclass(frozen=True, slots=True)
class Chart:
    """Amounts with bounds, one after another.

    `bars`: some, with whiskers. `band`: many, a line in its band. `gauge`: each against `limit`, lying.
    """

    kind: Literal["bars", "band", "gauge"]
    title: str
    unit: str
    points: tuple[Bounded, ...]
    limit: Decimal | None = None
    limit_name: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A question and its answer."""

    title: str
    lead: str
    blocks: tuple[Table | Chart, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of the head."""

    name: str
    value: Cell
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What one reader is told."""

    language: Language
    read_at: datetime
    """When the database was read, by its own clock."""
    title: str
    subtitle: str
    verdict: Mark
    sentence: str
    notices: tuple[str, ...]
    facts: tuple[Fact, ...]
    gauge: Chart | None
    sections: tuple[Section, ...]
    foot: tuple[str, ...]
