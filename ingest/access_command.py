"""The verb `access`: what it is told, and what it answers."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from ingest import logs
from ingest.access import Places, apply, due, planned, rotate
from ingest.access_folder import Folder
from ingest.access_kafka import KafkaAccess
from ingest.accounts import Account
from ingest.clock import stop_on_signals, wall_ms
from ingest.complaint import ComplaintError
from ingest.expiry import ExpiryMetrics, Watched, watch
from ingest.metrics import serve_pages
from ingest.registered import published
from schemas.calendar import DAY_MS, rfc3339
from schemas.registry import Registry
from schemas.settings import Settings


def run(told: argparse.Namespace) -> None:
    """Do one action."""
    logs.set_up()
    actions: Mapping[str, Callable[[argparse.Namespace, Folder], None]] = {
        "plan": _brokers,
        "apply": _brokers,
        "rotate": _rotate,
        "show": _show,
        "status": _status,
        "watch": _watch,
    }
    actions[told.action](told, Folder(told.folder))


def _brokers(told: argparse.Namespace, folder: Folder) -> None:
    settings = Settings.read()
    if not told.mosquitto.is_dir():
        message = f"--mosquitto {told.mosquitto} is no folder: where Mosquitto reads its files"
        raise ComplaintError(message)
    registries = [_file(told.registry)] if told.registry else list(published(settings))
    if not any(registry.units for registry in registries):
        message = "the registry names no unit: `python -m processors registry load`, or --registry"
        raise ComplaintError(message)
    places = Places(folder, told.mosquitto, told.reload, settings.topic_prefix)
    now = wall_ms()
    with folder.locked(), closing(KafkaAccess(settings)) as kafka:
        known = folder.read()
        asked = due(known, registries, now=now, remove=told.remove)
        do = planned if told.action == "plan" else partial(apply, now=now)
        done = do(asked, known, places, kafka)
    _answer(
        told,
        {
            "action": told.action,
            "passwords_made": list(asked.new),
            "changes": [
                {"place": one.place, "act": one.act, "what": one.what} for one in done.changes
            ],
            "units_that_left_and_stay": [one.name for one in asked.waits],
        },
        [
            *(f"password  add      {name}" for name in asked.new),
            *(str(change) for change in done.changes),
            *(f"left      stays    {one.name}: --remove takes it away" for one in asked.waits),
            _summary(told.action, len(asked.new) + len(done.changes)),
        ],
    )


def _summary(action: str, count: int) -> str:
    if not count:
        return "nothing to change"
    return f"{count:,} changes {'to make' if action == 'plan' else 'made'}"


def _file(path: Path) -> Registry:
    try:
        return Registry.model_validate(tomllib.loads(path.read_text("utf-8"), parse_float=Decimal))
    except (OSError, ValidationError, ValueError) as error:
        message = f"{path} is no registry: {error}"
        raise ComplaintError(message) from error


def _rotate(told: argparse.Namespace, folder: Folder) -> None:
    now = wall_ms()
    until = now + told.overlap_days * DAY_MS
    places = Places(folder, Path())
    name = rotate(told.name, places, now=now, until=until)
    _answer(
        told,
        {"action": "rotate", "owner": told.name, "new_user": name, "until": rfc3339(until)},
        [
            f"{told.name}: the new user is {name}; the other one holds until {rfc3339(until)}",
            f"`access apply` now; `access show {name}` for the password; `access apply` again then",
        ],
    )


def _show(told: argparse.Namespace, folder: Folder) -> None:
    password = folder.password(told.name)
    _answer(told, {"user": told.name, "password": password}, [password])


def _status(told: argparse.Namespace, folder: Folder) -> None:
    accounts = folder.read()
    _answer(
        told,
        {"accounts": [_told(one) for one in accounts.accounts], "left": list(accounts.left)},
        [
            *(
                f"{one.name:<22} since {rfc3339(one.since)}"
                f"{f' until {rfc3339(one.until)}' if one.until is not None else ''}"
                for one in accounts.accounts
            ),
            *(f"{unit:<22} left" for unit in accounts.left),
        ],
    )


def _watch(told: argparse.Namespace, folder: Folder) -> None:
    settings = Settings.read()
    authority = settings.mqtt_authority or settings.kafka_authority
    if not authority:
        message = "whose certificates? Set WEIR_MQTT_AUTHORITY or WEIR_KAFKA_AUTHORITY"
        raise ComplaintError(message)
    watched = Watched(tuple(told.at), Path(authority), folder)
    metrics = ExpiryMetrics(watched.servers)
    metrics.look(watched)
    serve_pages(
        metrics.registry,
        address=told.metrics_address,
        port=told.metrics_port,
        readiness=lambda: (True, {}),
    )
    watch(watched, metrics, stop=stop_on_signals(), every_s=60.0)


def _told(one: Account) -> dict[str, object]:
    return {
        "user": one.name,
        "owner": one.owner,
        "since": rfc3339(one.since),
        "until": None if one.until is None else rfc3339(one.until),
    }


def _answer(told: argparse.Namespace, value: Mapping[str, object], lines: list[str]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False) if told.json else "\n".join(lines)
    sys.stdout.write(text + "\n")
