"""Looks at what the alerts stand on: rules, database, its tables, rights and clock, Kafka, Alertmanager, channels, roster, dead man's switch.

Nothing is changed, and nobody is told anything. Each line is ok, or not ok with what to do.
"""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import TupleRow

from alerts.deadman import WATCHDOG
from alerts.receivers import Receiver, receivers_of
from alerts.roster import RosterError, doubts, read_roster
from alerts.settings import AddressesError, AlertSettings
from schemas.calendar import instant
from schemas.finding import Finding
from schemas.rule import DEFAULT_RULES, BadRules, read_rules
from schemas.working_days import day_of, read_working_days

Link = Connection[TupleRow]

CLOCK_OFF_S = 60.0
_PATIENCE_S = 5.0
_WRITES = ("alert_partition", "alert_transition", "alert_case", "alert_word", "alert_message")
_RIGHTS = """
SELECT name FROM unnest(%s::text[]) AS name
WHERE to_regclass(name) IS NULL OR NOT has_table_privilege(name, 'INSERT') ORDER BY 1"""
_HEARD = (
    "SELECT count(*), min(heard_at), count(heard_at) FROM alert_partition WHERE generation = %s"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is told on the command line, beside the settings."""

    rules: Path | None = None
    alertmanager: str | None = None
    """None: nobody of that kind is told."""
    deadman: str | None = None
    """Where the dead man's switch answers: `http://other-machine:9104`."""


def examine(settings: AlertSettings, asked: Asked) -> Iterator[Finding]:
    """Line by line."""
    yield _rules(asked.rules)
    yield from _database(settings)
    yield from _kafka(settings)
    if asked.alertmanager is not None:
        yield from _alertmanager(asked.alertmanager)
    yield from _people(settings)
    yield _deadman(asked.deadman)


def _rules(path: Path | None) -> Finding:
    if path is None:
        return Finding("rules", ok=True, said=f"the default ones ({len(DEFAULT_RULES)})")
    try:
        found = read_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        do = "name the file that `python -m alerts run --rules` is given"
        return Finding("rules", ok=False, said=f"{path} cannot be read: {error}", do=do)
    if isinstance(found, BadRules):
        said = f"{path}: {len(found.errors)} mistakes"
        return Finding(
            "rules", ok=False, said=said, do=f"`python -m alerts check {path}` names them"
        )
    return Finding("rules", ok=True, said=f"{path}: {len(found)} rules")


# The database


def _database(settings: AlertSettings) -> Iterator[Finding]:
    secret = settings.database_url
    if secret is None:
        do = "set WEIR_DATABASE_URL or WEIR_DATABASE_URL_FILE"
        yield Finding("database", ok=False, said="no address is set", do=do)
        return
    try:
        link = psycopg.connect(secret.get_secret_value(), autocommit=True, connect_timeout=5)
    except psycopg.Error as error:
        do = "does it run, and are address, login and password right?"
        yield Finding("database", ok=False, said=str(error).strip(), do=do)
        return
    with link:
        version = link.info.server_version // 10_000
        yield Finding("database", ok=True, said=f"PostgreSQL {version}, login {link.info.user}")
        yield _clock("clock", _database_time(link))
        try:
            yield _tables(link)
            yield _rights(link)
            yield _heard(link, settings)
        except psycopg.Error as error:
            do = "run `python -m processors migrate up` as the owner"
            yield Finding("tables", ok=False, said=str(error).strip(), do=do)


def _database_time(link: Link) -> float:
    row = link.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    return float(row[0]) if row else 0.0


def _clock(check: str, theirs: float) -> Finding:
    off = abs(time.time() - theirs)
    said = f"{off:.0f} s from ours" if off >= 1 else "that of ours"
    return Finding(check, off <= CLOCK_OFF_S, said, "set the clocks of both machines (NTP)")


def _tables(link: Link) -> Finding:
    """Of this release: as many migrations as there are files."""
    there = (files("schemas") / "sql").iterdir()
    wanted = sum(file.name.endswith(".sql") for file in there)
    row = link.execute("SELECT count(*) FROM migration").fetchone()
    found = int(row[0]) if row else 0
    said = f"{found} migrations of {wanted}"
    return Finding(
        "tables", found >= wanted, said, "run `python -m processors migrate up` as the owner"
    )


def _rights(link: Link) -> Finding:
    lacking = [str(name) for (name,) in link.execute(_RIGHTS, (list(_WRITES),))]
    said = f"may not write {', '.join(lacking)}" if lacking else "those of an alerts' worker"
    do = "give it a login of weir_alerts: `python -m processors migrate login`"
    return Finding("rights", not lacking, said, do)


def _heard(link: Link, settings: AlertSettings) -> Finding:
    row = link.execute(_HEARD, (settings.generation,)).fetchone()
    partitions, oldest, known = row or (0, None, 0)
    do = "`python -m alerts run` must run, and so must `python -m processors worker` and `python -m ingest clock`"
    if oldest is None or known < partitions:
        said = f"{known} of {partitions} partitions were ever heard"
        return Finding("heard", ok=False, said=said, do=do)
    age = time.time() - oldest / 1_000
    said = f"{partitions} partitions; the oldest's newest word is {max(age, 0):,.0f} s old"
    return Finding("heard", age <= settings.tick_silence_seconds, said, do)


# Kafka


def _kafka(settings: AlertSettings) -> Iterator[Finding]:
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.split(","),
            **settings.kafka_client(),
            bootstrap_timeout_ms=int(_PATIENCE_S * 1_000),
        )
    except KafkaError as error:
        do = "does it run, and are WEIR_KAFKA, WEIR_KAFKA_USER and its password right?"
        yield Finding("Kafka", ok=False, said=f"{settings.kafka}: {error}", do=do)
        return
    try:
        yield Finding("Kafka", ok=True, said=f"answers at {settings.kafka}")
        count = len(consumer.partitions_for_topic(settings.heard_topic) or ())
        said = (
            f"{settings.heard_topic} has {count} partitions, the settings say {settings.partitions}"
        )
        do = "`python -m ingest topics create`, WEIR_PARTITIONS, WEIR_GENERATION; or the right to read it: `python -m ingest access apply`"
        yield Finding("indicators", count == settings.partitions, said, do)
    finally:
        consumer.close()


