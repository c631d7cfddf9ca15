"""The law's figures: coefficients, CO2 factors, product limits, regions; dated, with source and status.

They come from the pack that ships with Weir and from your own packs (--pack, or WEIR_PACKS), which extend or override it.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from processors.packs_examples import Worked, mistakes, worked_examples
from processors.packs_shown import (
    as_json,
    chosen,
    columns,
    difference,
    difference_json,
    difference_lines,
    listing,
)
from schemas.factors import FactorError, stream_pack
from schemas.pack import NoEntryError, Packs
from schemas.pack_entries import Entry
from schemas.pack_reading import KINDS, OURS, PackError, PackText, our_packs, our_text, read_packs
from schemas.settings import Settings, SettingsError

_EPILOG = """examples:
  python -m processors packs check                                   is what ships in order?
  python -m processors packs check /etc/weir/sichuan.toml            is my own pack, on top of ours?
  python -m processors packs list --kind power --region sichuan      electricity CO2 factors of Sichuan
  python -m processors packs list --kind limit --at 2027-01-01       limits in force on a day
  python -m processors packs compare weir /etc/weir/sichuan.toml     what my pack changes
  python -m processors packs examples                                worked examples to follow by hand

A pack is a TOML file, or a directory of them, such as:
  [[power]]
  id = "electricity.co2.sichuan.2024"
  region = "sichuan"
  view = "provincial average"
  year = 2024
  value = "0.1600"
  unit = "kgCO2/kWh"
  published_on = 2026-12-30
  source = "announcement 2026 no. 99"
  status = "sourced"
An entry with the id of one of ours takes its place; one with another id that speaks of the same goes first on its days.
Exit codes: 0 done; 1 a pack is wrong, or cannot be read; 2 the words are wrong."""


class UnreadableError(Exception):
    """A pack that cannot be read; the message says why."""


def read(path: Path) -> PackText:
    """A pack from a file, or from a directory's *.toml. Raises UnreadableError."""
    try:
        paths = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        texts = tuple((str(one), one.read_text(encoding="utf-8")) for one in paths)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise UnreadableError(message) from error
    if not texts:
        message = f"{path}: holds no *.toml: a pack is a TOML file, or a directory of them"
        raise UnreadableError(message)
    return PackText(path.stem, texts)


