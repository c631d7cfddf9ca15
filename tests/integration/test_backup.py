"""A backup restored: the workers catch up from the log, and nobody is told anything else than before."""

from pathlib import Path

import psycopg
import pytest

from deploy import backup
from processors import __main__ as processors
from processors import migrate
from schemas import topics
from tests.integration.conftest import drop_database, name_of, server_url
from tests.integration.places import Place, place_of
from tests.integration.stages import FIRST, Stage, moves, simulated, stored

TOLD = """
SELECT generation, partition, "offset", position, number, payload FROM outbox ORDER BY 1, 2, 3, 4, 5"""
DELIVERIES = "SELECT transition, channel, subject FROM alert_delivery ORDER BY 1, 2"


def make_anew(url: str) -> None:
    """The database is lost, and an empty one is made."""
    drop_database(url)
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name_of(url)}".encode())


def test_a_restored_backup_catches_up(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Figures, accounts, what was told and the notices to be sent are those of before, under the same versions and keys."""
    world, dump = simulated(hours=2), tmp_path / "weir.dump"
    half = len(world.records) // 2
    with place_of(database, tmp_path, partitions=FIRST) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        stage = Stage(place, 1, FIRST)
        messages = stage.publish(world.records[:half])
        stage.digest(world.configuration, messages)
        stage.hear()
        assert backup.main(["make", str(dump)]) == 0
        messages += stage.publish(world.records[half:])
        stage.digest(world.configuration, messages)
        stage.hear()
        before = everything(place)
        on_topic = place.records(topics.INDICATORS)

        assert backup.main(["restore", str(dump)]) == 1
        assert "has Weir's tables already" in capsys.readouterr().err
        make_anew(database)
        assert backup.main(["restore", str(dump)]) == 0
        assert migrate.status(database).missing == ()
        assert everything(place) != before
        assert processors.main(["offsets", "show"]) == 0
        stage.digest(world.configuration, messages)
        stage.hear()
        assert everything(place) == before
        assert place.query("SELECT count(*) FROM alert_refused") == [(0,)]
        again = place.records(topics.INDICATORS)
    for partition, told in on_topic.items():
        repeated = again[partition][len(told) :]
        assert repeated == told[len(told) - len(repeated) :]
        assert repeated


def everything(place: Place) -> tuple[object, ...]:
    """What people see, what was told, and what is to be sent."""
    return stored(place), moves(place), place.query(TOLD), place.query(DELIVERIES)
