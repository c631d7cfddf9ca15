"""Other factors, for the past as well: what they change is foretold, one login proposes them, another one brings them into force.

`--dry-run` says who changes verdict or level, by how much, and which notices of breaches would not have been sent; without it the same
is kept as a proposal. `--approve N --hash H` foretells it anew and brings it into force as one act: not by the login that proposed it, not
with other content than H, not where verdicts, levels or notices would be others by now, and not where more records were digested since than
`--tolerate` says (the stream goes on: at the offsets that the proposal names, what it foretells is exactly what the act does).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import registry
from processors.consequences import Notice, foreseen, lines_of, replaced
from processors.factors import last_brought
from processors.foretold import foretell
from processors.leader_store import AwayError, TablesError
from processors.packs import UnreadableError, with_ours
from processors.region_store import RegionStore
from processors.registry import RegistryError
from processors.store import TablesError as UnitTablesError
from schemas.factors import FactorError, FactorPack, stream_pack
from schemas.pack_reading import PackError
from schemas.registry import Configuration, FactorsInForce, Registry
from schemas.restatement import Foreseen
from schemas.settings import Settings, SettingsError

Link = Connection[TupleRow]

_EPILOG = """examples:
  python -m processors restate --pack late.toml --dry-run
  python -m processors restate --pack late.toml --reason "factor of 2023, published in 2025"      proposes; says its number and hash
  python -m processors restate --approve 3 --hash 5f2c9a0b11d4 --reason "checked" --tolerate 500   another login
  python -m processors restate --list

