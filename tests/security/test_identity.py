"""No client of ours goes to Kafka as nobody."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = {"KafkaProducer", "KafkaConsumer", "KafkaAdminClient"}
MODULES = [
    path for name in ("ingest", "processors", "alerts") for path in (ROOT / name).rglob("*.py")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_client_is_given_who_we_are(path: Path) -> None:
    """Every producer, consumer and administrator is made with `**kafka_client()`."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in CLIENTS
    ]
    for call in calls:
        given = [ast.unparse(one.value) for one in call.keywords if one.arg is None]
        assert any(one.endswith("kafka_client()") for one in given), f"line {call.lineno}"
