"""Each alarm has an entry in RUNBOOK.md with its parts; commands and series that it names exist."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from alerts.__main__ import main as alerts
from alerts.metrics import Metrics
from deploy.backup import main as backup
from ingest.__main__ import main as ingest
from ingest.expiry import ExpiryMetrics
from ingest.metrics import ClockMetrics, FeedbackMetrics, GatewayMetrics, KafkaGatewayMetrics
from ingest.watch import WatchMetrics
from processors.__main__ import main as processors
from processors.aggregator import AggregatorMetrics
from processors.feedback_service import FeedbackMetrics as SenderMetrics
from processors.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy/prometheus/rules/pipeline.yaml"
ENTRIES = {
    entry.partition("\n")[0]: entry for entry in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
}
MAINS = {"alerts": alerts, "ingest": ingest, "processors": processors, "deploy.backup": backup}
COMMANDS = sorted(
    set(re.findall(r"`python -m ((?:alerts|ingest|processors|deploy\.backup) [^`]+)`", TEXT))
)
ALARMS = [
    (rule["alert"], rule["annotations"]["runbook"])
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize(("alarm", "title"), ALARMS)
def test_each_alarm_has_an_entry(alarm: str, title: str) -> None:
    """Its name is what a person searches for."""
    assert f"`{alarm}`" in ENTRIES[title]


@pytest.mark.parametrize("title", ENTRIES)
def test_each_entry_has_its_parts(title: str) -> None:
    """What it means, where to look, what to do, and when that was tried or why not."""
    parts = re.findall(r"^- \*\*(\w+):\*\* \S", ENTRIES[title], flags=re.MULTILINE)
    assert parts == ["Means", "Look", "Do", "Tried"]
    assert re.search(r"\*\*Tried:\*\* (\d{4}-\d\d-\d\d: |not by hand: )", ENTRIES[title])


def test_what_a_worker_says_by_itself_has_an_entry() -> None:
    """The alarms of its page."""
    metrics = WorkerMetrics(tick_silence_seconds=-1.0)
    metrics.expect_ticks({0: 0})
    (alarm,) = metrics.alarms()
    assert " ".join(alarm.split()[:4]) in ENTRIES["ticks stall"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its verb has a --help, which knows its options."""
    module, *words = command.partition(" #")[0].split()
    chosen = []
    for word in words:
        if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-"):
            break
        chosen.append(word)
    with pytest.raises(SystemExit) as ended:
        MAINS[module]([*chosen, "--help"])
    assert not ended.value.code
    told = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", command):
        assert option in told


@cache
def served() -> frozenset[str]:
    """Names of all series of our services."""
    registries: list[CollectorRegistry] = [
        one.registry
        for one in (
            WorkerMetrics(),
            AggregatorMetrics(),
            SenderMetrics(),
            ClockMetrics(),
            GatewayMetrics(),
            KafkaGatewayMetrics(),
            FeedbackMetrics(),
            WatchMetrics(),
            ExpiryMetrics([]),
            Metrics(["webhook"]),
        )
    ]
    return frozenset(
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for registry in registries
        for metric in registry.collect()
    )


def test_each_series_is_served() -> None:
    """A name that nobody serves leads nowhere at night."""
    assert set(re.findall(r"\bweir_[a-z_]+", TEXT)) <= served()


def test_each_make_target_exists() -> None:
    """As the Makefile has them."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", TEXT)) <= targets