Logins: `python -m processors migrate login NAME --role weir_steward`, one a person. Packs: ours, those of WEIR_PACKS, then --pack.
Exit codes: 0 done, or nothing changes; 1 something changes (--dry-run), or it could not be done; 2 the words are wrong."""

_NOTICES = """
SELECT id, unit, rule, coalesce(body #>> '{evidence,regime}', 'energy'), window_start, at FROM alert_transition
WHERE kind = 'confirmed breach' AND state = 'firing' AND window_start IS NOT NULL AND unit = ANY(%s) ORDER BY seq"""
_PROPOSE = "SELECT propose_restatement(%s, %s, %s, %s::jsonb, %s::jsonb, %s::jsonb)"
_PROPOSAL = """
SELECT p.reason, p.version, p.hash, p.factors, p.foreseen, a.approved_by
FROM proposal p LEFT JOIN approval a ON a.proposal = p.id WHERE p.id = %s"""
_APPROVE = "SELECT approve_restatement(%s, %s, %s, %s, %s::jsonb)"
_LIST = """
SELECT p.id, p.proposed_at, p.proposed_by, p.reason, p.version, p.hash, p.factors ->> 'version', a.approved_at, a.approved_by, a.reason
FROM proposal p LEFT JOIN approval a ON a.proposal = p.id ORDER BY p.id"""


class RestateError(Exception):
    """A restatement that cannot be; the message says why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Foretell, propose, approve, publish or list."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not (chosen.dry_run or chosen.reason or chosen.list or chosen.publish):
        parser.error("--reason is missing: say why")
    if chosen.approve is not None and not chosen.hash:
        parser.error("--hash is missing: the proposal's, as `--list` shows it")
    try:
        settings = Settings.read()
        if settings.database_url is None:
            sys.stderr.write("restate: no database named: set WEIR_DATABASE_URL\n")
            return 2
        with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as link:
            if chosen.list:
                return _list(link, as_json=chosen.json)
            if chosen.publish:
                return _publish(last_brought(link), settings)
            if chosen.approve is not None:
                return _approve(link, settings, chosen)
            return _propose(link, settings, chosen)
    except psycopg.Error as error:
        told = error.diag.message_primary or str(error).strip()
        sys.stderr.write(f"restate: {told}\n")
        return 1
    except (
        AwayError,
        FactorError,
        PackError,
        RegistryError,
        RestateError,
        SettingsError,
        TablesError,
        UnitTablesError,
        UnreadableError,
    ) as error:
        sys.stderr.write(f"restate: {str(error).strip()}\n")
        return 1


def foresee(link: Link, settings: Settings, configuration: Configuration) -> Foreseen:
    """What a configuration would change, if it were applied now."""
    if settings.database_url is None or configuration.factors is None:
        message = "no database named, or no factors"
        raise RestateError(message)
    url = settings.database_url.get_secret_value()
    found = foretell(
        url, configuration, generation=settings.generation, partitions=settings.partitions
    )
    regions = RegionStore(url, generation=settings.generation, partitions=settings.partitions)
    try:
        version, factors = configuration.version, configuration.factors
        targets = regions.foretold(
            lambda one: replaced(one, found.messages.get(one.unit), version),
            version,
            FactorPack(factors.version, factors.entries),
        )
    finally:
        regions.close()
    rows = link.execute(_NOTICES, (list(found.messages),)).fetchall()
    return foreseen(settings.generation, found, targets, (Notice(*row) for row in rows))


def _propose(link: Link, settings: Settings, chosen: argparse.Namespace) -> int:
    own = [Path(name) for name in settings.packs.split(":") if name]
    pack = stream_pack(with_ours([*own, *chosen.pack]))
    reason = chosen.reason or "dry run"
    configuration = registry.other_factors(link, pack, author="", reason=reason)
    if configuration is None or configuration.factors is None:
        _tell(f"{pack.version} is in force already: nothing changes")
        return 0
    found = foresee(link, settings, configuration)
    told = {
        "pack": pack.version,
        "hash": configuration.hash,
        "configuration": configuration.version,
    }
    if not chosen.dry_run:
        digest, rows = registry.factor_rows(pack)
        made = link.execute(
            _PROPOSE,
            (
                *(reason, configuration.version, configuration.hash),
                configuration.factors.model_dump_json(),
                json.dumps({"hash": digest, "rows": rows}),
                found.model_dump_json(),
            ),
        ).fetchone()
        told["proposal"] = made and made[0]
    if chosen.json:
        _tell(json.dumps(told | {"foreseen": found.model_dump(mode="json")}))
    else:
        _show(found)
        _tell(
            f"{pack.version} would be configuration {configuration.version}, hash {configuration.hash}"
        )
    if "proposal" in told and not chosen.json:
        _tell(
            f"proposal {told['proposal']}: another login approves it: python -m processors restate"
            f" --approve {told['proposal']} --hash {configuration.hash[:12]} --reason ..."
        )
    return int(chosen.dry_run and bool(found.told))


def _approve(link: Link, settings: Settings, chosen: argparse.Namespace) -> int:
    row = link.execute(_PROPOSAL, (chosen.approve,)).fetchone()
    if row is None:
        message = f"there is no proposal {chosen.approve}; --list shows them"
        raise RestateError(message)
    reason, version, digest, factors, body, approved_by = row
    if approved_by is not None:
        message = f"proposal {chosen.approve} was approved already, by {approved_by}"
        raise RestateError(message)
    configuration = Configuration(
        version=version,
        author="",
        reason=reason,
        registry=Registry(),
        factors=FactorsInForce.model_validate(factors),
        hash=digest,
    )
    if configuration.content_hash() != digest or not digest.startswith(chosen.hash):
        message = f"proposal {chosen.approve} has the content {configuration.content_hash()}, not {chosen.hash}"
        raise RestateError(message)
    proposed = Foreseen.model_validate(body)
    now = foresee(link, settings, configuration)
    _refuse_other(proposed, now)
    link.execute(
        _APPROVE, (chosen.approve, digest, chosen.tolerate, chosen.reason, now.model_dump_json())
    )
    _show(now)
    return _publish(last_brought(link), settings)


def _refuse_other(proposed: Foreseen, now: Foreseen) -> None:
    """Raise RestateError where the act would decide otherwise than was proposed."""
    was, decides = proposed.decisions(), now.decisions()
    differ = [name for name, some in was.items() if some != decides[name]]
    if proposed.offsets == now.offsets and proposed != now:
        differ = differ or [
            "figures, though the log did not move: another release, or tables that were changed"
        ]
    if differ:
        message = (
            f"by now it would decide otherwise ({', '.join(differ)}): look at it and propose anew"
        )
        raise RestateError(message)


def _publish(told: Configuration | None, settings: Settings) -> int:
    if told is None:
        _tell("no other factors were brought into force yet")
        return 0
    registry.publish(
        told,
        settings.kafka,
        partitions=settings.partitions,
        prefix=settings.topic_prefix,
        generation=settings.generation,
    )
    _tell(
        f"configuration {told.version} is published: the worker restates the units that it converts otherwise"
    )
    return 0


def _list(link: Link, *, as_json: bool) -> int:
    rows = link.execute(_LIST).fetchall()
    if as_json:
        names = (
            "proposal",
            "proposed_at",
            "proposed_by",
            "reason",
            "configuration",
            "hash",
            "pack",
            "approved_at",
            "approved_by",
            "approved_why",
        )
        _tell(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str))
        return 0
    for number, at, by, reason, version, digest, pack, approved_at, approved_by, why in rows:
        state = (
            "waits for another login"
            if approved_at is None
            else f"approved {approved_at:%Y-%m-%d %H:%M} by {approved_by}: {why}"
        )
        _tell(
            f"{number}  {pack}, configuration {version}, hash {digest[:12]}  {at:%Y-%m-%d %H:%M} by {by}: {reason}; {state}"
        )
    _tell(f"{len(rows)} proposals")
    return 0


def _show(found: Foreseen) -> None:
    for line in lines_of(found):
        _tell(line)
    places = ", ".join(
        f"{partition}: {offset}" for partition, offset in sorted(found.offsets.items())
    )
    _tell(f"foretold for the log up to (partition: offset) {places}")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors restate",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--pack",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a pack on top of the others; may be told several times",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="foretell, and keep nothing")
    what.add_argument("--approve", type=int, metavar="N", help="bring a proposal into force")
    what.add_argument("--list", action="store_true", help="proposals, and who approved them")
    what.add_argument(
        "--publish",
        action="store_true",
        help="publish what is in force once more, where Kafka was away",
    )
    parser.add_argument("--hash", help="of the proposal's content, or how it begins")
    parser.add_argument("--reason", help="why; kept with your database login")
    parser.add_argument(
        "--tolerate",
        type=int,
        default=0,
        metavar="RECORDS",
        help="that may have been digested since the proposal; 0 unless told",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser
