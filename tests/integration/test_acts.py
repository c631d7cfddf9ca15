"""What an operator does about the log: put a dead letter back, accept another offset."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from kafka import KafkaProducer

from deploy.local.parts import LocalParts
from ingest.topics_admin import create_topics
from processors import __main__ as processors
from processors import worker
from schemas import topics
from tests.integration.conftest import name_of
from tests.integration.test_worker_defects import (
    ACCOUNT,
    Choking,
    at_work,
    digest,
    hours,
    messages,
    rows,
)


@dataclass(frozen=True)
class Log:
    """A topic of one partition, and a database beside it."""

    kafka: str
    topic: str
    database: str

    def append(self, *values: bytes) -> None:
        """Write records."""
        producer = KafkaProducer(bootstrap_servers=self.kafka, acks="all")
        for value in values:
            producer.send(self.topic, value, partition=0).get(timeout=20)
        producer.close()


@pytest.fixture
def log(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The settings name both."""
    kafka = LocalParts().up(["kafka", "database"]).kafka
    prefix = f"{name_of(database).replace('_', '')}."
    create_topics(kafka, partitions=1, say=lambda _: None, prefix=prefix)
    for name, value in (
        ("KAFKA", kafka),
        ("DATABASE_URL", database),
        ("TOPIC_PREFIX", prefix),
        ("PARTITIONS", "1"),
    ):
        monkeypatch.setenv(f"WEIR_{name}", value)
    return Log(kafka, prefix + topics.READINGS, database)


def test_a_dead_letter_is_put_back(
    log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed with its reason, shown as a line, replayed behind all others, and then digested as late readings."""
    records = hours({3}, count=6)
    log.append(*(value for _, _, value in records))
    with monkeypatch.context() as patch:
        patch.setattr(worker, "Engine", Choking)
        with at_work(log.database) as one:
            digest(one, records)
    assert processors.main(["dlq", "list", "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)
    assert (letter["partition"], letter["offset"], letter["replayed_at"]) == (0, 4, None)
    assert processors.main(["dlq", "show", "0", "4"]) == 0
    assert '"sections"' in capsys.readouterr().out
    assert processors.main(["dlq", "replay", "0", "4", "--reason", "mended"]) == 0
    assert "offset 7" in capsys.readouterr().out
    assert processors.main(["dlq", "list"]) == 0
    assert "0 dead letters" in capsys.readouterr().out
    assert rows(log.database, "SELECT what, reason FROM act") == [("dlq replay", "mended")]
    with at_work(log.database) as one:
        digest(one, [*records, (0, 7, records[4][2])])
    assert rows(log.database, ACCOUNT) == [(6, 1)]


def test_what_is_no_dead_letter_is_not_replayed(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word on it, and the way out."""
    assert log.topic
    assert processors.main(["dlq", "replay", "0", "4", "--reason", "x"]) == 1
    assert "dlq list --all" in capsys.readouterr().err


def test_a_log_that_is_not_the_known_one_is_told_and_accepted(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """A topic that ends before the offset: exit 1 with how much, until somebody accepts it and says why."""
    records = messages(*([()] * 4))
    log.append(*(value for _, _, value in records[:2]))
    with at_work(log.database) as one:
        digest(one, records)
    assert processors.main(["offsets", "show"]) == 1
    assert "ends 2 records before" in capsys.readouterr().out
    assert processors.main(["offsets", "accept", "0", "9", "--reason", "x"]) == 1
    assert "not 9" in capsys.readouterr().err
    assert processors.main(["offsets", "accept", "0", "2", "--reason", "topic made anew"]) == 0
    capsys.readouterr()
    assert processors.main(["offsets", "show", "--json"]) == 0
    (stand,) = json.loads(capsys.readouterr().out)
    assert (stand["next_offset"], stand["state"]) == (2, "in order")
    with psycopg.connect(log.database) as link:
        detail = link.execute("SELECT detail FROM act WHERE what = 'offsets accept'").fetchone()
    assert detail is not None
    assert (detail[0]["next_offset"], detail[0]["accepted"]) == (4, 2)
