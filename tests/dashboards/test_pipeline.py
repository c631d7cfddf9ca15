"""What the pipeline's dashboard asks Prometheus for is what the services export."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from alerts.metrics import Metrics
from deploy.local.promtool import promtool
from deploy.local.state import chosen_folder, chosen_programs
from ingest.metrics import ClockMetrics, FeedbackMetrics, GatewayMetrics, KafkaGatewayMetrics
from processors.aggregator import AggregatorMetrics
from processors.metrics import WorkerMetrics
from tests.dashboards.shown import DASHBOARDS

TARGETS = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{panel['id']} {target['refId']}")
    for panel in DASHBOARDS["weir-pipeline"]["panels"]
    for target in panel["targets"]
]
FUNCTIONS = {"sum", "max", "min", "time", "rate", "increase", "histogram_quantile"}
GIVEN = {"instance", "le"}
"""Labels that Prometheus, or a histogram, gives."""


def exported() -> Iterator[tuple[str, set[str]]]:
    """Names of series and their labels, by the services as they begin."""
    services = (
        *(WorkerMetrics(), Metrics(["webhook"]), ClockMetrics(), GatewayMetrics()),
        *(KafkaGatewayMetrics(), FeedbackMetrics(), AggregatorMetrics()),
    )
    for service in services:
        registry: CollectorRegistry = service.registry
        for family in registry.collect():
            for sample in family.samples:
                yield sample.name, set(sample.labels)


@pytest.mark.parametrize(("expression", "legend"), TARGETS)
def test_every_series_is_exported(expression: str, legend: str) -> None:
    """By its name; and what it is grouped and named by is a label of it."""
    known = dict(exported())
    (name,) = re.findall(r"weir_\w+", expression)
    assert name in known
    grouped = set(re.findall(r"by \((\w+)\)", expression))
    assert grouped <= known[name] | GIVEN
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped
    assert set(re.findall(r"(\w+) ?\(", expression)) <= FUNCTIONS | {"by"}
    assert name.endswith(("_total", "_bucket")) == ("[" in expression)


def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    """As rules of a file, which is what promtool checks."""
    rules = [
        {"record": f"x:{number}", "expr": expression}
        for number, (expression, _) in enumerate(target.values for target in TARGETS)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    tool = promtool(chosen_programs(chosen_folder()))
    done = subprocess.run(
        [tool, "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(TARGETS)} rules found" in done.stdout
