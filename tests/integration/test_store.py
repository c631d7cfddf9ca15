"""The store on the real server: what a step writes, and what is read back."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from processors.ports import (
    HOUR_FIELDS,
    Claim,
    Gap,
    GapSpan,
    Hour,
    HourSpan,
    Needs,
    OutboxRow,
    Span,
    UnitState,
)
from processors.store import FencedError, LostError, Memory, Ownership, Store
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS
from schemas.factors import default_pack
from schemas.section import NEVER
from tests.integration.steps import NOON, OTHER, UNIT, column, full_step, reading_row, step


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A store that owns partition 0."""
    opened = Store(database, engine="test")
    opened.take({0: 0})
    yield opened
    opened.close()


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database) as link:
        return link.execute(query.encode()).fetchall()


def test_taking_raises_the_epoch_and_keeps_the_position(database: str) -> None:
    """A successor goes on where the last write ended, whatever the group's offset says."""
    first, second = Store(database), Store(database)
    assert first.take({0: 7, 3: 0}) == {0: Ownership(1, 7), 3: Ownership(1, 0)}
    first.write(step(7, 9))
    assert second.take({0: 0}) == {0: Ownership(2, 9)}
    assert second.positions([0, 3, 5]) == {0: 9, 3: 0}
    first.close()
    second.close()


def test_a_step_is_read_back_as_it_was_written(store: Store, database: str) -> None:
    """All tables at once; int64, bytes and Chinese come back to the last bit."""
    written = full_step()
    store.write(written)
    assert sorted(store.load(0), key=lambda state: state.unit) == list(written.states)
    assert store.memory(0) == Memory(NOON, ((1, "apply configuration 1"),), {"mqtt": (2, 17)})
    assert store.unpublished([0], 10) == list(written.outbox)
    assert store.positions([0]) == {0: 3}
    assert rows(
        database, "SELECT partitions, firsts, nexts, readings, rejections, holes, engine FROM step"
    ) == [([0], [0], [3], 3, 2, 1, "test")]
    assert rows(database, "SELECT names, reason FROM rejection_record WHERE point = '{-1}'") == [
        (["水表"], "unknown point")
    ]
    assert rows(database, "SELECT unit, original, length FROM refused") == [(UNIT, b"\xff\0", 2)]
    assert rows(database, "SELECT judged->>'window' FROM unit_window") == [("day",)]
    assert rows(database, "SELECT count(*) FROM tick") == [(2,)]


def test_what_changed_is_replaced_and_the_account_is_added_to(store: Store, database: str) -> None:
    """Derived rows say what is true at the next offset; the account counts all that came."""
    configured(store)
    store.write(full_step())
    again = full_step(3, 5)
    gap = Gap(UNIT, 0, NOON, NOON + HOUR_MS, "event", 0, 5, 1, 6)
    store.write(replace(again, gaps=(gap,), gaps_ended=(again.gaps[1], gap)))
    assert rows(database, "SELECT accepted, unreadable FROM account ORDER BY unit") == [
        (2, 10),
        (2, 0),
    ]
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, -1, 0, NOON * 2),))).gaps == (gap,)
    assert rows(database, "SELECT kind::text, ends - starts FROM gap") == [("event", HOUR_MS)]
    assert rows(database, "SELECT count(*), max(best) FROM hour") == [(2, 7)]


def test_the_names_of_the_hours_columns_are_the_contracts(store: Store, database: str) -> None:
    """`ports.HOUR_FIELDS` in its order: the engine hands over a matrix."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'hour' ORDER BY ordinal_position"
    assert [name for (name,) in rows(database, query)] == ["unit", "hour", "quantity", *HOUR_FIELDS]
    assert store.edition() in {"apache", "timescale"}


def test_claims_are_fetched_by_point_statement_and_instant(store: Store) -> None:
    """Only what lies in a span: from ≤ instant < to; each claim once, however the spans overlap."""
    midnight = NOON - NOON % DAY_MS - OFFSET_MS
    late = reading_row(column(midnight - 1, midnight - 5), column(4, 3), point=(0, 1), offset=1)
    early = reading_row(
        column(midnight, midnight + 9), column(5, 6), offset=1, part=1, flags=1, rank=2
    )
    fast = reading_row(
        column(midnight), column(99), offset=1, reason="faster than rated", sent_at=NEVER
    )
    other = reading_row(column(midnight), column(98), offset=1, part=1, reason="negative")
    store.write(replace(step(), readings=(late, early), rejections=(fast, other)))
    spans = (
        Span(UNIT, 0, 0, midnight - 1, midnight + 1),
        Span(UNIT, 0, 0, midnight, midnight + 9),
        Span(UNIT, 0, 1, midnight, midnight + 9),
        Span(UNIT, 7, 0, midnight, midnight + 9),
        Span("0" * 18, 0, 0, midnight, midnight + 9),
    )
    assert set(store.fetch(Needs(claims=spans)).claims) == {
        Claim(UNIT, 0, 0, midnight - 1, 5, 0, 5, 4, False, False),  # noqa: FBT003 - as in the ports
        Claim(UNIT, 0, 0, midnight, 2, 0, 5, 5, True, False),  # noqa: FBT003
        Claim(UNIT, 0, 0, midnight, 5, 0, NEVER, 99, False, True),  # noqa: FBT003
    }
    assert len(store.fetch(Needs(claims=spans)).claims) == 3


def test_hours_and_gaps_are_fetched_by_span(store: Store) -> None:
    """Hours half open, each once; gaps that touch the span count."""
    written = full_step()
    configured(store)
    store.write(written)
    hour = NOON // HOUR_MS
    found = store.fetch(
        Needs(
            hours=(
                HourSpan(UNIT, hour, hour + 1),
                HourSpan(UNIT, hour - 5, hour + 5),
                HourSpan(OTHER, hour + 1, hour + 9),
            ),
            gaps=(
                GapSpan(UNIT, 0, NOON + DAY_MS, NOON + DAY_MS),
                GapSpan(UNIT, 1, NOON - 9, NOON - 1),
            ),
        )
    )
    assert found.hours == (
        Hour(UNIT, "electricity", hour, tuple(written.hour_numbers[0].tolist())),
    )
    assert found.gaps == (written.gaps[0],)


def test_of_many_gaps_only_those_at_the_span(store: Store) -> None:
    """A point's gaps lie side by side: the last one that begins before the span, and those in it."""
    gaps = tuple(
        Gap(UNIT, 2, start, start + 10, "known", 0, 0, 1, 1) for start in range(0, 100, 10)
    )
    configured(store)
    store.write(replace(step(), gaps=gaps))
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, 2, 35, 40),))).gaps == gaps[3:5]
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, 2, 30, 30),))).gaps == gaps[2:4]
    assert (
        store.fetch(Needs(gaps=(GapSpan(UNIT, -1, 95, 95), GapSpan(UNIT, 2, 99, 200)))).gaps
        == gaps[9:]
    )


