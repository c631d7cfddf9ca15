"""The alerts' tables, on a real server: one transaction a batch, once, by the owner alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from alerts.__main__ import main
from alerts.batch import Batch, Record, batch_of
from alerts.state import Partition, advance
from alerts.store import (
    Due,
    FencedError,
    LostError,
    MissingTablesError,
    Outlet,
    Owned,
    StoppedError,
    Store,
)
from schemas.alert import Alert
from schemas.indicator import Indicator, Message, Told
from schemas.rule import Rule, Rules
from tests.alerts.logs import LOGS, OTHER, START, UNIT, Log, indicator, tick
from tests.alerts.real import empty_tables, end_backends

BREACH = Rule(name="breach", kind="confirmed breach", severity="critical")
OUTLETS = (Outlet("alertmanager", repeats=True), Outlet("webhook", repeats=False))
FOREVER = 3_600.0


@pytest.fixture(scope="module")
def tables(shared_database: str) -> str:
    return shared_database


@pytest.fixture
def url(tables: str) -> str:
    empty_tables(tables)
    return tables


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url, outlets=OUTLETS)
    yield opened
    opened.close()


class Writer:
    """A worker without Kafka: offsets count what it is given."""

    def __init__(self, store: Store, rules: Rules = (BREACH,), partition: int = 0) -> None:
        self.store, self.rules, self.partition = store, rules, partition
        self.owned = store.take({partition: 0})[partition]

    def batch(self, *messages: Message) -> Batch:
        records = [
            Record(offset, message.model_dump_json().encode())
            for offset, message in enumerate(messages, start=self.owned.next_offset)
        ]
        return batch_of(self.partition, records, self.owned.state, self.rules)

    def hear(self, *messages: Message) -> None:
        batch = self.batch(*messages)
        self.store.write_surely(batch, self.owned.epoch)
        self.owned = Owned(self.owned.epoch, batch.following, batch.after)

    def due(self, channel: str = "webhook") -> list[Due]:
        return self.store.due(channel, {self.partition: self.owned.epoch}, 100)

    def states_due(self, channel: str = "webhook") -> list[str]:
        return [one.notice.state for one in self.due(channel)]


def rows(url: str, query: str, *key: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as link:
        return link.execute(query.encode(), key).fetchall()


def transitions_in(url: str) -> list[object]:
    return [row[0] for row in rows(url, "SELECT id FROM alert_transition ORDER BY seq")]


# ---- State out and in


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(log=LOGS)
def test_a_restart_goes_on_where_the_database_says(url: str, log: Log) -> None:
    """Each batch by another worker that knows only the tables: the transitions of one run."""
    empty_tables(url)
    whole = advance(Partition(), log.messages, log.rules)
    store = Store(url)
    for first in range(0, len(log.messages), 3):
        Writer(store, log.rules).hear(*log.messages[first : first + 3])
    after = store.take({0: 0})[0]
    store.close()
    assert transitions_in(url) == [transition.id for transition in whole.transitions]
    assert after.state == whole.after
    assert after.next_offset == len(log.messages)


def test_a_transition_is_stored_with_its_evidence(store: Store, url: str) -> None:
    """Its columns are those of its contract; the views show them with dates."""
    Writer(store).hear(indicator(0, START, "x"))
    ((state, cause, at, since, history, figures, words),) = rows(
        url,
        "SELECT state, cause, at, since, history, body #> '{evidence,judged,figures,energy}',"
        " body #>> '{annotations,summary}' FROM alert_transition",
    )
    assert (state, cause, at, history) == ("firing", "reading", START, False)
    assert since == START - 900_000
    assert isinstance(figures, dict)
    assert figures["low"] == 1_000_000_010
    assert isinstance(words, str)
    assert "is above its quota" in words
    ((shown,),) = rows(url, "SELECT since::text FROM alert_now")
    assert str(shown).startswith("2026-02-11 07:45:00")
    assert len(rows(url, "SELECT * FROM alert_log")) == 1
    rows(
        url,
        """UPDATE alert_state SET body = body || '{"stopped_until": 1767225600000}' RETURNING 1""",
    )
    ((held,),) = rows(url, "SELECT stopped_until::text FROM alert_standing")
    assert str(held).startswith("2026-01-01 00:00:00")


def test_what_cannot_be_read_is_kept_and_stops_nobody(store: Store, url: str) -> None:
    """Nonsense, a tombstone, a NUL, another partition's: whole, with the reason, at their offset."""
    good = indicator(9, START, "x").model_dump_json().encode()
    bad: list[bytes | None] = [
        b"\xff\x00nonsense",
        None,
        good.replace(b'"p', b'"\\u0000p').replace(b'"unit":"9', b'"unit":"\\u00009'),
        good.replace(b'"partition":0', b'"partition":5'),
        good.replace(str(START).encode(), b"9" * 30),
    ]
    records = [Record(offset, payload) for offset, payload in enumerate([*bad, good])]
    owned = store.take({0: 0})[0]
    store.write_surely(batch_of(0, records, owned.state, (BREACH,)), owned.epoch)
    kept = rows(url, 'SELECT "offset", payload, reason FROM alert_refused ORDER BY 1')
    assert [row[:2] for row in kept] == list(enumerate(bad))
    assert all(row[2] for row in kept)
    assert len(transitions_in(url)) == 1


