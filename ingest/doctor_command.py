"""The verb `doctor`: a unit's way in, as the unit sees it."""

import argparse
import json

from ingest.command import Verbs, sender_options, unit_code, verb


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "doctor",
        "look at a unit's way in as the unit sees it: broker, rights, clock, registry, points, refusals",
        "WEIR_MQTT=broker:8883 WEIR_MQTT_USER=91510100SYN0000001 WEIR_MQTT_PASSWORD_FILE=password \\\n"
        "    python -m ingest doctor --unit 91510100SYN0000001\n\n"
        "Nothing is stored: what it sends is only tried. Each line is ok, or not ok with what to do.\n"
        "Exit code 0: all is ok; 1: something is not.",
        _run,
    )
    parser.add_argument("--unit", type=unit_code, required=True, help="whose way in")
    parser.add_argument("--json", action="store_true", help="a line of JSON each")


def _run(told: argparse.Namespace) -> int:
    from ingest.doctor import examine

    ok = True
    for finding in examine(sender_options(), told.unit):
        ok = ok and finding.ok
        print(json.dumps(finding.told()) if told.json else finding, flush=True)
    return 0 if ok else 1
