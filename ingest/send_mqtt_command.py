"""The verb `send-mqtt`: lines of the pipe, sent by MQTT."""

import argparse
from dataclasses import replace

from ingest.command import Verbs, lines_of, positive, say, sender_options, unit_code, verb


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "send-mqtt",
        "send messages by MQTT as a unit does, and wait until Kafka has them",
        "python -m ingest schema    what a message looks like; one a line\n"
        "  python -m ingest send-mqtt readings.jsonl --unit 91510100SYN0000001\n"
        "  python -m ingest import 2018.csv --mapping steel.toml | python -m ingest send-mqtt\n\n"
        "As WEIR_MQTT_USER (the unit's code) with WEIR_MQTT_PASSWORD. A message without a receipt\n"
        "is sent again; that changes nothing.",
        _run,
    )
    parser.add_argument("file", nargs="?", default="-", help="the lines (- or nothing: stdin)")
    parser.add_argument("--unit", type=unit_code, help="whose the messages are")
    parser.add_argument(
        "--in-flight", type=positive, default=1_000, help="messages without a receipt (1000)"
    )
    parser.add_argument(
        "--patience", type=positive, default=120, help="seconds without any receipt (120)"
    )


def _run(told: argparse.Namespace) -> int:
    from ingest.mqtt_publisher import Sent, messages_of_lines, send_all

    sent = Sent()
    options = replace(sender_options(), in_flight=told.in_flight, patience_s=float(told.patience))
    with lines_of(told.file) as lines:
        messages = messages_of_lines(lines, unit=told.unit, sent=sent)
        send_all(messages, options, say=say, sent=sent)
    say(f"sent {sent}; Kafka has them")
    return 0