def test_the_migrations_make_the_tables(database: str) -> None:
    """As `python -m processors migrate up` does, with all others."""
    store = Store(database)
    assert store.alerts() == []
    Writer(store).hear(indicator(0, START, "x"))
    assert len(store.alerts()) == 1
    store.close()


def test_without_tables_it_says_what_to_do(empty_database: str) -> None:
    store = Store(empty_database)
    with pytest.raises(MissingTablesError, match="processors migrate up"):
        store.take({0: 0})
    store.close()


# ---- Fences


def test_an_older_epoch_writes_no_more(store: Store, url: str) -> None:
    """A worker that was thought dead finds that the partition is another's, and writes nothing."""
    old = Writer(store)
    old.hear(indicator(0, START, "."))
    new = Writer(store)
    with pytest.raises(LostError):
        old.hear(indicator(1, START + 1, "x"))
    assert transitions_in(url) == []
    new.hear(indicator(1, START + 1, "x"))
    assert len(transitions_in(url)) == 1


def test_an_older_epoch_sends_no_more(store: Store) -> None:
    old = Writer(store)
    old.hear(indicator(0, START, "x"))
    assert len(old.due()) == 1
    new = Writer(store)
    assert old.due() == []
    assert len(new.due()) == 1


def test_a_batch_from_elsewhere_in_the_log_is_refused(store: Store, url: str) -> None:
    """A hole, or a step back: nobody writes over it, and nobody takes it for written."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "."), indicator(1, START + 1, "."))
    for first in (1, 3):
        writer.owned = Owned(writer.owned.epoch, first, writer.owned.state)
        with pytest.raises(FencedError):
            writer.hear(indicator(2, START + 2, "x"), indicator(3, START + 3, "x"))
    assert transitions_in(url) == []


def test_a_written_batch_is_not_written_again(store: Store, url: str) -> None:
    """As after a restart between commit and acknowledgement, when the same records come again."""
    writer = Writer(store)
    batch = writer.batch(indicator(0, START, "x"))
    store.write_surely(batch, writer.owned.epoch)
    store.write_surely(batch, writer.owned.epoch)
    assert len(transitions_in(url)) == 1
    assert len(rows(url, "SELECT * FROM alert_delivery")) == 2


def killed(url: str, kills: list[str], point: str) -> Callable[[str], None]:
    """At the point, the first time, the server ends the writer's backend."""

    def at_point(reached: str) -> None:
        if reached == point and not kills:
            kills.append(point)
            end_backends(url)

    return at_point


@pytest.mark.parametrize("point", ["before commit", "after commit", "during load"])
def test_a_lost_connection_neither_loses_nor_doubles(url: str, point: str) -> None:
    """Whatever became of the transaction: the row tells, and the batch is in it once."""
    kills: list[str] = []
    store = Store(url, outlets=OUTLETS, at_point=killed(url, kills, point))
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"))
    writer.hear(indicator(1, START + 1, ".", cause="late reading"))
    store.close()
    assert kills == [point]
    states = [row[0] for row in rows(url, "SELECT state FROM alert_transition ORDER BY seq")]
    assert states == ["firing", "retracted"]
    assert rows(url, "SELECT next_offset FROM alert_partition") == [(2,)]


def test_a_commit_whose_answer_is_lost_is_found(url: str) -> None:
    """The batch is in, the worker heard an error: it reads the row, and does not write again."""

    class Deaf(Store):
        """Its first commit is answered by an error."""

        deaf = True

        def write(self, batch: Batch, epoch: int) -> None:
            super().write(batch, epoch)
            if self.deaf:
                self.deaf = False
                message = "the connection was lost"
                raise psycopg.OperationalError(message)

    store = Deaf(url, outlets=OUTLETS)
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"))
    writer.hear(indicator(1, START + 1, "."))
    store.close()
    assert len(transitions_in(url)) == 2


