"""The simulator's storm through the whole chain, as time passes: Kafka, worker, outbox, two workers of the alerts, Alertmanager, the duty room.

Run as `python -m tests.chaos.storm_drill [FILE]`. What people are told is held against the storm's list of facts. Times are those that are
shipped: 30 s to gather, 30 s of Alertmanager's group_wait. The bad factor comes and goes by two logins, as in life. About six minutes;
exit code 1: a fact was missed, late or untrue, something else was told, or too much.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from deploy.local.state import CHECKOUT
from ingest.storm import Listed, read_storm
from schemas.calendar import instant, rfc3339
from tests.alerts.real import tables_on
from tests.alerts.receiver import Receiver, receiving
from tests.chaos.oncall_drill import FIRST_WORD_S, MOST_MESSAGES, Drill, alertmanager, text
from tests.integration import storm
from tests.integration.conftest import server_url
from tests.integration.places import Place, place_of, stewards
from tests.integration.test_on_call import ROSTER

PARTITIONS = 4
LEAD_S = 60
"""Time that the calm takes to be sent and digested, beside what each unit takes."""
PER_UNIT_S = 0.15
EXAMPLE, BAD = (CHECKOUT / "deploy/example" / name for name in ("storm.toml", "bad-factor.toml"))
_MEMBERS = """
SELECT c.kind, c.scope, array_agg(DISTINCT m.unit ORDER BY m.unit), min(c.ending)
FROM alert_case c JOIN alert_case_member m ON m.case_id = c.id GROUP BY c.id, c.kind, c.scope ORDER BY c.id"""


@dataclass
class Watched:
    """A fact, and when who heard of it (seconds of the wall clock)."""

    fact: Listed
    shown_at: float
    title: str = ""
    """How the duty room reads of it."""
    name: str = ""
    """How Alertmanager names it."""
    room: float | None = None
    sent_on: float | None = None

    @property
    def late(self) -> bool:
        """Say whether the first word came too late, or never."""
        return self.room is None or self.room - self.shown_at > FIRST_WORD_S


@dataclass
class Storm:
    """What runs, and what was heard of it."""

    place: Place
    drill: Drill
    facts: list[Watched]
    seen: set[str] = field(default_factory=set)

    def listen(self, until: Callable[[], bool], *, seconds: float) -> None:
        """Note what comes, until it is enough or the time is over."""
        deadline = time.time() + seconds
        while not until() and time.time() < deadline:
            now = time.time()
            read, sent = text(self.drill), list(_alerts(self.drill))
            for one in self.facts:
                if one.room is None and one.title and one.title in read:
                    one.room = now
                units = {str(alert["labels"].get("unit", "")) for alert in sent}
                names = {str(alert["labels"]["alertname"]) for alert in sent}
                if one.sent_on is None and one.name in (names | units):
                    one.sent_on = now
            time.sleep(0.2)


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=EXAMPLE, help="the facts")
    file = parser.parse_args().file
    units = sum(fact.units for fact in read_storm(file.read_text(encoding="utf-8")).facts)
    breaks = int(time.time() + LEAD_S + PER_UNIT_S * units) // 60 * 60 + 60
    with (
        tempfile.TemporaryDirectory() as name,
        tables_on(server_url()) as database,
        receiving() as room,
        alertmanager(Path(name), room) as there,
        place_of(database, Path(name), partitions=PARTITIONS) as place,
    ):
        drill = Drill(room)
        start(place, room, there)
        at = rfc3339(breaks * 1_000)
        print(f"{units} units; the storm breaks at {at}", flush=True)
        facts = send(place, file, at)
        run(Storm(place, drill, facts), breaks)
    for failure in drill.failures:
        print(f"storm drill: {failure}", file=sys.stderr)
    return 1 if drill.failures else 0


def start(place: Place, room: Receiver, there: str) -> None:
    """A worker, and two of the alerts with a roster."""
    (place.folder / "rules.toml").write_text(storm.RULES)
    (place.folder / "roster.toml").write_text(ROSTER)
    signed = room.address.replace("http://", "sign+http://")
    place.environment |= {
        "WEIR_ALERTS_SESSION_SECONDS": "6",
        "WEIR_ALERTS_HTTP": "127.0.0.1:0",
        "WEIR_ALERTS_LANGUAGE": "en",
        "WEIR_ALERTS_ROSTER": str(place.folder / "roster.toml"),
        "WEIR_ALERTS_RECEIVERS": f'room = "{signed}/room#s3cret"\nhead = "{signed}/head#s3cret"',
    }
    place.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
    rules = str(place.folder / "rules.toml")
    for name in ("alerts", "alerts beside"):
        place.start(name, "alerts", "run", "--rules", rules, "--alertmanager", there)


def send(place: Place, file: Path, at: str) -> list[Watched]:
    """Let the storm come, as time passes; its facts, and how each must read."""
    words = ("ingest", "storm", str(file), "--at", at)
    told = place.run(*words, "--facts").decode().splitlines()
    comes = place.start("storm", *words, stdout=subprocess.PIPE)
    place.start("publish", "ingest", "publish", "--in-time", stdin=comes.stdout)
    facts = [Listed.model_validate_json(line) for line in told]
    return [
        Watched(one, instant(datetime.fromisoformat(one.shown_at)) / 1_000, *_words(one))
        for one in facts
        if one.kind != "nothing"
    ]


def _words(fact: Listed) -> tuple[str, str]:
    """What the duty room must read, and the name at Alertmanager: its alertname, or the unit of an alert alone."""
    count, unit = len(fact.units), fact.units[0]
    match fact.kind:
        case "outage":
            return f"{count} units send no data", "case-outage"
        case "late data":
            return f"{count} units judged otherwise: late data", "case-late-data"
        case "bad factor":
            return f"{count} units judged otherwise: factors changed", "case-change"
        case "breach":
            return f"Unit {unit}: energy of {fact.shown_at[:4]} is above its quota", unit
        case "suspected breach":
            return f"Unit {unit}: energy of {fact.shown_at[:4]} is probably above its quota", unit
        case _:
            return f"Unit {unit}: metering points are silent", unit


def run(told: Storm, breaks: float) -> None:
    """The calm, the storm, the correction of the factor; then what was told of it."""
    place, drill = told.place, told.drill
    held = "SELECT count(*) FROM partition WHERE next_offset > 0"
    place.wait(lambda: place.query(held) == [(PARTITIONS,)], "the calm comes")
    told.listen(lambda: False, seconds=breaks - 20 - time.time())
    drill.check(not drill.messages(), "while it is calm nobody is told anything")
    with stewards(place.database) as (one, two):
        bad = [watched for watched in told.facts if watched.fact.kind == "bad factor"]
        proposal = propose(place, one, "--pack", str(BAD)) if bad else ("", "")
        told.listen(lambda: False, seconds=breaks - time.time())
        if bad:
            bad[0].shown_at = approve(place, two, *proposal)
        told.listen(
            lambda: all(fact.room is not None and fact.sent_on is not None for fact in told.facts),
            seconds=max(fact.shown_at for fact in told.facts) + FIRST_WORD_S + 60 - time.time(),
        )
        show(told, breaks)
        if bad:
            began = approve(place, two, *propose(place, one))
            drill.await_all(
                "the factor is right again, and what it brought about retracted",
                lambda: "retracted: factors changed" in text(drill),
                began=began,
                within=FIRST_WORD_S,
            )
    judge(told)


def propose(place: Place, login: str, *pack: str) -> tuple[str, str]:
    """Propose factors; number and hash of the proposal."""
    words = ["processors", "restate", *pack, "--reason", "drill", "--json"]
    made = json.loads(place.run(*words, WEIR_DATABASE_URL=login))
    return str(made["proposal"]), made["hash"]


def approve(place: Place, login: str, number: str, code: str) -> float:
    """Bring them into force; when that was."""
    words = ["--approve", number, "--hash", code, "--reason", "drill", "--tolerate", "1000000"]
    place.run("processors", "restate", *words, WEIR_DATABASE_URL=login)
    newest = "SELECT extract(epoch FROM loaded_at)::float8 FROM configuration ORDER BY version DESC LIMIT 1"
    return float(str(place.query(newest)[0][0]))


def show(told: Storm, breaks: float) -> None:
    """The table: each fact, and how long after the data showed it who heard of it."""
    print(
        f"\n  {'fact':17} {'units':>5}  {'the data show it':26} {'duty room':>10} {'Alertmanager':>13}"
    )
    for one in told.facts:
        after = [
            "missed" if heard is None else f"{heard - one.shown_at:.1f} s"
            for heard in (one.room, one.sent_on)
        ]
        at = rfc3339(round(one.shown_at) * 1_000)
        print(
            f"  {one.fact.kind:17} {len(one.fact.units):5}  {at:26} {after[0]:>10} {after[1]:>13}"
        )
        if one.late:
            told.drill.failures.append(f"{one.fact.kind} {one.fact.region}: {after[0]}")
    first = min((one.room for one in told.facts if one.room is not None), default=0.0) - breaks
    print(f"  first word {first:.1f} s after the storm broke\n", flush=True)


def judge(told: Storm) -> None:
    """None missed, none but those, at most ten messages, each true."""
    drill = told.drill
    cases = [row[:3] for row in told.place.query(_MEMBERS)]
    for one in told.facts:
        drill.check(
            _case(one.fact)
            in [
                (kind, scope.partition(":")[0] if kind != "alert" else scope, units)
                for kind, scope, units in cases
            ],
            f"{one.fact.kind}: one case of exactly its {len(one.fact.units)} units",
        )
    drill.check(len(cases) == len(told.facts), f"{len(cases)} cases of {len(told.facts)} facts")
    messages, sent = len(drill.messages()), len(drill.notifications())
    drill.check(messages <= MOST_MESSAGES, f"{messages} messages to the duty room")
    drill.check(sent <= MOST_MESSAGES, f"{sent} notifications by Alertmanager")


def _case(fact: Listed) -> tuple[str, str, list[str]]:
    """Kind, scope (of many: its kind) and units of the case that it must be."""
    kinds = {"outage": ("outage", "city"), "late data": ("late data", "late")} | {
        "bad factor": ("change", "factor")
    }
    kind, scope = kinds.get(fact.kind, ("alert", fact.units[0]))
    return kind, scope, sorted(fact.units)


def _alerts(drill: Drill) -> Iterator[dict[str, dict[str, str]]]:
    """Alerts that Alertmanager sent on."""
    for one in drill.notifications():
        yield from one["alerts"]  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
