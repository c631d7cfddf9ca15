"""What the MQTT door says when it is full or refuses: about 10 seconds."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deploy.local import access
from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from ingest.metrics import GatewayMetrics
from ingest.mqtt_gateway import BROKER_FIGURES
from schemas import topics
from tests.security.mqtt_client import NOT_AUTHORISED, Client, client, wait_until

UNIT = "91510100FULL000001"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalParts]:
    """A broker that lets 100 kB wait for a client that is away."""
    folder = tmp_path_factory.mktemp("small")
    started = LocalParts(folder, programs=chosen_programs(chosen_folder()))
    started.state.create()
    started.state.remember(mqtt_queued_bytes="100000")
    try:
        started.up(["mqtt"])
        yield started
    finally:
        started.down(["mqtt"])


def gateway(parts: LocalParts, stack: ExitStack) -> Client:
    endpoints = parts.endpoints()
    return stack.enter_context(
        client(
            parts,
            user="gateway",
            password=endpoints.mqtt_password_file.read_text(),
            client_id="full",
            stays=True,
            port=endpoints.mqtt_port,
        )
    )


def test_what_a_full_queue_drops_is_counted(small: LocalParts) -> None:
    """The sender hears of nothing (it waits for receipts); whoever watches the gateways does."""
    password = access.grant(small, [UNIT])[UNIT]
    with ExitStack() as stack:
        gateway(small, stack).subscribed(f"$share/s/{topics.mqtt_readings('+')}")
    with ExitStack() as stack:
        unit = stack.enter_context(client(small, user=UNIT, password=password))
        for _ in range(30):
            assert unit.published(topics.mqtt_readings(UNIT), b"x" * 10_000) == 0
        watching = stack.enter_context(
            client(
                small,
                user="gateway",
                password=small.endpoints().mqtt_password_file.read_text(),
                port=small.endpoints().mqtt_port,
            )
        )
        metrics = GatewayMetrics()
        watching.on_message = lambda _c, _u, one: metrics.broker_says(
            BROKER_FIGURES[one.topic], one.payload
        )
        for topic in BROKER_FIGURES:
            watching.subscribed(topic)

        def value(name: str) -> float:
            return metrics.registry.get_sample_value(f"weir_mqtt_broker_{name}") or 0

        wait_until(lambda: value("dropped_messages_total") >= 20, "it is counted")
        wait_until(lambda: value("stored_bytes") >= 90_000, "what waits is told")
        assert value("dropped_messages_total") <= 21


def test_who_is_refused_one_message_may_go_on(small: LocalParts) -> None:
    """0x87 for each, and the connection stays: one wrong topic does not stop a unit's others."""
    password = access.grant(small, [UNIT])[UNIT]
    with client(small, user=UNIT, password=password) as unit:
        for _ in range(50):
            assert unit.published("energy/v1/elsewhere/readings") == NOT_AUTHORISED
        assert unit.published(topics.mqtt_readings(UNIT)) in (0, 0x10)
        assert unit.thrown_out is None


def test_a_broker_that_began_anew_counts_on() -> None:
    """Its own count begins at 0; ours does not go back."""
    metrics = GatewayMetrics()
    for told in (b"5", b"7", b"2", b"x", b"2", b"3"):
        metrics.broker_says("dropped", told)
    assert metrics.registry.get_sample_value("weir_mqtt_broker_dropped_messages_total") == 10
