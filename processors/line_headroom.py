"""What the limits of a unit's product lines leave, and what the rest of its quota still makes: from the lines' newest year as last told.

Amounts are integers of 10⁻⁶ of their unit of measure; an end that is None is not known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import orjson

from processors.landing import Span
from processors.lines_shown import Row, contested_by
from schemas.scale import SCALE, as_text

Json = Mapping[str, object]
Ends = tuple[int | None, int | None, int | None]
_KGCE_PER_TCE = 1_000


class Room(NamedTuple):
    """What one limit of a line leaves."""

    line: str
    limit: str
    unit_of_measure: str
    per_unit: Ends
    """Limit less what was used, a unit of output; below nothing: over it."""
    at_this_output: Ends
    """What more may be used for the output of the year so far; nothing where it is over."""
    notes: tuple[str, ...]
    """Where it rests on an unverified figure, or is contested."""
    left: int | None
    """Share of the limit that is left by the best estimate, in 10⁻⁶; below nothing: over it."""


def rooms(rows: Iterable[Row]) -> list[Room]:
    """Of the limits of each line's newest year: those of level 3, which existing plants keep; the tightest first."""
    found = [room for line, year in _years(rows).items() for room in _of_line(line, year)]
    return sorted(
        found, key=lambda room: (room.left is None, room.left or 0, room.line, room.limit)
    )


def _years(rows: Iterable[Row]) -> dict[str, Json]:
    newest: dict[str, Json] = {}
    for line, _, _, judged in rows:
        told = cast("Json", orjson.loads(judged))
        if told["window"] != "year":
            continue
        if line not in newest or cast("int", newest[line]["start"]) < cast("int", told["start"]):
            newest[line] = told
    return newest


def _of_line(line: str, year: Json) -> Iterator[Room]:
    made = _ends(
        cast("Mapping[str, Json]", year["figures"]).get("output", {}), ("low", "best", "high")
    )
    for one in cast("Sequence[Json]", year.get("limits", ())):
        low, high = _two(one, "limit_low", "limit_high")
        used = _ends(one, ("low", "best", "high"))
        if one["level"] != 3 or low is None or high is None:  # noqa: PLR2004 - existing plants
            continue
        per = (_less(low, used[2]), _less(low, used[1]), _less(high, used[0]))
        left = None if per[1] is None or not low else per[1] * SCALE // low
        more = tuple(_times(a, b) for a, b in zip(per, made, strict=True))
        yield Room(
            line=line,
            limit=str(one["limit"]),
            unit_of_measure=str(one["unit_of_measure"]),
            per_unit=per,
            at_this_output=cast("Ends", more),
            notes=(*cast("Sequence[str]", one.get("notes", ())), *_contested(year)),
            left=left,
        )


def _contested(year: Json) -> Iterator[str]:
    by = contested_by(cast("Mapping[str, str]", year.get("contested", {}))).get("intensity")
    if by is not None:
        yield f"contested ({by})"


def _two(told: Json, *keys: str) -> tuple[int | None, ...]:
    return tuple(cast("int | None", told.get(key)) for key in keys)


def _ends(told: Json, keys: tuple[str, str, str]) -> Ends:
    low, best, high = _two(told, *keys)
    return low, best, high


def _less(limit: int, used: int | None) -> int | None:
    return None if used is None else limit - used


def _times(per_unit: int | None, made: int | None) -> int | None:
    return None if per_unit is None or made is None else max(0, per_unit) * max(0, made) // SCALE


def makes(rows: Iterable[Row], rest: Span) -> dict[str, Ends]:
    """By line the output that the rest of a quota (tce) still makes, if all of it went there, at the energy a unit of output of the year."""
    found: dict[str, Ends] = {}
    for line, year in _years(rows).items():
        told = cast("Mapping[str, Json]", year["figures"]).get("intensity", {})
        low, best, high = _ends(told, ("low", "best", "high"))
        found[line] = (_by(rest.low, high), _by(rest.best, best), _by(rest.high, low))
    return found


def _by(rest: int | None, kgce: int | None) -> int | None:
    return None if rest is None or not kgce or kgce < 0 else rest * _KGCE_PER_TCE * SCALE // kgce


def rooms_shown(rows: Sequence[Row], rest: Span | None) -> dict[str, object]:
    """As text: the limits, and what the rest of the quota makes."""
    return {
        "product_limits": [
            {
                "line": one.line,
                "limit": one.limit,
                "unit_of_measure": one.unit_of_measure,
                "per_unit": _texts(one.per_unit),
                "at_this_output": _texts(one.at_this_output),
                "notes": list(one.notes),
                "left_of_limit": as_text(one.left),
            }
            for one in rooms(rows)
        ],
        "quota_still_makes": {}
        if rest is None
        else {line: _texts(ends) for line, ends in makes(rows, rest).items()},
    }


def _texts(ends: Ends) -> dict[str, str | None]:
    return dict(zip(("low", "best", "high"), map(as_text, ends), strict=True))
