"""What is metered, and in which unit of measure."""

from typing import Literal

Quantity = Literal["electricity", "raw_coal", "output"]
QUANTITIES: tuple[Quantity, ...] = ("electricity", "raw_coal", "output")
"""In the order in which they stand everywhere."""
UNIT_OF_MEASURE = {
    "electricity": "kWh",
    "raw_coal": "t",
    "output": "t",
    "energy": "tce",
    "co2": "t",
}
CARRIERS: tuple[Quantity, ...] = ("electricity", "raw_coal")
"""Quantities that count as energy; `output` does not."""
