"""The ledger of deductions as it stands in the tables at an hour."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from processors.ledger import Decision, Ledger, decisions_of, ledger_of
from processors.registry import factors_under
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

    def know(self, configuration: int, pack: FactorPack) -> None:
        """The factors of a configuration that is not stored."""
        self._packs[configuration] = pack

    def at(self, link: Link, hour: int) -> Ledger:
        """The ledger by the versions that hold at an hour."""

        def factor(configuration: int, carrier: str, year: int) -> Factor:
            named = next(one for one in CARRIERS if one == carrier)
            return self._pack(link, configuration).factor(named, "energy", year)

        return ledger_of(self._decided(link, hour), factor)

    def _decided(self, link: Link, hour: int) -> Sequence[Decision]:
        row = link.execute(_NEWEST, (hour,)).fetchone()
        version = 0 if row is None else int(row[0])
        if version not in self._decisions:
            self._decisions = {version: decisions_of(loads(link, version))}
        return self._decisions[version]

    def _pack(self, link: Link, configuration: int) -> FactorPack:
        if configuration not in self._packs:
            pack = factors_under(link, configuration)
            if pack is None:
                message = "no factors are stored"
                raise FactorError(message)
            self._packs[configuration] = pack
        return self._packs[configuration]


def loads(link: Link, version: int) -> list[tuple[int, Deductions]]:
    """What was loaded up to a version."""
    rows = link.execute(_LOADS, (version,))
    return [(number, Deductions.model_validate(body)) for number, body in rows]
