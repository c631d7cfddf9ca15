"""Evidence of deductions from the energy of regions: feedstock, self-generation, green power, certificates (绿证).

`check FILE` says what is wrong with a file; `diff FILE` what it adds; `load FILE` stores it as one numbered version; `show` says what became
of each piece, and what is left of a unit's or region's energy. A file adds: what was entered once is withdrawn, never changed. Each kWh and
tonne is deducted once: of two claims the one entered first counts, and the other is kept as refused, with whom it collides.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import BaseModel

from processors import entries
from processors.aggregation import Member, belongs, scope_of
from processors.deduction_store import loads
from processors.entries import EntriesError, Link, Stored, tell
from processors.leader_store import AwayError, TablesError
from processors.ledger import Decision, Net, decisions_of, total
from processors.migrate import database_url
from processors.region_store import RegionStore
from schemas.calendar import rfc3339
from schemas.deductions import Deductions
from schemas.double_control import Amount
from schemas.scale import as_text
from schemas.settings import Settings

_EPILOG = """examples:
  python -m processors deductions check deploy/example/deductions.toml
  python -m processors deductions load evidence.toml --author "Li Wei" --reason "green power of October"
  python -m processors deductions show                                 what became of each piece of evidence
  python -m processors deductions show --region 510400 --year 2026     a city's energy, gross and net, unit by unit