def with_ours(paths: Sequence[Path]) -> Packs:
    """Our pack with an operator's on top. Raises PackError, UnreadableError."""
    if not paths:
        return our_packs()
    return read_packs([our_text(), *(read(path) for path in paths)])


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake."""
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.run
    try:
        return work(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PackError, FactorError, NoEntryError, UnreadableError, SettingsError) as error:
        _complain(str(error))
        return 1


def _paths(options: argparse.Namespace) -> list[Path]:
    """Packs of the words, else of WEIR_PACKS."""
    told: list[Path] = list(options.pack)
    return told or [Path(name) for name in Settings.read().packs.split(":") if name]


def _check(options: argparse.Namespace) -> int:
    packs = with_ours(_paths(options))
    stream_pack(packs)
    wrong = mistakes(packs)
    for line in wrong:
        _complain(line)
    if wrong:
        return 1
    for pack in packs.packs:
        held = [one.entry for one in packs.held if one.pack == pack]
        states = Counter(entry.status for entry in held if isinstance(entry, Entry))
        _tell(
            f"{pack.version}: {len(held)} entries in order: {states['sourced']} sourced, {states['unverified']} unverified"
        )
    return 0


def _list(options: argparse.Namespace) -> int:
    packs = with_ours(_paths(options))
    found = chosen(packs, kinds=options.kind, at=options.at, region=options.region)
    if options.json:
        _tell(json.dumps([as_json(held) for held in found], ensure_ascii=False))
        return 0
    for line in listing(found):
        _tell(line)
    _tell(f"{len(found)} entries of {packs.version}")
    if any(isinstance(one.entry, Entry) and one.entry.dates == "unconfirmed" for one in found):
        _tell("from DAY?: the day is not confirmed, and the earliest that it can be")
    return 0


def _compare(options: argparse.Namespace) -> int:
    before, after = (_compared(name, alone=options.alone) for name in (options.a, options.b))
    told = difference(before, after)
    if options.json:
        _tell(json.dumps(difference_json(told), ensure_ascii=False))
        return 0
    _tell(f"from {before.version}")
    _tell(f"to   {after.version}")
    for line in difference_lines(told):
        _tell(line)
    return 0


def _compared(name: str, *, alone: bool) -> Packs:
    if name == OURS:
        return our_packs()
    return read_packs([read(Path(name))]) if alone else with_ours([Path(name)])


def _examples(options: argparse.Namespace) -> int:
    packs = with_ours(_paths(options))
    worked = worked_examples(packs)
    if options.json:
        _tell(json.dumps([asdict(one) for one in worked], ensure_ascii=False))
        return 0
    for kind, heading in _HEADINGS.items():
        rows = [one for one in worked if one.kind == kind]
        _tell(f"{heading}: {len(rows)}")
        for line in columns([_row(one) for one in rows]) if rows else ():
            _tell(line)
        _tell("")
    _tell(f"worked out from {packs.version}")
    return 0


_HEADINGS = {
    "product": "products, beside what was worked out by hand",
    "coefficient": "standard coal: heat value over that of standard coal, beside the published coefficient",
    "fuel": "CO2 of fuels from their parts",
    "limit": "product limits (level 1 / 2 / 3), beside what is printed or was worked out by hand; exactly at the limit is no breach",
}


def _row(one: Worked) -> tuple[str, ...]:
    differs = "published as" if one.kind == "coefficient" else "not"
    beside = f"{'=' if one.agrees else differs} {one.expected}" if one.expected else ""
    verified = "" if one.verified else "unverified"
    return f"  {one.title}", one.reckoned, one.result, beside, verified, one.note


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no day: write it as 2026-11-23"
        raise argparse.ArgumentTypeError(message) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors packs",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_check(verbs.add_parser("check", help="say what is wrong with the packs"))
    _add_list(verbs.add_parser("list", help="what the packs hold"))
    _add_compare(verbs.add_parser("compare", help="what differs between two packs"))
    _add_examples(verbs.add_parser("examples", help="worked examples, worked out again"))
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Reads our pack and yours on top of it, and names every mistake with file, entry and way out: days that overlap or are "
        "reversed, unknown units, negative values, missing sources, references to nothing, examples that do not come out."
    )
    parser.epilog = "example:\n  python -m processors packs check /etc/weir/sichuan.toml"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "pack", nargs="*", type=Path, metavar="PATH", help="your packs, a later one first in force"
    )
    parser.set_defaults(run=_check)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.description = "Lists entries with figure, unit, days, status, pack and source."
    parser.epilog = (
        "example:\n  python -m processors packs list --kind power --region 510400 --at 2023-06-30"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--kind", action="append", default=[], choices=list(KINDS), help="may be given again"
    )
    parser.add_argument(
        "--at", type=_day, metavar="DATE", help="only what holds on the day: 2026-11-23"
    )
    parser.add_argument("--region", help="only what names the region: 510400, Panzhihua, sichuan")
    _add_common(parser)
    parser.set_defaults(run=_list)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = "Says what B adds to A, takes from it and changes in it, by id."
    parser.epilog = "example:\n  python -m processors packs compare weir /etc/weir/sichuan.toml"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in ("a", "b"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a pack's path, taken on top of ours; or weir, for ours",
        )
    parser.add_argument(
        "--alone", action="store_true", help="take paths as whole packs, without ours"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.set_defaults(run=_compare)


def _add_examples(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Works out every example of the packs again: products beside what was worked out by hand, coefficients beside heat values, "
        "fuels from their parts, every limit with and without corrections and at its exact boundary."
    )
    parser.epilog = "example:\n  python -m processors packs examples"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_common(parser)
    parser.set_defaults(run=_examples)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pack",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a pack of yours, on top of ours; may be given again (else WEIR_PACKS)",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
