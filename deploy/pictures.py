"""`make pictures`: what the reports look like in a real browser, for docs/ and README.md. After `make demo`, whose database it reads.

    python -m deploy.pictures [FOLDER]

The browser is Chromium (`chromium`, or what WEIR_BROWSER names). The address of another database goes in WEIR_DATABASE_URL.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.demo import DATABASE
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT
from processors.report import report_of, write
from processors.report_document import Language
from processors.report_rows import Span

DOCS = CHECKOUT / "docs"
MOST_BYTES = 300_000
"""Of all pictures together."""
_PATIENCE_S = 90
_FRAME = """<!doctype html><body style="margin:0;overflow:hidden">
<iframe src="{page}" style="border:0;width:{width}px;height:{height}px;transform:scale({scale});transform-origin:0 0"></iframe>"""
_NARROWEST = 500
"""A browser's window: what is narrower is shown larger."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A report, and how much of it is shown, in CSS pixels."""

    name: str
    language: Language
    width: int
    height: int
    unit: str | None = None
    region: str | None = None


PICTURES = (
    Picture("report-unit", "en", 900, 660, unit="9151010000EXAMPLE1"),
    Picture("report-province", "en", 900, 660, region="510000"),
    Picture("report-unit-phone", "zh", 390, 540, unit="9151010000EXAMPLE1"),
    Picture("report-province-phone", "zh", 390, 540, region="510000"),
)


def main() -> int:
    """Exit codes: 0 they are there; 1 not, and why was said."""
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS, help="where to (docs/)")
    folder = parser.parse_args().folder
    browser = shutil.which(os.environ.get("WEIR_BROWSER", "chromium"))
    if browser is None:
        print("pictures: no chromium: install it, or name it in WEIR_BROWSER", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as room:
        sizes = [_taken(one, folder, browser, Path(room)) for one in PICTURES]
    for one, size in zip(PICTURES, sizes, strict=True):
        print(f"{folder / one.name}.png  {size:,} bytes")
    if sum(sizes) > MOST_BYTES:
        print(f"pictures: {sum(sizes):,} bytes are more than {MOST_BYTES:,}", file=sys.stderr)
        return 1
    return 0


def _taken(picture: Picture, folder: Path, browser: str, room: Path) -> int:
    """Write the page and its picture; how many bytes the picture has."""
    page, frame = room / f"{picture.name}.html", room / f"{picture.name}-frame.html"
    asked = report_of(
        _database(),
        unit=picture.unit,
        region=picture.region,
        span=Span(),
        language=picture.language,
    )
    write(asked, page, None, None)
    width, height, scale = picture.width, picture.height, max(1, _NARROWEST / picture.width)
    frame.write_text(_FRAME.format(page=page.as_uri(), width=width, height=height, scale=scale))
    image = folder / f"{picture.name}.png"
    subprocess.run(
        [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={room / 'profile'}",
            f"--window-size={round(width * scale)},{round(height * scale)}",
            f"--screenshot={image}",
            frame.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=_PATIENCE_S,
    )
    return image.stat().st_size


def _database() -> str:
    told = os.environ.get("WEIR_DATABASE_URL")
    if told:
        return told
    return f"{LocalParts().endpoints().database_url.rpartition('/')[0]}/{DATABASE}"


if __name__ == "__main__":
    sys.exit(main())
