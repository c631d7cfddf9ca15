"""Which paths of the engine the cases of the laws reached: a law that never gets there says nothing."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from oracle_claims import allowed
from processors.claims import Arrival, Identity
from processors.memory import MemoryStore
from processors.ports import ACCOUNT_CLASSES, Claim
from schemas.calendar import QUARTER_MS, window_end, window_start
from schemas.registry import STATEMENTS, Point, Unit
from tests.processors.laws_shell import Shell
from tests.processors.worlds import dial

LEAST_CASES = 500
LEAST_SHARE = 0.1


def was_late(shell: Shell) -> bool:
    """Claims were asked for and came."""
    return shell.fetched_late


def had_to_wait(shell: Shell) -> bool:
    """Claims were asked for of a unit whose step was still in flight."""
    return shell.in_flight


def repeats(shell: Shell) -> bool:
    """A reading came again."""
    number = ACCOUNT_CLASSES.index("repeated")
    return any(counts[number] for counts in shell.store.account.values())


def revises(shell: Shell) -> bool:
    """Of one identity there are two claims of different rank, revision or time of sending."""
    return any(
        len({(claim.rank, claim.revision, claim.sent_at) for claim in claims}) > 1
        for claims in valued(shell)
    )


def valued(shell: Shell) -> Iterator[list[Claim]]:
    """Kept claims with a value, by identity."""
    for by_instant in shell.store.claims.values():
        for claims in by_instant.values():
            yield [claim for claim in claims if not claim.withdrawn and not claim.rejected]


def withdraws(shell: Shell) -> bool:
    """A claim was withdrawn."""
    return any(
        withdrawal.withdrawn
        and any(
            claim.rank == withdrawal.rank and not claim.withdrawn and not claim.rejected
            for claim in claims
        )
        for by_instant in shell.store.claims.values()
        for claims in by_instant.values()
        for withdrawal in claims
    )


def rolls_over(shell: Shell) -> bool:
    """Of two neighbouring registers the later is less, and could be."""
    return any(
        later < earlier and possible(point, (start, end), (earlier, later))
        for point, (start, earlier), (end, later) in neighbours(shell)
    )


def has_an_event(shell: Shell) -> bool:
    """Between two neighbouring registers nothing is possible."""
    return any(
        not possible(point, (start, end), (earlier, later))
        for point, (start, earlier), (end, later) in neighbours(shell)
    )


def possible(point: Point, times: tuple[int, int], registers: tuple[int, int]) -> bool:
    """Whether the dial can have turned that far."""
    turned = (registers[1] - registers[0]) % dial(point) * point.multiplier
    return turned <= allowed(point.rated, *times)


def neighbours(shell: Shell) -> Iterator[tuple[Point, tuple[int, int], tuple[int, int]]]:
    """Neighbouring winners of register points: (instant, register) twice."""
    units = {unit.code: unit for unit in shell.world.units}
    for (code, number, statement), by_instant in shell.store.claims.items():
        point = units[code].points[number]
        if STATEMENTS[statement] == "register" == point.statement:
            found = ((at, winner(claims)) for at, claims in sorted(by_instant.items()))
            for a, b in pairwise((at, value) for at, value in found if value is not None):
                yield point, a, b


def winner(claims: list[Claim]) -> int | None:
    """Value of the winner of one identity."""
    identity = Identity()
    for c in claims:
        arrival = Arrival(
            c.at, c.rank, c.revision, c.sent_at, c.value, withdrawn=c.withdrawn, too_fast=c.rejected
        )
        identity.take(arrival)
    return identity.winner()


def is_off_grid(shell: Shell) -> bool:
    """A primary statement speaks of an instant off the quarter hour."""
    return any(at % QUARTER_MS for _, _, at in primary(shell.store, shell.world.units))


def primary(store: MemoryStore, units: list[Unit]) -> Iterator[tuple[Unit, Point, int]]:
    """Unit, point and instant of every identity of a primary statement."""
    by_code = {unit.code: unit for unit in units}
    for (code, number, statement), by_instant in store.claims.items():
        point = by_code[code].points[number]
        if STATEMENTS[statement] == point.statement:
            for at in by_instant:
                yield by_code[code], point, at


def has_several_cadences(shell: Shell) -> bool:
    """Points of one unit have spoken in several cadences."""
    spoken = {(u.code, p.cadence_ms) for u, p, _ in primary(shell.store, shell.world.units)}
    return any(count > 1 for count in Counter(code for code, _ in spoken).values())


def crosses_an_edge(shell: Shell) -> bool:
    """A gap that hours alone cannot bound lies over the edge of a day."""
    return any(
        gap.end > window_end("day", window_start("day", gap.start))
        for gaps in shell.store.gaps.values()
        for gap in gaps.values()
        if gap.kind == "known"
    )


def is_bounded(shell: Shell) -> bool:
    """A total bounds what is unknown of its span."""
    return any(gap.parts for gaps in shell.store.gaps.values() for gap in gaps.values())


def is_restated(shell: Shell) -> bool:
    """A unit was worked out again under another entry, or converted by other factors."""
    causes = (b'"cause":"restatement"', b'"cause":"factor"')
    return any(cause in row.payload for row in shell.store.outbox for cause in causes)


def waited(shell: Shell) -> bool:
    """A unit was told of while it waited to be restated."""
    return any(b'"pending":' in row.payload for row in shell.store.outbox)


def tells_lines(shell: Shell) -> bool:
    """A product line was told of, with an intensity that has both ends."""
    return any(
        b'"kind":"line"' in row.payload and has_intensity(row.payload) for row in shell.store.outbox
    )


def has_intensity(payload: bytes) -> bool:
    """Whether one of a line's windows has an intensity with both ends."""
    found = (window["figures"]["intensity"] for window in json.loads(payload)["windows"])
    return any(one["low"] is not None and one["high"] is not None for one in found)


