"""The verb `verify`: whether an account is as it was signed."""

import argparse
import json
from pathlib import Path

from ingest.command import Verbs, lines_of, say, verb
from ingest.complaint import ComplaintError


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "verify",
        "say of each account whether it is as it was signed",
        "mosquitto_sub -t energy/v1/91510100SYN0000001/feedback ... > feedback.jsonl\n"
        "  python -m ingest verify feedback.jsonl --key feedback-public.pem\n\n"
        "The public key is published by whoever runs Weir (python -m processors feedback --public-key).\n"
        "Exit code 1 where one is not, or where there is none.",
        _run,
    )
    parser.add_argument(
        "file", nargs="?", default="-", help="feedback, one a line (- or nothing: stdin)"
    )
    parser.add_argument("--key", type=Path, required=True, help="the public key (PEM)")
    parser.add_argument("--json", action="store_true", help="a line of JSON each")


def _run(told: argparse.Namespace) -> int:
    from ingest.verify import public_key, verdicts

    try:
        key = public_key(told.key.read_bytes())
    except OSError as error:
        message = f"{told.key} cannot be read: {error}"
        raise ComplaintError(message) from error
    with lines_of(told.file) as lines:
        found = list(verdicts(lines, key))
    for one in found:
        if told.json:
            print(json.dumps({"account": one.account, "ok": not one.why, "why": one.why}))
        else:
            print(
                f"{'not ok' if one.why else 'ok'}  {one.account}{f': {one.why}' if one.why else ''}"
            )
    if not found:
        say("there is no account among these lines")
    return 0 if found and not any(one.why for one in found) else 1
