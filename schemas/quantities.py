"""What is metered, and in which unit of measure."""

from typing import Literal

Quantity = Literal["electricity", "raw_coal", "heat", "output", "material"]
QUANTITIES: tuple[Quantity, ...] = ("electricity", "raw_coal", "heat", "output", "material")
"""In the order in which they stand everywhere. `material`: what a process takes in and is no energy, such as limestone."""
UNIT_OF_MEASURE = {
    "electricity": "kWh",
    "raw_coal": "t",
    "heat": "GJ",
    "output": "t",
    "material": "t",
    "energy": "tce",
    "co2": "t",
    "process": "t",
    "purchased": "kWh",
}
"""Of quantities, and of the figures made of them. `process`: CO2 that no fuel makes, which `co2` holds; `purchased`:
electricity bought less sold, of a unit that also generates its own."""
CARRIERS: tuple[Quantity, ...] = ("electricity", "raw_coal", "heat")
"""Quantities that count as energy."""
Converted = Quantity | Literal["process"]
"""What a factor converts; `process`: whatever the registry names the factor for."""
