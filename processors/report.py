"""Where a unit or a region stands, as one page that needs no server and no network; as a workbook, as CSV.

`python -m processors report --unit U | --region R --out FILE.html [--xlsx FILE.xlsx] [--csv FOLDER] [--from DAY --to DAY] [--language zh|en]`
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import psycopg

from processors.aggregation import scope_of
from processors.migrate import MigrationError, database_url
from processors.report_document import Language, Report
from processors.report_files import csv_text, tables, workbook
from processors.report_page import page
from processors.report_region import region_report
from processors.report_rows import Span
from processors.report_store import NothingError, RefusedError, open_export, region_rows, unit_rows
from processors.report_unit import unit_report
from schemas.settings import SettingsError

_EPILOG = """examples:
  python -m processors report --unit 91510100SYN0000001 --out unit.html
  python -m processors report --unit 91510100SYN0000001 --from 2026-10-01 --to 2026-10-31 --out october.html --xlsx october.xlsx
  python -m processors report --region 510100 --language zh --out chengdu.html --csv chengdu/
  python -m processors report --region industry:31 --out steel.html

The page holds its styles and charts: it can be mailed, printed and opened years later. The database is read in one
snapshot, as far as the login of WEIR_DATABASE_URL may see: a member of weir_reader everything, of weir_regulator its
regions, of weir_enterprise its units (`python -m processors roles --help`). Who asked for what, and who was refused,
is kept: `python -m processors roles log`."""


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 written, 1 it could not be, 2 the words are wrong."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not (chosen.out or chosen.xlsx or chosen.csv):
        parser.error("say where to write: --out FILE.html, --xlsx FILE.xlsx or --csv FOLDER")
    if chosen.first and chosen.last and chosen.first > chosen.last:
        parser.error(f"--from {chosen.first} is after --to {chosen.last}")
    try:
        report = report_of(
            database_url(),
            unit=chosen.unit,
            region=chosen.region,
            span=Span(chosen.first, chosen.last),
            language=chosen.language,
        )
        for path in write(report, chosen.out, chosen.xlsx, chosen.csv):
            sys.stdout.write(f"{path}\n")
    except psycopg.errors.UndefinedFunction:
        sys.stderr.write(
            "report: the database is older than this: run `python -m processors migrate up`\n"
        )
        return 1
    except (
        NothingError,
        RefusedError,
        MigrationError,
        SettingsError,
        psycopg.Error,
        OSError,
    ) as error:
        sys.stderr.write(f"report: {str(error).strip()}\n")
        return 1
    return 0


def report_of(
    url: str, *, unit: str | None, region: str | None, span: Span, language: Language
) -> Report:
    """The report of a unit or a region, from one snapshot of what the login may see; who asked for it is kept.

    Raises RefusedError, NothingError and psycopg.Error.
    """
    scope = scope_of(region or "") if unit is None else f"unit:{unit}"
    days = {"from": span.first and f"{span.first}", "to": span.last and f"{span.last}"}
    with closing(open_export(url, "report", scope, days | {"language": language})) as link:
        if unit is not None:
            return unit_report(unit_rows(link, unit, span), language)
        return region_report(region_rows(link, scope, span), language)


def write(report: Report, out: Path | None, xlsx: Path | None, folder: Path | None) -> list[Path]:
    """Write what is asked for; the files written. Raises OSError."""
    written = []
    if out is not None:
        out.write_text(page(report), encoding="utf-8")
        written.append(out)
    if xlsx is not None:
        xlsx.write_bytes(workbook(report))
        written.append(xlsx)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for table in tables(report):
            path = folder / f"{table.name}.csv"
            path.write_text(csv_text(table), encoding="utf-8-sig", newline="")
            written.append(path)
    return written


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors report",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--unit", metavar="CODE", help="a unit, by its 18-character code")
    subject.add_argument(
        "--region",
        metavar="CODE",
        help="by its GB/T 2260 code, 510400; or a scope, industry:31, city:510400+industry:31",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="the page")
    parser.add_argument("--xlsx", type=Path, metavar="FILE.xlsx", help="the tables as a workbook")
    parser.add_argument(
        "--csv", type=Path, metavar="FOLDER", help="the tables, a file each; made where it lacks"
    )
    parser.add_argument(
        "--from",
        dest="first",
        type=date.fromisoformat,
        metavar="DAY",
        help="first business day, 2026-10-01; unless given, the first of the year",
    )
    parser.add_argument(
        "--to",
        dest="last",
        type=date.fromisoformat,
        metavar="DAY",
        help="last business day; unless given, up to the newest full hour",
    )
    parser.add_argument(
        "--language",
        choices=("en", "zh"),
        default="en",
        help="of titles and words; en unless given",
    )
    return parser
