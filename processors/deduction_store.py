"""The ledger of deductions as it stands in the tables at an hour."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from processors.aggregation import Telling
from processors.ledger import Decision, Ledger, decisions_of, ledger_of
from processors.rates import Way, rate
from processors.registry import factors_under
from schemas.co2 import HeatValue
from schemas.deductions import CARRIERS, Deductions
from schemas.factors import Factor, FactorError, FactorPack

Link = Connection[TupleRow]

_NEWEST = "SELECT coalesce(max(version), 0) FROM deduction_version WHERE from_hour <= %s"
_LOADS = "SELECT version, body FROM deduction_version WHERE version <= %s ORDER BY version"


class DeductionStore:
    """Reads each version of the evidence, and each configuration's factors, once."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._decisions: dict[int, Sequence[Decision]] = {}
        self._packs: dict[int, FactorPack] = {}
        self._heats: dict[tuple[str, int], tuple[HeatValue, ...]] = {}

    def know(self, configuration: int, pack: FactorPack) -> None:
        """The factors of a configuration that is not stored."""
        self._packs[configuration] = pack

    def at(self, link: Link, hour: int) -> Ledger:
        """The ledger by the versions that hold at an hour."""

        def factor(telling: Telling, carrier: str, year: int) -> Factor:
            named = next(one for one in CARRIERS if one == carrier)
            pack = self._pack(link, telling.configuration)
            if named == "electricity":
                return pack.factor(named, "energy", year)
            heats = self._heat_values(link, telling.unit, telling.configuration)
            found = rate(pack, Way(named, heat_values=heats), "energy", year)
            names = ", ".join(name for name, _ in found.used)
            unverified = any(mark for _, mark in found.used)
            return Factor(names, found.numerator, found.denominator, unverified, year)

        def view(telling: Telling, year: int) -> str:
            if not telling.configuration:  # told before that was kept
                return ""
            return self._pack(link, telling.configuration).entry("electricity", "co2", year).view

        return ledger_of(self._decided(link, hour), factor, view)

    def _decided(self, link: Link, hour: int) -> Sequence[Decision]:
        row = link.execute(_NEWEST, (hour,)).fetchone()
        version = 0 if row is None else int(row[0])
        if version not in self._decisions:
            self._decisions = {version: decisions_of(loads(link, version))}
        return self._decisions[version]

    def _heat_values(self, link: Link, unit: str, version: int) -> tuple[HeatValue, ...]:
        """Of a unit's own fuel, by its entry under a configuration."""
        key = unit, version
        if key not in self._heats:
            row = link.execute(_HEAT_VALUES, (version, unit)).fetchone()
            said = [] if row is None or row[0] is None else row[0]
            self._heats[key] = tuple(HeatValue.model_validate(one) for one in said)
        return self._heats[key]

    def _pack(self, link: Link, configuration: int) -> FactorPack:
        if configuration not in self._packs:
            pack = factors_under(link, configuration)
            if pack is None:
                message = "no factors are stored"
                raise FactorError(message)
            self._packs[configuration] = pack
        return self._packs[configuration]


_HEAT_VALUES = """
SELECT u.said -> 'heat_values' FROM configuration c, jsonb_array_elements(c.body -> 'units') AS u (said)
WHERE c.version <= %s AND u.said ->> 'code' = %s ORDER BY c.version DESC LIMIT 1"""


def loads(link: Link, version: int) -> list[tuple[int, Deductions]]:
    """What was loaded up to a version."""
    rows = link.execute(_LOADS, (version,))
    return [(number, Deductions.model_validate(body)) for number, body in rows]