# Whom it tells


@dataclass(frozen=True, slots=True)
class _Page:
    """What an HTTP server answered; status 0: nothing."""

    status: int
    text: str
    date: str = ""


def _page(url: str) -> _Page:
    request = Request(url, headers={"User-Agent": "weir-alerts doctor"})  # noqa: S310 - settings and options take http alone
    try:
        with urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - as above
            return _Page(answer.status, answer.read().decode(), answer.headers["Date"] or "")
    except HTTPError as error:
        with error:
            return _Page(error.code, error.read().decode(errors="replace"))
    except (URLError, OSError, HTTPException, ValueError) as error:
        return _Page(0, str(error))


def _alertmanager(url: str) -> Iterator[Finding]:
    where = f"{urlsplit(url).hostname}:{urlsplit(url).port or ''}"
    status = _page(f"{url.rstrip('/')}/api/v2/status")
    if status.status != 200:  # noqa: PLR2004 - yes
        said = f"nobody who is one answers at {where}: {status.status or status.text}"
        do = "does it run, and is WEIR_ALERTMANAGER right?"
        yield Finding("Alertmanager", ok=False, said=said, do=do)
        return
    version = json.loads(status.text).get("versionInfo", {}).get("version", "?")
    yield Finding("Alertmanager", ok=True, said=f"{version} answers at {where}")
    yield _clock("Alertmanager's clock", parsedate_to_datetime(status.date).timestamp())
    routed = WATCHDOG in json.loads(status.text).get("config", {}).get("original", "")
    said = f"routes {WATCHDOG}" if routed else f"has no route for {WATCHDOG}"
    do = "take deploy/alertmanager/alertmanager.yml: without that route a dead alarm is not noticed"
    yield Finding("watchdog's route", routed, said, do)


def _people(settings: AlertSettings) -> Iterator[Finding]:
    if settings.alerts_webhook is not None:
        yield _webhook(settings.alerts_webhook.get_secret_value())
    secret = settings.alerts_receivers
    try:
        receivers = receivers_of(secret.get_secret_value()) if secret else {}
    except AddressesError as error:
        do = 'mend WEIR_ALERTS_RECEIVERS: lines of name = "address"'
        yield Finding("channels", ok=False, said=str(error), do=do)
        return
    named = (
        ", ".join(sorted(receivers)) or "none is set: only Alertmanager and the webhook are told"
    )
    yield Finding("channels", ok=True, said=named)
    yield from _roster(settings, receivers)


def _webhook(url: str) -> Finding:
    """Whether somebody listens there; its path and its answer stay its own."""
    parts = urlsplit(url)
    do = "does it run, and is WEIR_ALERTS_WEBHOOK right?"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return Finding("webhook", ok=False, said="its address is none of http or https", do=do)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"
    try:
        socket.create_connection((parts.hostname, port), _PATIENCE_S).close()
    except OSError as error:
        return Finding("webhook", ok=False, said=f"nobody listens at {where}: {error}", do=do)
    return Finding("webhook", ok=True, said=f"somebody listens at {where}")


def _roster(settings: AlertSettings, receivers: Mapping[str, Receiver]) -> Iterator[Finding]:
    now = datetime.now(UTC)
    path = settings.alerts_roster
    if not path:
        do = "set WEIR_ALERTS_ROSTER (deploy/example/on-call.toml is one)"
        yield Finding("roster", not receivers, "none is set: nobody is on duty", do)
        return
    do = f"`python -m alerts roster {path}`"
    try:
        roster = read_roster(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RosterError) as error:
        yield Finding("roster", ok=False, said=f"{path}: {error}", do=do)
        return
    wrong = doubts(roster, instant(now), list(receivers))
    held = sum(duty.holds(instant(now)) for duty in roster.duties)
    said = "; ".join(wrong) or f"{held} duties are held now, and nobody is missing from now on"
    yield Finding("roster", not wrong, said, do)
    today = day_of(instant(now))
    known = read_working_days().knows(today)
    said = f"working days of {today.year} are {'known' if known else 'not known'}"
    yield Finding("calendar", known, said, "holidays count as working days: take a newer release")


def _deadman(url: str | None) -> Finding:
    if url is None:
        said = "not asked: give --deadman http://OTHER-MACHINE:9104"
        return Finding("dead man's switch", ok=True, said=said)
    page = _page(f"{url.rstrip('/')}/healthz")
    match page.status:
        case 200:
            said, do = "hears the watchdog", ""
        case 503:
            said = f"the watchdog is silent there: {page.text.strip()}"
            do = "RUNBOOK.md, `the watchdog is silent`"
        case _:
            said, do = (
                f"nobody answers: {page.text.strip()}",
                "`python -m alerts deadman`, on another machine",
            )
    return Finding("dead man's switch", page.status == 200, said, do)  # noqa: PLR2004 - yes
