"""Targets of regions and industries: energy and CO2 of a year, as people enter them.

`check FILE` says what is wrong with a file; `diff FILE` what it changes; `load FILE` stores it as one numbered version, which holds
from the next full hour on. A file is the whole of the targets. What was told of earlier hours stays as it was.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from processors import entries
from schemas.targets import Targets

_EPILOG = """examples:
  python -m processors targets check deploy/example/targets.toml
  python -m processors targets diff targets.toml
  python -m processors targets load targets.toml --author "Li Wei" --reason "2027 targets, order 12"

The file is TOML (numbers as text, "1200.5"; days as 2027-04-01; periods are [first, until)):
  [[targets]]     id, scope ("province:510000", "city:510400", "county:510402", "industry:31", "city:510400+industry:31"), year,
                  quantity (energy: tce, co2: t), amount, covers (key units, whole society), source; schedule; of energy
                  net_of (feedstock, non-fossil: what `deductions` admits) and certificates_at_most (tce)
  [[schedules]]   id, weights (12), source: how the year is expected to pass; by the calendar where a target names none
  [[remainders]]  scope, quantity, first, until, amount or low best high, known_on, source; revision: what the key units leave out,
                  without which a target of the whole society is UNDECIDABLE, `remainder unknown`
  [[value_added]] scope, covers, prices_of (constant prices of that year), first, until, amount (10⁴ CNY) or low best high, known_on,
                  status (preliminary, revised, final), source; revision: `show --region` tells energy and CO2 per value added
  [[levels]]      level rules of your own, before ours (schemas/packs/levels/barometer.toml)

Exit codes: 0 in order, or (diff) nothing differs; 1 the file is wrong, or (diff) it differs; 2 the words are wrong."""


def named(targets: Targets) -> Mapping[str, BaseModel]:
    """A file's entries by name."""
    found: dict[str, BaseModel] = {f"target {one.id}": one for one in targets.targets}
    found |= {f"schedule {one.id}": one for one in targets.schedules}
    found |= {f"level rule {one.id}": one for one in targets.levels}
    found |= {
        f"value added {one.scope} {one.covers} {one.first} to {one.until} at prices of {one.prices_of} revision {one.revision}": one
        for one in targets.value_added
    }
    return found | {
        f"remainder {one.scope} {one.quantity} {one.first} to {one.until} revision {one.revision}": one
        for one in targets.remainders
    }


def _so_far(stored: Sequence[entries.Stored[Targets]]) -> Targets:
    return stored[-1].content if stored else Targets()


def _news(
    _: entries.Link, stored: Sequence[entries.Stored[Targets]], asked: Targets
) -> Targets | None:
    return None if _so_far(stored).content_hash() == asked.content_hash() else asked


KIND = entries.Kind("targets", "target_version", Targets, named, _so_far, _news)


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake."""
    parser, _ = entries.parser_of(KIND.verb, __doc__, _EPILOG)
    return entries.main(KIND, arguments, parser)
