"""The drill: a backup, the loss of the database, its restore and a resize, with real workers, alerts and an Alertmanager.

Run by `make drill` (about two minutes). What the webhook and Alertmanager hear is held against what they had heard
before: after the restore they may be told a fact again, under the same key; never another, and none is missing.
"""

import json
import os
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import psycopg

from deploy import backup
from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from processors import __main__ as processors
from processors import migrate, registry
from schemas import topics
from tests.alerts.receiver import Receiver, receiving
from tests.integration.conftest import drop_database, new_database
from tests.integration.places import Place, place_of
from tests.integration.stages import FIRST, Stage, World, moves, simulated, stored
from tests.integration.test_backup import make_anew

AFTERWARDS = 3
RULES = """
[[rules]]
name = "unjudged"
kind = "cannot be judged"
severity = "info"
hold = "PT5M"

[[rules]]
name = "silent"
kind = "silent points"
severity = "warning"
"""
UNSENT = "SELECT count(*) FROM alert_delivery WHERE delivered_at IS NULL AND refused_at IS NULL"
HEARD = """
SELECT count(*) FROM alert_partition WHERE (generation, partition, next_offset) IN
  (SELECT %s, p, e FROM unnest(%s::integer[], %s::bigint[]) AS x (p, e))"""


def main() -> int:
    """1 where a fact was told that was none, or one is missing."""
    world = simulated(hours=3)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-drill-")))
        hook, manager = stack.enter_context(receiving()), stack.enter_context(receiving())
        folder.chmod(0o755)
        parts = LocalParts(folder / "local", programs=chosen_programs(chosen_folder()))
        endpoints = parts.up(["alertmanager"], webhook=f"{manager.address}/")
        stack.callback(parts.down, ["alertmanager"])
        url = new_database()
        stack.callback(drop_database, url)
        migrate.up(url)
        place = stack.enter_context(place_of(url, folder, partitions=FIRST))
        stack.callback(place.delete, [topic.name for topic in topics.logs(1, generation=2)])
        rules = folder / "rules.toml"
        rules.write_text(RULES)
        place.environment |= {
            "WEIR_ALERTS_WEBHOOK": f"{hook.address}/hook",
            "WEIR_ALERTMANAGER": endpoints.alertmanager,
            "WEIR_ALERTS_GROUP": f"{place.prefix}alerts",
            "WEIR_ALERTS_SESSION_SECONDS": "6",
            "WEIR_ALERTS_GATHER_SECONDS": "0",
            "WEIR_ALERTS_MANY": "1000000",  # its truth is told alert by alert
            "WEIR_ALERTS_HTTP": "127.0.0.1:0",
        }
        os.environ |= {
            name: value for name, value in place.environment.items() if name[:5] == "WEIR_"
        }
        return drilled(place, world, hook, manager, rules)


def drilled(place: Place, world: World, hook: Receiver, manager: Receiver, rules: Path) -> int:
    """The whole course."""
    third = len(world.records) // 3
    stage = Stage(place, 1, FIRST)
    with psycopg.connect(place.database) as link:
        registry.save_configuration(link, world.configuration)
    start(place, rules)
    stage.publish(world.records[:third])
    settle(place, stage)
    dump = place.folder / "weir.dump"
    print(f"backup: {backup.make(place.database, dump):,} bytes", flush=True)
    stage.publish(world.records[third : 2 * third])
    settle(place, stage)
    stop(place)
    before = standing(place, hook, manager)
    told = len(hook.accepted)

    make_anew(place.database)
    backup.restore(place.database, dump)
    if processors.main(["offsets", "show"]):
        return 1
    start(place, rules)
    settle(place, stage)
    stop(place)
    after = standing(place, hook, manager)
    wrong = differences(before, after)
    print(
        f"restored: {told} posts to the webhook before, {len(hook.accepted) - told} again, of {len(facts(hook))} facts;"
        f" {len(facts_of_manager(manager))} facts of Alertmanager, {len(active())} alerts active; differs: {wrong or 'nothing'}",
        flush=True,
    )

    known = len(facts(hook))
    resized = resize(place)
    start(place, rules)
    resized.publish(list(world.over(world.records[2 * third :], AFTERWARDS)))
    settle(place, resized)
    stop(place)
    before = standing(place, hook, manager)
    more = len(facts(hook)) - known
    print(f"resized to {AFTERWARDS} partitions: {more} facts more", flush=True)

    make_anew(place.database)
    backup.restore(place.database, dump)
    configure(place, generation=1, partitions=FIRST)
    start(place, rules)
    settle(place, stage)
    stop(place)
    resized = resize(place)
    start(place, rules)
    settle(place, resized)
    stop(place)
    late = differences(before, standing(place, hook, manager))
    print(
        f"restored from before the resize, resized again: differs: {late or 'nothing'}", flush=True
    )
    return 1 if wrong or late or not more else 0


