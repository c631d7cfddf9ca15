"""The verb `schema`: the JSON Schema of what people send."""

import argparse
import json

from ingest.command import Verbs, verb


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "schema",
        "print the JSON Schema of what people send, with examples",
        "python -m ingest schema > reading.schema.json",
        _run,
    )
    parser.add_argument(
        "--stop", action="store_true", help="of a declared stop or maintenance instead"
    )


def _run(told: argparse.Namespace) -> int:
    from schemas import reading, stop

    schema = stop.json_schema() if told.stop else reading.json_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
