"""Winners to pieces: what neighbouring registers, or a period's amount, say about the time between.

Rules: schemas/RULES.md, section 3. In columns for readings that come in order, one by one for the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from processors.amounts import allowed
from processors.ports import Gap, Ints
from processors.state import State
from processors.windows import KNOWN, LIFT, UNKNOWN, Mask, Pieces, is_gap
from schemas.calendar import HOUR_MS, Instants, window_ends
from schemas.registry import STATEMENTS
from schemas.section import NEVER

Piece = tuple[int, int, int, int, int, int, int]
"""(point, start, end, kind, low, high, until)."""

_MONTH = STATEMENTS.index("P1M")


def period_ends(statement: Ints, length: Ints, at: Instants) -> Ints:
    """Ends of periods that begin at `at`; a month ends with its calendar month."""
    ends = at + length
    months = statement == _MONTH
    if months.any():
        ends = ends.copy()
        ends[months] = window_ends("month", at[months])
    return ends


def register_amounts(
    state: State, point: Ints, between: tuple[Ints, Ints], registers: tuple[Ints, Ints]
) -> tuple[Ints, Ints, Mask]:
    """D of register segments: (low, high, whether no value is allowed: an event)."""
    (start, end), (earlier, later) = between, registers
    multiplier, dial = state.multiplier[point], state.dial[point]
    difference = (later - earlier) % dial * multiplier
    most = allowed(state.rated[point], start, end)
    event = difference > most
    turns = np.where(event, 0, (most - difference) // (dial * multiplier))
    high = difference + turns * dial * multiplier
    return difference, high, event


@dataclass(frozen=True, slots=True)
class Ordered:
    """Readings that continue their series: sorted by series and instant, all later than what was known."""

    series: Ints
    at: Ints
    value: Ints

    def of(self, mask: Mask) -> "Ordered":
        """Those of some of the series."""
        return Ordered(self.series[mask], self.at[mask], self.value[mask])


def continued(state: State, new: Ordered) -> tuple[Pieces, list[Gap]]:
    """Pieces and gaps that these readings of primary series add; moves the series' heads and the points' ends."""
    point = state.s_point[new.series]
    first = np.concatenate([[True], new.series[1:] != new.series[:-1]])
    registers = state.is_register[point]
    parts: list[Pieces] = []
    gaps: list[Gap] = []
    for mask, pieces_of in ((registers, _continued_registers), (~registers, _continued_periods)):
        if mask.any():
            part, found = pieces_of(state, new.of(mask), point[mask], first[mask])
            parts.append(part)
            gaps.extend(found)
    _move_heads(state, new, point, registers)
    return _joined(parts), gaps


def _joined(parts: list[Pieces]) -> Pieces:
    if len(parts) == 1:
        return parts[0]
    names = ("point", "start", "end", "kind", "low", "high", "until")
    return Pieces(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _rows(part: Pieces, mask: Mask) -> list[Piece]:
    names = ("point", "start", "end", "kind", "low", "high", "until")
    columns = [getattr(part, name)[mask].tolist() for name in names]
    return list(zip(*columns, strict=True))


def _continued_registers(
    state: State, new: Ordered, point: Ints, first: Mask
) -> tuple[Pieces, list[Gap]]:
    """One piece a reading, from its predecessor or from the beginning of validity."""
    head_at = state.last_at[new.series]
    leading = first & (head_at == NEVER)
    start = np.where(first, np.where(leading, state.p_begins[point], head_at), np.roll(new.at, 1))
    earlier = np.where(first, state.last_value[new.series], np.roll(new.value, 1))
    low, high, event = register_amounts(state, point, (start, new.at), (earlier, new.value))
    unknown = event | leading
    kind = np.where(unknown, UNKNOWN, KNOWN)
    low, high = np.where(unknown, 0, low), np.where(unknown, 0, high)
    part = Pieces(point, start, new.at, kind, low, high, new.at)
    registers = (earlier, new.value, leading)
    if (leading & (start == new.at)).any():
        lasts = start < new.at
        part, registers = _where(part, lasts), (earlier[lasts], new.value[lasts], leading[lasts])
    return part, _register_gaps(state, part, registers)


def _where(part: Pieces, mask: Mask) -> Pieces:
    names = ("point", "start", "end", "kind", "low", "high", "until")
    return Pieces(*(getattr(part, name)[mask] for name in names))


def _register_gaps(state: State, part: Pieces, registers: tuple[Ints, Ints, Mask]) -> list[Gap]:
    """Gap rows of register pieces: long or ambiguous ones, the leading one, events."""
    some = is_gap(state, part) | (part.kind == UNKNOWN)
    if not some.any():
        return []
    columns = (column[some].tolist() for column in registers)
    return [
        register_gap(state, row, None if leads else earlier, later)
        for row, earlier, later, leads in zip(_rows(part, some), *columns, strict=True)
    ]


def register_gap(state: State, piece: Piece, earlier: int | None, later: int) -> Gap:
    """The gap row of a register piece."""
    p, start, end, kind, low, high, _ = piece
    name = "known" if kind == KNOWN else "leading" if earlier is None else "event"
    unit = state.units[int(state.p_unit[p])].code
    return Gap(unit, int(state.p_number[p]), start, end, name, low, high, earlier, later)


def long_gap(state: State, piece: Piece) -> Gap:
    """The gap row of a period longer than an hour."""
    p, start, end, _, low, high, _ = piece
    unit = state.units[int(state.p_unit[p])].code
    return Gap(unit, int(state.p_number[p]), start, end, "known", low, high, None, None)


def _continued_periods(
    state: State, new: Ordered, point: Ints, first: Mask
) -> tuple[Pieces, list[Gap]]:
    """A known piece a reading, and an unknown one before it where time is missing."""
    end = period_ends(state.statement[point], state.length[point], new.at)
    before = np.where(first, state.end[point], np.roll(end, 1))
    zero = np.zeros(len(point), np.int64)
    known = Pieces(point, new.at, end, zero + KNOWN, new.value, new.value, end)
    gaps = [long_gap(state, row) for row in _rows(known, is_gap(state, known))]
    hole = before < new.at
    if not hole.any():
        return known, gaps
    p, before, at, zero = point[hole], before[hole], new.at[hole], zero[hole]
    return _joined([known, Pieces(p, before, at, zero + UNKNOWN, zero, zero, at)]), gaps


def _move_heads(state: State, new: Ordered, point: Ints, registers: Mask) -> None:
    last = np.concatenate([new.series[1:] != new.series[:-1], [True]])
    series, p, at = new.series[last], point[last], new.at[last]
    state.last_at[series], state.last_value[series] = at, new.value[last]
    state.ahead[series] = at + 1
    end = np.where(registers[last], at, period_ends(state.statement[p], state.length[p], at))
    state.end[p] = end


# One by one.


def register_chain(
    state: State, point: int, winners: Sequence[tuple[int, int]], *, leading: bool
) -> tuple[list[Piece], list[Gap]]:
    """Pieces and gaps between neighbouring winners (instant, register); with `leading`, also what lies before the first."""
    found: list[Piece] = []
    gaps: list[Gap] = []
    begins = int(state.p_begins[point])
    if leading and winners and begins < winners[0][0]:
        piece = (point, begins, winners[0][0], UNKNOWN, 0, 0, winners[0][0])
        found.append(piece)
        gaps.append(register_gap(state, piece, None, winners[0][1]))
    for (start, earlier), (end, later) in pairwise(winners):
        piece, has_gap = _between(state, point, (start, end), (earlier, later))
        found.append(piece)
        if has_gap:
            gaps.append(register_gap(state, piece, earlier, later))
    return found, gaps


def _between(
    state: State, point: int, times: tuple[int, int], registers: tuple[int, int]
) -> tuple[Piece, bool]:
    """The piece between two registers, and whether it is a gap."""
    (start, end), (earlier, later) = times, registers
    multiplier, dial = int(state.multiplier[point]), int(state.dial[point])
    low = (later - earlier) % dial * multiplier
    most = most_allowed(state, point, start, end)
    if low > most:
        return (point, start, end, UNKNOWN, 0, 0, end), True
    high = low + (most - low) // (dial * multiplier) * dial * multiplier
    gap = end - start > min(HOUR_MS, int(state.patience[point])) or low != high
    return (point, start, end, KNOWN, low, high, end), gap


def most_allowed(state: State, point: int, start: int, end: int) -> int:
    """allowed(start, end) of one point."""
    rated = int(state.rated[point])
    return rated * end // HOUR_MS - rated * start // HOUR_MS


def period_piece(point: int, start: int, end: int, value: int | None) -> Piece:
    """A period with its amount, or without one."""
    if value is None:
        return (point, start, end, UNKNOWN, 0, 0, end)
    return (point, start, end, KNOWN, value, value, end)


def period_lengths(state: State, point: int, starts: Iterable[int]) -> dict[int, int]:
    """Ends of a point's periods by their starts."""
    length = int(state.length[point])
    if length or state.is_register[point]:
        return {at: at + length for at in starts}
    at = np.array(sorted(starts), np.int64)
    points = np.full(len(at), point)
    ends = period_ends(state.statement[points], state.length[points], at)
    return dict(zip(at.tolist(), ends.tolist(), strict=True))


def timeline(
    point: int, winners: dict[int, int], ends: dict[int, int], between: tuple[int, int]
) -> list[Piece]:
    """Periods that begin in [from, to), and the holes before, between and after them."""
    at, to = between
    found: list[Piece] = []
    for start, value in sorted(winners.items()):
        if not at <= start < to:
            continue
        if at < start:
            found.append(period_piece(point, at, start, None))
        found.append(period_piece(point, start, ends[start], value))
        at = ends[start]
    if at < to:
        found.append(period_piece(point, at, to, None))
    return found


def lift_piece(state: State, point: int, times: tuple[int, int], claimed: int) -> Piece:
    """What a claim rejected as too fast adds to high while nothing covers its period."""
    start, end = times
    return (
        point,
        start,
        start + 1,
        LIFT,
        0,
        claimed - most_allowed(state, point, start, end),
        start + 1,
    )