def test_a_frozen_owner_is_ended(url: str) -> None:
    """One stopped inside its transaction holds the row; its successor ends that backend."""
    inside, thaw = threading.Event(), threading.Event()

    def freeze(point: str) -> None:
        if point == "before commit":
            inside.set()
            thaw.wait(30)

    frozen_store = Store(url, at_point=freeze)
    frozen = Writer(frozen_store)
    outcome: list[BaseException] = []

    def write() -> None:
        try:
            frozen.hear(indicator(0, START, "x"))
        except LostError as error:
            outcome.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(10)
    began = monotonic()
    store = Store(url)
    successor = Writer(store)
    took = monotonic() - began
    assert 2 <= took < 8
    successor.hear(indicator(0, START, "x"))
    thaw.set()
    thread.join(20)
    store.close()
    frozen_store.close()
    assert [type(one) for one in outcome] == [LostError]
    assert len(transitions_in(url)) == 1


def test_it_waits_for_a_database_that_is_away(store: Store, url: str) -> None:
    """In place, saying so, losing nothing; and `close` ends the wait."""
    name = url.rsplit("/", 1)[1]
    server = url.replace(f"/{name}", "/postgres")
    waits: list[str] = []
    seen = threading.Event()

    def hear_of_it(reason: str) -> None:
        waits.append(reason)
        seen.set()

    store.waits = hear_of_it
    writer = Writer(store)
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        end = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        link.execute(end, (name,))
        thread = threading.Thread(target=writer.hear, args=(indicator(0, START, "x"),))
        thread.start()
        assert seen.wait(20)
        link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        thread.join(20)
    assert len(transitions_in(url)) == 1
    assert waits


def test_closing_ends_a_wait() -> None:
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    store.waits = lambda _: store._stopped.set()  # noqa: SLF001 - as `close` from another thread
    with pytest.raises(StoppedError):
        store.take({0: 0})


# ---- The outbox


def test_an_end_waits_for_its_firing(store: Store) -> None:
    """First the firing until it is delivered, then its end; each channel for itself."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"), indicator(1, START + 1, "."))
    assert writer.states_due("webhook") == ["firing"]
    (firing,) = writer.due("webhook")
    assert firing.fired_at == START
    store.record_retry(firing, reason="away", seconds=FOREVER)
    assert writer.due("webhook") == []
    assert writer.states_due("alertmanager") == ["firing"]
    store.record_retry(firing, reason="away", seconds=0)
    assert [one.attempts for one in writer.due("webhook")] == [2]
    store.record_delivered(firing, repeat_seconds=0)
    (end,) = writer.due("webhook")
    assert (end.notice.state, end.fired_at) == ("resolved", START)
    store.record_delivered(end, repeat_seconds=0)
    assert writer.due("webhook") == []
    assert store.waiting("webhook").number == 0
    assert store.waiting("alertmanager").number == 2


def test_who_refuses_a_firing_is_not_told_its_end(store: Store) -> None:
    """Whether the end was there already or comes later; what fires anew is told again."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"), indicator(1, START + 1, "."))
    (firing,) = writer.due()
    store.record_refused(firing, reason="400")
    assert writer.due() == []
    assert store.waiting("webhook").number == 0
    writer.hear(indicator(2, START + 2, "x"))
    (again,) = writer.due()
    store.record_refused(again, reason="400")
    writer.hear(indicator(3, START + 3, "."), indicator(4, START + 4, "x"))
    assert writer.states_due() == ["firing"]


def test_what_fires_is_repeated_until_it_ends(store: Store) -> None:
    """On channels that need it; from the end's commit on, even if the firing is being sent."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"))
    for channel in ("alertmanager", "webhook"):
        (firing,) = writer.due(channel)
        assert not firing.again
        store.record_delivered(firing, repeat_seconds=0)
    assert writer.due("webhook") == []
    (repeated,) = writer.due("alertmanager")
    assert repeated.again
    writer.hear(indicator(1, START + 1, "."))
    store.record_delivered(repeated, repeat_seconds=0)
    assert writer.states_due("alertmanager") == ["resolved"]
    (end,) = writer.due("alertmanager")
    store.record_delivered(end, repeat_seconds=0)
    assert writer.due("alertmanager") == []


def test_what_has_ended_is_due_no_more(store: Store) -> None:
    """A repetition that was due when the end was committed is not sent after it."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"))
    (firing,) = writer.due("alertmanager")
    store.record_delivered(firing, repeat_seconds=0)
    writer.hear(indicator(1, START + 1, "."))
    assert writer.states_due("alertmanager") == ["resolved"]