def resize(place: Place) -> Stage:
    """By the command, then the settings that it asks for."""
    if processors.main(["partitions", "resize", str(AFTERWARDS), "--reason", "drill"]):
        raise SystemExit(1)
    configure(place, generation=2, partitions=AFTERWARDS)
    return Stage(place, 2, AFTERWARDS)


def configure(place: Place, *, generation: int, partitions: int) -> None:
    """For the services, and for the commands."""
    settings = {"WEIR_GENERATION": str(generation), "WEIR_PARTITIONS": str(partitions)}
    place.environment |= settings
    os.environ |= settings


def standing(place: Place, hook: Receiver, manager: Receiver) -> dict[str, object]:
    """What people see and were told."""
    return {
        "keys of the webhook": facts(hook),
        "facts of Alertmanager": facts_of_manager(manager),
        "active alerts": active(),
        "figures": stored(place),
        "moves": moves(place),
    }


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


def start(place: Place, rules: Path) -> None:
    """Worker and alerts."""
    place.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
    place.start("alerts", "alerts", "run", "--rules", str(rules))


def stop(place: Place) -> None:
    for name in list(place.running):
        place.stop(name)


def settle(place: Place, stage: Stage) -> None:
    """Until all is digested, told, heard and delivered."""
    at = "SELECT partition, next_offset FROM partition WHERE generation = %s"
    ends = _ends(stage, topics.READINGS)
    place.wait(lambda: dict(place.query(at, stage.generation)) == ends, "digested")
    place.wait_published()
    heard = _ends(stage, topics.INDICATORS)
    key = (stage.generation, list(heard), list(heard.values()))
    place.wait(lambda: place.query(HEARD, *key) == [(stage.partitions,)], "heard")
    place.wait(lambda: place.query(UNSENT) == [(0,)], "delivered")


def _ends(stage: Stage, topic: str) -> dict[int, int]:
    here = Place(
        stage.place.environment, "", stage.place.prefix, stage.partitions, stage.place.folder
    )
    return here.ends(topics.of_generation(topic, stage.generation))


def facts(hook: Receiver) -> set[str]:
    """The keys under which the webhook was told."""
    return {post.headers["Idempotency-Key"] for post in hook.accepted}


def facts_of_manager(manager: Receiver) -> set[tuple[str, str, str]]:
    """Alertmanager's notices: what, since when, and whether it fires; each once, however often it was sent."""
    return {
        (json.dumps(alert["labels"], sort_keys=True), alert["startsAt"], alert["status"])
        for post in manager.accepted
        for alert in post.body["alerts"]
    }


def active() -> set[tuple[str, str]]:
    """What Alertmanager shows."""
    with urllib.request.urlopen(f"{os.environ['WEIR_ALERTMANAGER']}/api/v2/alerts") as page:  # noqa: S310 - our own
        return {
            (json.dumps(one["labels"], sort_keys=True), one["startsAt"]) for one in json.load(page)
        }


if __name__ == "__main__":
    sys.exit(main())
