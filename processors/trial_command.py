"""What would become of readings, by the engine itself: lines of the pipe in, an answer as to a try for each section out. Nothing is stored."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from processors.feedback_store import FeedbackStore
from processors.leader_store import AwayError, TablesError
from processors.migrate import MigrationError, database_url
from processors.registry import RegistryError, check
from processors.trial import About, answer
from schemas.factors import default_pack
from schemas.section import Section, Unreadable
from schemas.settings import SettingsError
from schemas.wire import LayoutError, from_line

_EPILOG = """examples:
  python -m ingest import 2018.csv --mapping steel.toml --dry-run --registry registry.toml      which asks this
  python -m ingest import 2018.csv --mapping steel.toml | python -m processors try --registry registry.toml
  python -m processors try lines.jsonl                          by the registry in the database (WEIR_DATABASE_URL)

What only stored readings can tell, repeated or superseded, is not asked. Exit codes: 0 answered; 1 it could not be; 2 wrong words."""

Known = Callable[[str, int], About]


def answers(lines: Iterable[str], known: Known) -> Iterator[bytes]:
    """An answer (`feedback.Tried`) for each section of the lines, in their order. Raises LayoutError."""
    pack = default_pack()
    abouts: dict[str, About] = {}
    for line in filter(str.strip, lines):
        told = from_line(line)
        body = told[1].body if isinstance(told, tuple) else ()
        for part in body if isinstance(body, tuple) else ():
            if isinstance(part, (Section, Unreadable)):
                if part.unit not in abouts:
                    abouts[part.unit] = known(part.unit, part.received_at)
                yield answer(part, abouts[part.unit], pack)


def of_file(path: Path) -> Known:
    """Units as a registry file has them. Raises RegistryError."""
    units = {unit.code: unit for unit in check(path).units}

    def known(code: str, _at: int) -> About:
        unit = units.get(code)
        return About() if unit is None else About(unit, live=not unit.history)

    return known


def main(arguments: Sequence[str]) -> int:
    """Answer line by line."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.registry is not None:
            _answer(chosen.file, of_file(chosen.registry))
            return 0
        store = FeedbackStore(database_url())
        try:
            _answer(chosen.file, lambda code, at: store.about(code, at=at))
        finally:
            store.close()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (RegistryError, SettingsError, MigrationError, AwayError, TablesError) as error:
        sys.stderr.write(f"try: {str(error).strip()}\n")
        return 1
    except (LayoutError, OSError) as error:
        sys.stderr.write(f"try: {chosen.file or 'standard input'}: {error}\n")
        return 1
    return 0


def _answer(file: Path | None, known: Known) -> None:
    source = sys.stdin if file is None else file.open(encoding="utf-8")
    with source:
        for told in answers(source, known):
            sys.stdout.write(told.decode() + "\n")
            sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors try",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, help="lines of the pipe; standard input else")
    parser.add_argument(
        "--registry", type=Path, metavar="FILE", help="a registry file; the database's else"
    )
    return parser