def is_held_to_limits(shell: Shell) -> bool:
    """A product line kept or broke a limit."""
    said = (b'"verdict":"PASS","reason":null,"since":null,"suspected":false,"entries"',)
    broke = b'"verdict":"FAIL","reason":null,"since":'
    lines = [row.payload for row in shell.store.outbox if b'"kind":"line"' in row.payload]
    return any(one in payload for payload in lines for one in (*said, broke))


def breaks_a_budget(shell: Shell) -> bool:
    """CO2 of a year was above the unit's budget."""
    windows = (window.judged for window in shell.store.windows.values() if window.kind == "year")
    return any((json.loads(one).get("budget") or {}).get("verdict") == "FAIL" for one in windows)


def gives_away(shell: Shell) -> bool:
    """A point that was heard is given away by its unit."""
    points = primary(shell.store, shell.world.units)
    return any(point.sign < 0 for _, point, _ in points)


PATHS: dict[str, Callable[[Shell], bool]] = {
    "late fetch": was_late,
    "repeat": repeats,
    "revision": revises,
    "withdrawal": withdraws,
    "rollover": rolls_over,
    "event": has_an_event,
    "off grid": is_off_grid,
    "several cadences": has_several_cadences,
    "gap over a window's edge": crosses_an_edge,
    "late against a step in flight": had_to_wait,
    "bounded by a total": is_bounded,
    "restated": is_restated,
    "waits": waited,
    "product line": tells_lines,
    "product limit": is_held_to_limits,
    "given away": gives_away,
    "budget": breaks_a_budget,
}


@dataclass
class Reached:
    """How many cases there were, and how many reached each path."""

    cases: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, shell: Shell) -> None:
        """Count a case after its run."""
        self.cases += 1
        self.counts.update(name for name, reaches in PATHS.items() if reaches(shell))

    def rare(self) -> list[str]:
        """Paths that fewer than a tenth of many cases reached."""
        if self.cases < LEAST_CASES:
            return []
        least = LEAST_SHARE * self.cases
        return [
            f"{name}: {self.counts[name]} of {self.cases}"
            for name in PATHS
            if self.counts[name] < least
        ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts (this is a plugin)."""
        if not self.cases:
            return
        terminalreporter.section(f"paths of the engine, reached by {self.cases} cases of laws")
        for name in PATHS:
            share = self.counts[name] / self.cases
            terminalreporter.write_line(f"{name:30} {self.counts[name]:6}  {share:6.1%}")