def test_a_firing_sent_while_it_ends_is_not_repeated(store: Store) -> None:
    """It was being sent for the first time when its end was committed."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x"))
    (sending,) = writer.due("alertmanager")
    writer.hear(indicator(1, START + 1, "."))
    store.record_delivered(sending, repeat_seconds=0)
    assert writer.states_due("alertmanager") == ["resolved"]


def test_history_is_stored_and_not_sent(store: Store, url: str) -> None:
    """Nor is its end, though the unit is live by then: nobody heard of the firing."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x", history=True), indicator(1, START + 1, ".", history=True))
    writer.hear(indicator(2, START, "x", unit=OTHER, history=True))
    writer.hear(indicator(3, START + 1, ".", unit=OTHER, history=False))
    assert len(transitions_in(url)) == 4
    assert rows(url, "SELECT * FROM alert_delivery") == []


def test_what_fires_when_history_ends_is_sent(store: Store) -> None:
    """Then for the first time, and its end as well."""
    writer = Writer(store)
    writer.hear(indicator(0, START, "x", history=True))
    assert writer.due() == []
    writer.hear(indicator(1, START + 1, "x"))
    (firing,) = writer.due()
    assert (firing.notice.cause, firing.fired_at) == ("history ends", START)
    store.record_delivered(firing, repeat_seconds=0)
    writer.hear(indicator(2, START + 2, ".", cause="late reading"))
    assert writer.states_due() == ["retracted"]


def test_history_is_sent_on_request_once(url: str) -> None:
    """With --notify-history its firing is told, and not again when the history ends."""
    store = Store(url, outlets=OUTLETS, notify_history=True)
    writer = Writer(store)
    writer.hear(indicator(0, START, "x", history=True), indicator(1, START + 1, "x"))
    (firing,) = writer.due()
    assert firing.notice.history
    store.record_delivered(firing, repeat_seconds=0)
    assert writer.due() == []
    writer.hear(indicator(2, START + 2, "."))
    assert writer.states_due() == ["resolved"]
    store.close()


def test_units_do_not_wait_for_each_other(store: Store) -> None:
    """One alert that is not taken holds up its own end only."""
    writer = Writer(store)
    messages: Sequence[Indicator | Told] = [
        indicator(0, START, "x"),
        indicator(0, START, "x", unit=OTHER),
        tick(0, START),
        indicator(1, START + 1, "."),
        indicator(1, START + 1, ".", unit=OTHER),
    ]
    writer.hear(*messages)
    first, second = writer.due()
    assert [first.notice.unit, second.notice.unit] == [UNIT, OTHER]
    store.record_retry(first, reason="500", seconds=FOREVER)
    store.record_delivered(second, repeat_seconds=0)
    ((end,),) = ([one] for one in writer.due())
    assert (end.notice.unit, end.notice.state) == (OTHER, "resolved")


def test_only_the_channels_that_were_told_are_told_the_end(url: str) -> None:
    """A webhook that is added later hears nothing of the end of what it never heard of."""
    before = Store(url, outlets=OUTLETS[:1])
    Writer(before).hear(indicator(0, START, "x"))
    before.close()
    store = Store(url, outlets=OUTLETS)
    writer = Writer(store)
    writer.hear(indicator(1, START + 1, "."))
    assert writer.due("webhook") == []
    (firing,) = writer.due("alertmanager")
    store.record_delivered(firing, repeat_seconds=0)
    assert writer.states_due("alertmanager") == ["resolved"]
    store.close()


def test_the_alerts_now(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What `python -m alerts list` shows."""
    writer = Writer(store, (BREACH, BREACH.model_copy(update={"name": "later", "hold": "PT1H"})))
    writer.hear(indicator(0, START, "x"))
    assert [(a.key.rule, a.state) for a in store.alerts()] == [
        ("breach", "firing"),
        ("later", "pending"),
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WEIR_DATABASE_URL", url)
        assert main(["list"]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert main(["list", "--json"]) == 0
        listed = [Alert.model_validate_json(line) for line in capsys.readouterr().out.splitlines()]
    since = "confirmed breach since 2026-02-11T15:45:00+08:00"
    assert first == f"firing  critical {UNIT} breach: {since}"
    assert second == f"pending critical {UNIT} later: {since}"
    assert listed == store.alerts()
    writer.hear(indicator(1, START + 1, "."))
    assert store.alerts() == []