def test_a_bounded_gap_lies_over_others(store: Store) -> None:
    """It is found wherever its hull is touched, and hides none of the gaps in it."""
    days = tuple(
        Gap(UNIT, 2, start, start + 10, "known", 0, 0, None, None) for start in (0, 10, 40)
    )
    bounded = Gap(UNIT, 2, 20, 60, "bounded", 7, 7, None, None, (20, 40, 50, 60), 9)
    configured(store)
    store.write(replace(step(), gaps=(*days, bounded)))
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, 2, 45, 45),))).gaps == (bounded, days[2])
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, -1, 55, 55),))).gaps == (bounded,)
    assert store.fetch(Needs(gaps=(GapSpan(UNIT, 2, 61, 99),))).gaps == ()


def configured(store: Store) -> None:
    """Three points for the unit: gaps are looked up by the registry's points."""
    from tests.integration.test_store_registry import configuration  # noqa: PLC0415

    store.save_configuration(configuration())


def test_a_step_that_does_not_continue_its_partition_is_refused_whole(
    store: Store, database: str
) -> None:
    """The fence: epoch and next offset, in the same transaction as everything else."""
    with pytest.raises(FencedError):
        store.write(full_step(1, 4))
    assert rows(database, "SELECT count(*) FROM reading_record") == [(0,)]
    successor = Store(database)
    successor.take({0: 0})
    with pytest.raises(FencedError):
        store.write(full_step())
    with pytest.raises(LostError) as lost:
        store.write_surely(full_step())
    assert lost.value.partitions == {0}
    successor.write_surely(full_step())
    assert successor.outcome(full_step()) == "happened"
    assert store.outcome(full_step()) == "lost"
    successor.close()


def test_one_lost_partition_stops_the_whole_step(store: Store, database: str) -> None:
    """A step is one transaction; what it holds of partitions still owned is prepared again."""
    store.take({1: 0})
    successor = Store(database)
    successor.take({1: 0})
    with pytest.raises(LostError) as lost:
        store.write_surely(replace(step(), positions={0: (0, 1), 1: (0, 1)}))
    assert lost.value.partitions == {1}
    store.write_surely(step())
    successor.close()


def test_the_outbox_is_published_in_order_and_never_goes_back(store: Store, database: str) -> None:
    """At least once, from the cursor; only by the owner."""
    store.write(full_step())
    store.write(full_step(3, 5))
    first, *rest = store.unpublished([0], 10)
    assert [row.offset for row in (first, *rest)] == [0, 0, 3, 3]
    assert store.unpublished([0], 1) == [first]
    store.advance_cursors({0: (first.offset, first.position, first.number)})
    assert store.unpublished([0], 10) == rest
    store.advance_cursors({0: (0, 0, 0)})
    store.advance_cursors({0: (-1, 9, 9)})
    assert store.unpublished([0], 10) == rest
    successor = Store(database)
    successor.take({0: 0})
    with pytest.raises(LostError):
        store.advance_cursors({0: (3, 0, 1)})
    assert successor.unpublished([0], 10) == rest
    successor.close()


def test_many_rows_a_unit_of_many_points_and_texts_of_any_length(store: Store) -> None:
    """4,000 points: the state goes out of line, and comes back whole."""
    state = UnitState(UNIT, 0, tuple(range(4000)), NEVER + 1, False, bytes(range(256)) * 1000)  # noqa: FBT003
    outbox = tuple(OutboxRow(0, 0, 0, number, UNIT, b"x" * number) for number in range(5000))
    store.write(replace(step(), states=(state,), outbox=outbox))
    assert store.load(0) == [state]
    assert store.unpublished([0], 6000) == list(outbox)


def test_factors_are_stored_once_and_come_back(store: Store) -> None:
    """Migrating loaded the shipped pack."""
    pack = default_pack()
    stored = store.factor_pack()
    assert stored is not None
    assert (stored.version, sorted(stored.entries, key=str)) == (
        pack.version,
        sorted(pack.entries, key=str),
    )
    assert not store.save_factors(pack)
