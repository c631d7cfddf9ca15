"""The factors that units are converted by: which are in force, and which of them other packs would change.

What that changes for units and regions `python -m processors restate` foretells; two logins bring other factors into force.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from processors import registry
from processors.packs import UnreadableError, with_ours
from schemas.factors import Entry, FactorError, FactorPack, stream_pack
from schemas.pack_reading import PackError
from schemas.registry import Configuration
from schemas.settings import Settings, SettingsError


def main(arguments: Sequence[str]) -> int:
    """0 done, or nothing differs; 1 something differs (diff), or it could not be done; 2 the words are wrong."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
        if settings.database_url is None:
            sys.stderr.write("factors: no database named: set WEIR_DATABASE_URL\n")
            return 2
        paths = [Path(name) for name in settings.packs.split(":") if name]
        asked = stream_pack(with_ours(paths))
        with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as link:
            return _differ(link, asked, as_json=chosen.json)
    except (
        FactorError,
        PackError,
        SettingsError,
        UnreadableError,
        psycopg.Error,
    ) as error:
        sys.stderr.write(f"factors: {str(error).strip()}\n")
        return 1


def in_force(link: registry.Link) -> FactorPack | None:
    """The pack of the last configuration that brought one, else the first."""
    last = last_brought(link)
    if last is not None and last.factors is not None:
        return FactorPack(last.factors.version, last.factors.entries)
    return registry.stored_factors(link)


def _differ(link: registry.Link, asked: FactorPack, *, as_json: bool) -> int:
    known = in_force(link)
    before = {} if known is None else {entry.id: entry for entry in known.entries}
    after = {entry.id: entry for entry in asked.entries}
    changed = [
        key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)
    ]
    told = {
        "in_force": "" if known is None else known.version,
        "packs": asked.version,
        "changed": {
            key: [str(side[key].per_unit()) if key in side else None for side in (before, after)]
            for key in changed
        },
    }
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"in force: {told['in_force'] or 'none'}; your packs: {asked.version}\n")
        for key in changed:
            old, new = (side.get(key) for side in (before, after))
            sys.stdout.write(f"  {key}: {_shown(old)} becomes {_shown(new)}\n")
    return 1 if changed else 0


def _shown(entry: Entry | None) -> str:
    if entry is None:
        return "nothing"
    told = entry.value if entry.fuel is None else f"{float(entry.fuel.value()):.6g}"
    return f"{told} {entry.unit} from {entry.year} ({entry.status})"


def last_brought(link: registry.Link) -> Configuration | None:
    """The last configuration that brought factors: a broker that was away did not get it."""
    stored = registry.stored_configurations(link)
    brought = [one for _, one in sorted(stored.items()) if one.factors is not None]
    return brought[-1] if brought else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors factors",
        description=__doc__,
        epilog="The packs are ours, and yours that WEIR_PACKS names; `python -m processors packs check` reads them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    differ = verbs.add_parser("diff", help="what the packs would change; exit 1 where anything")
    differ.add_argument("--json", action="store_true", help="for machines")
    return parser
