"""Files as history: rows of CSV, Excel or JSON lines become records, through the door's own code.

The same file twice changes nothing: its readings carry no sent_at, so that each is an exact repeat.
"""

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from ingest.coalesce import Coalescer, Limits, Numbering
from ingest.complaint import ComplaintError
from ingest.mapping import FileMapping, Taken, Ticker, ends_of, read_mapping, taken_rows
from ingest.payload import decode
from ingest.table_files import numbered_rows
from schemas.calendar import rfc3339
from schemas.feedback import DO, TAKEN
from schemas.registry import STATEMENTS
from schemas.scale import as_text
from schemas.section import WITHDRAWN, Record, Section

DOOR = "import"
_PROGRESS_EVERY_S = 2.0
_SHOWN = 8

Say = Callable[[str], None]


@dataclass(slots=True)
class Imported:
    """What a file came to."""

    rows: int = 0
    readings: int = 0
    empty: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason; an unreadable line counts as one."""
    first_at: int | None = None
    last_end: int | None = None
    rejected: Counter[str] = field(default_factory=Counter)
    """What the registry would not take, by reason."""
    backwards: int = 0
    """Readings that begin before the one of their point and statement above them."""
    newest: dict[tuple[str, str], int] = field(default_factory=dict)
    sums: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(point, statement, unit of measure) → the sum of its period amounts, in 10⁻⁶."""

    def __str__(self) -> str:
        lines = [f"{self.rows:,} rows: {self.readings:,} readings, {self.empty:,} empty cells"]
        if self.first_at is not None and self.last_end is not None:
            lines.append(f"from {rfc3339(self.first_at)} to {rfc3339(self.last_end)}")
        lines += [
            f"{point} {statement}: {as_text(amount)} {unit} in all"
            for (point, statement, unit), amount in sorted(self.sums.items())
        ]
        if self.backwards:
            lines.append(f"{self.backwards:,} readings go back in time: is `midnight` right?")
        for reason, count in self.refused.most_common():
            lines += [f"refused, {reason}: {count:,}", f"    {DO[reason]}"]
        for reason, count in self.rejected.most_common():
            lines += [f"rejected by the registry, {reason}: {count:,}", f"    {DO[reason]}"]
        return "\n".join(lines)