The file is TOML (numbers as text, "1200.5"; days as 2026-04-01; periods are [first, until) within a year):
  [[evidence]]     id, unit, region (the unit's own), form (feedstock, self-generation, green power, certificate), quantity (electricity,
                   raw_coal), amount, unit_of_measure (kWh, t), first, until, origin (plant, contract or feed line), issuer, document,
                   sha256 (of the file); line, product (feedstock's), generated_by, from_region, base (of the year the rule counts from),
                   certificates = [{ series, first, last }] (both ends included, 1,000 kWh each)
  [[withdrawals]]  evidence, why

Exit codes: 0 in order, or (diff) nothing differs; 1 the file is wrong, or (diff) it differs; 2 the words are wrong."""

_REGIONS = "SELECT code, region FROM unit WHERE version IS NOT NULL AND code = ANY(%s)"


def named(content: Deductions) -> Mapping[str, BaseModel]:
    """A file's entries by name."""
    found: dict[str, BaseModel] = {f"evidence {one.id}": one for one in content.evidence}
    return found | {f"withdrawal of {one.evidence}": one for one in content.withdrawals}


def _so_far(stored: Sequence[Stored[Deductions]]) -> Deductions:
    return Deductions(
        evidence=tuple(one for load in stored for one in load.content.evidence),
        withdrawals=tuple(one for load in stored for one in load.content.withdrawals),
    )


def _news(link: Link, stored: Sequence[Stored[Deductions]], asked: Deductions) -> Deductions | None:
    """What was not entered before. Raises EntriesError with a line for each entry that cannot be."""
    known = _so_far(stored)
    evidence = {one.id: one for one in known.evidence}
    gone = {one.evidence: one for one in known.withdrawals}
    added = tuple(one for one in asked.evidence if one != evidence.get(one.id))
    withdrawn = tuple(one for one in asked.withdrawals if one != gone.get(one.evidence))
    regions: dict[str, str] = dict(
        link.execute(_REGIONS, ([one.unit for one in added],)).fetchall()
    )
    names = evidence.keys() | {one.id for one in added}
    wrong = [
        *(f"evidence {one.id} was entered with other content: withdraw it, and enter another" for one in added if one.id in evidence),
        *(f"evidence {one.id}: there is no registered unit {one.unit}" for one in added if one.unit not in regions),
        *(
            f"evidence {one.id}: it is said to be used in {one.region}, and unit {one.unit} lies in {regions[one.unit]}"
            for one in added
            if regions.get(one.unit, one.region) != one.region
        ),
        *(f"withdrawal: there is no evidence {one.evidence}" for one in withdrawn if one.evidence not in names),
        *(f"evidence {one.evidence} is withdrawn already: {gone[one.evidence].why}" for one in withdrawn if one.evidence in gone),
    ]  # fmt: skip
    if wrong:
        raise EntriesError("\n".join(wrong))
    if not added and not withdrawn:
        return None
    return Deductions(evidence=added, withdrawals=withdrawn)


KIND = entries.Kind("deductions", "deduction_version", Deductions, named, _so_far, _news)


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake."""
    parser, verbs = entries.parser_of(KIND.verb, __doc__, _EPILOG)
    show = verbs.add_parser("show", help="what became of each piece, or what is left of an energy")
    whose = show.add_mutually_exclusive_group()
    whose.add_argument("--unit", metavar="CODE", help="gross and net of a unit")
    whose.add_argument("--region", metavar="CODE", help="of a region or scope, unit by unit")
    show.add_argument("--year", type=int, help="with --unit or --region; needed there")
    show.add_argument("--json", action="store_true", help="one line of JSON")
    return entries.main(KIND, arguments, parser, _show)


def _show(link: Link, chosen: argparse.Namespace) -> int:
    if chosen.unit or chosen.region:
        return _show_net(chosen)
    row = link.execute("SELECT coalesce(max(version), 0) FROM deduction_version").fetchone()
    decisions = decisions_of(loads(link, 0 if row is None else int(row[0])))
    if chosen.json:
        tell(json.dumps([_decision(one) for one in decisions], ensure_ascii=False))
        return 0
    for one in decisions:
        it = one.evidence
        why = f": {one.reason}" if one.reason else ""
        what = f"{it.amount} {it.unit_of_measure} {it.form}, {it.first} to {it.until}"
        tell(f"{one.state:9} {it.id}  {it.unit}  {what}{why}")
    states = Counter(one.state for one in decisions)
    tell(", ".join(f"{states[state]} {state}" for state in ("admitted", "refused", "withdrawn")))
    return 0


def _decision(one: Decision) -> dict[str, object]:
    told = one.evidence.model_dump(mode="json")
    return told | {"state": one.state, "reason": one.reason, "against": one.against}


def _show_net(chosen: argparse.Namespace) -> int:
    if chosen.year is None:
        message = "say which year: --year 2026"
        raise EntriesError(message)
    store = RegionStore(database_url(), partitions=Settings.read().partitions)
    try:
        found = store.netted(chosen.year, partial(_is_asked, chosen))
    except (AwayError, TablesError) as error:
        raise EntriesError(str(error)) from error
    finally:
        store.close()
    if found is None:
        message = "no hour was told yet: start `python -m processors aggregator`"
        raise EntriesError(message)
    hour, units = found
    rows = [*units, total(units)]
    if chosen.json:
        told = {
            "hour": rfc3339(hour),
            "unit_of_measure": "tce",
            "rows": [_row(row) for row in rows],
        }
        tell(json.dumps(told))
        return 0
    whose = chosen.unit or scope_of(chosen.region)
    tell(
        f"{whose}, {chosen.year}, tce [low, best, high], as told for {rfc3339(hour)}; what is deducted is below 0, end by end"
    )
    for row in rows:
        amounts = {
            "gross": row.gross,
            "feedstock": row.feedstock,
            "non-fossil": row.non_fossil,
            "net": row.net,
        }
        tell(
            f"  {row.unit:18}  "
            + "  ".join(f"{name} {_interval(one)}" for name, one in amounts.items())
        )
    return 0


def _is_asked(chosen: argparse.Namespace, member: Member) -> bool:
    if chosen.unit:
        return bool(member.unit == chosen.unit)
    return belongs(member, scope_of(chosen.region))


def _row(row: Net) -> dict[str, object]:
    amounts = {
        "gross": row.gross,
        "feedstock": row.feedstock,
        "non_fossil": row.non_fossil,
        "net": row.net,
    }
    return {"unit": row.unit} | {
        name: {"low": as_text(one.low), "best": as_text(one.best), "high": as_text(one.high)}
        for name, one in amounts.items()
    }


def _interval(amount: Amount) -> str:
    ends = (amount.low, amount.best, amount.high)
    if len(set(ends)) == 1:
        return str(as_text(amount.low))
    return f"[{', '.join('unknown' if end is None else str(as_text(end)) for end in ends)}]"
