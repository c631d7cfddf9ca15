"""What a prepared step has decided and the database does not show yet, laid over what the database answers.

Whether the database shows the step already makes no difference: its rows are laid over their own selves.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from processors.ports import (
    Claim,
    Fetched,
    Gap,
    GapSpan,
    Hour,
    HourSpan,
    Needs,
    ReadingRow,
    Span,
    Step,
)
from processors.validation import REASONS, TOO_FAST
from schemas.section import DECLARED, WITHDRAWN


class Unwritten:
    """The rows of a step by unit, as they will be found once it is written."""

    def __init__(self, step: Step) -> None:
        """Look through the step once."""
        self._records: dict[str, list[ReadingRow]] = defaultdict(list)
        self._hours: dict[str, dict[tuple[int, str], int]] = defaultdict(dict)
        self._gaps: dict[str, dict[tuple[int, int], Gap | None]] = defaultdict(dict)
        self._numbers = step.hour_numbers
        for row in step.readings:
            self._records[row.unit].append(row)
        for row in step.rejections:
            if row.reason == REASONS[TOO_FAST]:
                self._records[row.unit].append(row)
        for place, (unit, quantity, hour) in enumerate(step.hours):
            self._hours[unit][hour, quantity] = place
        for gap in step.gaps_ended:
            self._gaps[gap.unit][gap.point, gap.start] = None
        for gap in step.gaps:
            self._gaps[gap.unit][gap.point, gap.start] = gap

    def concerns(self, needs: Needs) -> bool:
        """Whether some of what is asked for is among its rows."""
        return (
            any(span.unit in self._records for span in needs.claims)
            or any(span.unit in self._hours for span in needs.hours)
            or any(span.unit in self._gaps for span in needs.gaps)
        )

    def over(self, fetched: Fetched, needs: Needs) -> Fetched:
        """The answer once the step is written. A claim may stand in it twice, which says nothing new."""
        claims = [claim for span in needs.claims for claim in self._claims(span)]
        hours = {row[:3]: row for row in fetched.hours}
        hours |= {row[:3]: row for span in needs.hours for row in self._hours_in(span)}
        gaps = [
            gap
            for gap in fetched.gaps
            if gap.unit not in self._gaps or (gap.point, gap.start) not in self._gaps[gap.unit]
        ]
        new = dict.fromkeys(gap for span in needs.gaps for gap in self._gaps_in(span))
        return Fetched(
            claims=(*fetched.claims, *claims),
            hours=tuple(hours.values()),
            gaps=(*gaps, *new),
            rebuilt=fetched.rebuilt,
        )

    def _claims(self, span: Span) -> Iterator[Claim]:
        for row in self._records.get(span.unit, ()):
            if row.statement != span.statement or not (
                row.first_at < span.to_at and row.last_at >= span.from_at
            ):
                continue
            some = np.flatnonzero(
                (row.point == span.point) & (row.at >= span.from_at) & (row.at < span.to_at)
            )
            sent = np.broadcast_to(row.sent_at, len(row.at))[some].tolist()
            for at, value, sent_at in zip(
                row.at[some].tolist(), row.value[some].tolist(), sent, strict=True
            ):
                yield Claim(
                    *span[:3],
                    at,
                    row.rank,
                    row.revision,
                    sent_at,
                    value,
                    bool(row.flags & WITHDRAWN),
                    bool(row.reason),
                    bool(row.flags & DECLARED),
                )

    def _hours_in(self, span: HourSpan) -> Iterator[Hour]:
        for (hour, quantity), place in self._hours.get(span.unit, {}).items():
            if span.from_hour <= hour < span.to_hour:
                yield Hour(span.unit, quantity, hour, tuple(self._numbers[place].tolist()))

    def _gaps_in(self, span: GapSpan) -> Iterator[Gap]:
        for gap in self._gaps.get(span.unit, {}).values():
            if (
                gap is not None
                and span.point in {-1, gap.point}
                and gap.start <= span.to_at
                and gap.end >= span.from_at
            ):
                yield gap
