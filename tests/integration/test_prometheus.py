"""Alarms about the pipeline: tested by promtool, on names that our services serve, each with a row in the runbook."""

import math
import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from prometheus_client import CollectorRegistry

from alerts.metrics import Metrics
from deploy.local.parts import Endpoints, LocalParts
from deploy.local.promtool import promtool
from deploy.local.state import CHECKOUT, chosen_folder, chosen_programs
from ingest.metrics import ClockMetrics, GatewayMetrics
from ingest.topics_admin import create_topics
from ingest.watch import Places, Watch, WatchMetrics
from processors.aggregator import AggregatorMetrics
from processors.metrics import WorkerMetrics

FOLDER = CHECKOUT / "deploy/prometheus"
RULES = FOLDER / "rules/pipeline.yaml"
TESTS = FOLDER / "tests/pipeline_test.yaml"
NAME = re.compile(r"\b(?:weir|node|up)(?:_[a-z_0-9]+)?\b")
FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
"""Of Prometheus itself, and of its node exporter."""

ALARMS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}


def run(*words: str) -> None:
    tool = promtool(chosen_programs(chosen_folder()))
    done = subprocess.run(
        [tool, *words], cwd=FOLDER / "tests", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong() -> None:
    """Rules, their tests and the scrape configuration, by Prometheus' own program."""
    run("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    run("check", "config", str(FOLDER / "prometheus.yml"))
    run("test", "rules", str(TESTS))


def test_every_alarm_is_tried_when_it_fires_and_when_not() -> None:
    """One that never fired in a test may never fire at all; the watchdog is never quiet."""
    tried = [
        (one["alertname"], bool(one["exp_alerts"]))
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for one in test["alert_rule_test"]
    ]
    assert {name for name, fires in tried if fires} == set(ALARMS)
    assert {name for name, fires in tried if not fires} == set(ALARMS) - {"Watchdog"}


def served() -> set[str]:
    """Names of all series of our services, as Prometheus has them."""
    registries: list[CollectorRegistry] = [
        WorkerMetrics().registry,
        AggregatorMetrics().registry,
        ClockMetrics().registry,
        GatewayMetrics().registry,
        Metrics(["alertmanager"]).registry,
        WatchMetrics().registry,
    ]
    found = set()
    for registry in registries:
        for metric in registry.collect():
            counted = metric.type == "counter"
            found.add(f"{metric.name}_total" if counted else metric.name)
    return found


@pytest.mark.parametrize("name", ALARMS)
def test_names_are_served(name: str) -> None:
    """A series that nobody serves is an alarm that stays silent."""
    expression = re.sub(r'"[^"]*"|\{[^}]*\}', "", str(ALARMS[name]["expr"]))
    assert set(NAME.findall(expression)) <= served() | FOREIGN


@pytest.mark.parametrize("name", ALARMS)
def test_the_runbook_says_what_to_do(name: str) -> None:
    """By the words that the alarm names."""
    assert ALARMS[name]["annotations"]["runbook"] in (CHECKOUT / "RUNBOOK.md").read_text()


def test_a_look_at_what_nobody_counts(tmp_path: Path) -> None:
    """Kafka's retention, the newest backup, a certificate's end and the broker's queue, of the real servers."""
    servers = LocalParts().endpoints()
    prefix = f"test.{uuid4().hex[:12]}."
    create_topics(servers.kafka, partitions=1, say=lambda _: None, prefix=prefix)
    certificate = tmp_path / "broker.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "3",
        "-subj",
        "/CN=weir",
    ]
    subprocess.run(
        [*made, "-keyout", tmp_path / "key", "-out", certificate], check=True, capture_output=True
    )
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "one.dump").touch()
    (backups / "two.dump.half").touch()
    own = LocalParts(tmp_path / "parts", programs=chosen_programs(chosen_folder()))
    own.up(["mqtt"])
    try:
        broker = own.endpoints()
        _look(servers.kafka, broker, prefix, tmp_path)
    finally:
        own.down()


def _look(kafka: str, broker: Endpoints, prefix: str, tmp_path: Path) -> None:
    backups, certificate = tmp_path / "backups", tmp_path / "broker.pem"
    metrics = WatchMetrics()
    password = broker.mqtt_password_file.read_text().strip()
    places = Places(
        kafka=kafka,
        topics=[f"{prefix}weir.readings.v1", f"{prefix}weir.indicators.v1"],
        backups=backups,
        certificates=[certificate, tmp_path / "missing.pem"],
        accounts=tmp_path / "access",
        mqtt=(broker.mqtt_host, broker.mqtt_port),
        mqtt_login=(broker.mqtt_user, password),
    )
    failed, *others = Watch(places, metrics).look()
    assert others == []
    assert failed.startswith("certificates: ")
    value = metrics.registry.get_sample_value
    assert value("weir_kafka_retention_seconds") == 40 * 86_400
    assert value("weir_backup_timestamp_seconds") == (backups / "one.dump").stat().st_mtime
    ends = value("weir_certificate_expiry_timestamp_seconds", {"file": "broker.pem"})
    assert ends == pytest.approx(certificate.stat().st_mtime + 3 * 86_400, abs=60)
    assert math.isnan(
        value("weir_certificate_expiry_timestamp_seconds", {"file": "missing.pem"}) or 0
    )
    assert value("weir_credential_expiry_timestamp_seconds") == math.inf
    assert (value("weir_broker_queue_bytes") or -1) >= 0
    assert value("weir_watch_failures_total", {"what": "certificates"}) == 1


def test_what_is_received_is_counted_by_its_class() -> None:
    """As the accounts of a step say, units and days together; a step without any changes nothing."""
    metrics = WorkerMetrics()
    metrics.count_received([(5, 1, 0, 2, 0), (3, 0, 0, 1, 1)])
    metrics.count_received([])
    series = metrics.registry.get_sample_value
    assert series("weir_received_total", {"class": "accepted"}) == 8
    assert series("weir_received_total", {"class": "rejected"}) == 3
    assert series("weir_received_total", {"class": "superseded"}) == 0
