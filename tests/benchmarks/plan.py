"""How much is measured, and what the parts of one run share."""

from dataclasses import dataclass

from table import Table

QUARTERS_A_DAY = 96


@dataclass(frozen=True)
class Plan:
    """Sizes."""

    rows: int
    """Quarter hours in the yardstick's file."""
    prefill_days: int
    quarters: int
    """A run of the workers."""
    runs: int
    small_quarters: int
    """The run with 5 points a unit."""
    large_quarters: int
    """The run of one unit of 2,000 points."""
    read_units: int
    read_days: int
    year_days: int
    late_days: int
    seconds: float
    """Of what is paced: single readings, latency."""
    mqtt_quarters: int


FULL = Plan(
    rows=20,
    prefill_days=3,
    quarters=48,
    runs=3,
    small_quarters=48,
    large_quarters=960,
    read_units=200,
    read_days=31,
    year_days=365,
    late_days=30,
    seconds=60.0,
    mqtt_quarters=48,
)
QUICK = Plan(
    rows=8,
    prefill_days=0,
    quarters=12,
    runs=1,
    small_quarters=8,
    large_quarters=96,
    read_units=4,
    read_days=8,
    year_days=12,
    late_days=4,
    seconds=8.0,
    mqtt_quarters=6,
)


@dataclass
class Bench:
    """One run of everything that is asked for."""

    plan: Plan
    table: Table
    against: str = ""
    yardstick: float = 0.0
    """Rows a second."""
    peak: float = 0.0
    """Readings a second of one worker; 0 where it was not measured."""

    def say(self, text: str) -> None:
        """A line of progress."""
        self.table.say(text)