def load_mapping(path: Path) -> FileMapping:
    """The mapping in a file; ComplaintError with what is wrong in it."""
    try:
        return read_mapping(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"the mapping {path} cannot be read: {error}"
        raise ComplaintError(message) from error
    except ValueError as error:
        message = f"the mapping {path} is not right: {error}"
        raise ComplaintError(message) from error


def import_file(
    path: Path,
    mapping: FileMapping,
    *,
    unit: str,
    received_at: int,
    partitions: int,
    tick_ms: int | None,
    say: Say,
    done: Imported,
) -> Iterator[tuple[int, Record]]:
    """The file's records of the log, in its order; `done` counts along."""
    numbering = Numbering(door=DOOR, incarnation=received_at)
    coalescer: Coalescer[None] = Coalescer(
        numbering=numbering, partitions=partitions, limits=Limits(readings=1)
    )
    parts = counted(taken(path, mapping, unit=unit, received_at=received_at), done=done, say=say)
    for part in parts if tick_ms is None else _ticked(parts, Ticker(every_ms=tick_ms)):
        for ready in coalescer.add(part.part, now=0, token=None):
            yield ready.partition, ready.record


def taken(path: Path, mapping: FileMapping, *, unit: str, received_at: int) -> Iterator[Taken]:
    """The file's sections, in order. ComplaintError where the file is not what the mapping says."""
    try:
        if mapping.format == "messages":
            with path.open(encoding=mapping.encoding, newline="") as file:
                for line in filter(str.strip, file):
                    body = line.encode("utf-8", "surrogatepass")
                    yield Taken(decode(body, unit=unit, received_at=received_at), 1, 0)
        else:
            rows = numbered_rows(path, mapping)
            yield from taken_rows(rows, mapping, unit=unit, received_at=received_at)
    except OSError as error:
        message = f"{path} cannot be read: {error}"
        raise ComplaintError(message) from error
    except (UnicodeDecodeError, LookupError) as error:
        message = f"{path} is not text in {mapping.encoding} ({error}): set `encoding`, as gb18030"
        raise ComplaintError(message) from error
    except csv.Error as error:
        message = f"{path} is not CSV: {error}"
        raise ComplaintError(message) from error


def _ticked(parts: Iterable[Taken], ticker: Ticker) -> Iterator[Taken]:
    """The same with ticks; one section behind, since the last one also gets the last tick."""
    held: Taken | None = None
    for taken_part in parts:
        if held is not None:
            yield held
        part = taken_part.part
        ticked = ticker.ticked(part) if isinstance(part, Section) else part
        held = replace(taken_part, part=ticked)
    if held is not None and isinstance(held.part, Section):
        held = replace(held, part=ticker.last(held.part))
    if held is not None:
        yield held


def counted(parts: Iterable[Taken], *, done: Imported, say: Say) -> Iterator[Taken]:
    """The same, counted, with a line of progress now and then."""
    told = time.monotonic()
    for part in parts:
        _count(done, part)
        if time.monotonic() - told > _PROGRESS_EVERY_S:
            told = time.monotonic()
            say(f"{done.rows:,} rows, {done.readings:,} readings so far")
        yield part


def _count(done: Imported, taken_part: Taken) -> None:
    part = taken_part.part
    done.rows += taken_part.rows
    done.empty += taken_part.empty
    if not isinstance(part, Section):
        done.refused[part.reason] += 1
        return
    done.readings += len(part)
    done.refused.update(item.reason for item in part.refused)
    if not len(part):
        return
    first, last = int(part.at.min()), int(ends_of(part).max())
    done.first_at = first if done.first_at is None else min(done.first_at, first)
    done.last_end = last if done.last_end is None else max(done.last_end, last)
    for point, statement, unit, value, _flags, at in entries(part):
        done.backwards += at < done.newest.get((point, statement), at)
        done.newest[point, statement] = at
        if statement != "register":
            done.sums[point, statement, unit] += value


def entries(section: Section) -> Iterator[tuple[str, str, str, int, int, int]]:
    """(point, statement, unit of measure, value, flags, instant) of each reading."""
    size = len(section)

    def column(told: object) -> list[int]:
        return [told] * size if isinstance(told, int) else told.tolist()  # type: ignore[attr-defined]

    for point, statement, unit, value, flags, at in zip(
        column(section.point),
        column(section.statement),
        column(section.unit_of_measure),
        column(section.value),
        column(section.flags),
        column(section.at),
        strict=True,
    ):
        yield (
            section.names[point],
            STATEMENTS[statement],
            section.units_of_measure[unit],
            value,
            flags,
            at,
        )


Fates = Callable[[Section], Sequence[str]]
"""Of each reading in the order of what was told: `taken`, or why the registry would not take it."""


def as_understood(
    path: Path,
    mapping: FileMapping,
    *,
    unit: str,
    say: Say,
    done: Imported | None = None,
    received_at: int = 0,
    fates: Fates | None = None,
) -> Iterator[str]:
    """The first readings as they would be taken, the first refused and rejected with their rows, then what the whole file comes to."""
    done = Imported() if done is None else done
    taken_lines, refused_lines, rejected_lines = _SHOWN, _SHOWN, _SHOWN
    parts = taken(path, mapping, unit=unit, received_at=received_at)
    for taken_part in counted(parts, done=done, say=say):
        part = taken_part.part
        if not isinstance(part, Section):
            continue
        for line in islice(_readings_as_understood(part), taken_lines):
            taken_lines -= 1
            yield line
        for item in part.refused[:refused_lines]:
            refused_lines -= 1
            yield f"{_row(taken_part, item.position)}refused, {item.reason}: {item.original[:200]}"
        rejected = [] if fates is None else _rejected(part, fates(part))
        done.rejected.update(reason for _, reason, _ in rejected)
        for place, reason, line in rejected[:rejected_lines]:
            rejected_lines -= 1
            yield f"{_row(taken_part, place)}rejected by the registry, {reason}: {line}"
    yield str(done)


def _row(taken_part: Taken, place: int) -> str:
    return f"row {taken_part.places[place]}: " if taken_part.places else ""


def _rejected(part: Section, fates: Sequence[str]) -> list[tuple[int, str, str]]:
    """(place, reason, reading) of what the door took and the registry would not."""
    refused = {item.position for item in part.refused}
    places = (place for place in range(len(fates)) if place not in refused)
    shown = zip(places, _readings_as_understood(part), strict=True)
    return [(place, fates[place], line) for place, line in shown if fates[place] != TAKEN]


def _readings_as_understood(part: Section) -> Iterator[str]:
    ends = ends_of(part).tolist()
    for (point, statement, uom, value, flags, at), end in zip(entries(part), ends, strict=True):
        what = "withdrawn" if flags & WITHDRAWN else f"{as_text(value)} {uom}"
        when = rfc3339(at) if end == at else f"{rfc3339(at)} to {rfc3339(end)}"
        yield f"{point} {statement} {when}: {what}"
