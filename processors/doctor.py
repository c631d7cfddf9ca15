"""Looks at what the processors stand on: database, its tables, rights and clock, Kafka, its topics, the log, ticks, the key.

Nothing is changed. Each line is ok, or not ok with what to do.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

import psycopg
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import migrate
from processors.account_seal import Seal, SealError
from processors.migrate import MigrationError
from processors.offsets import stands
from schemas import topics
from schemas.finding import Finding
from schemas.settings import Settings, SettingsError

Link = Connection[TupleRow]

CLOCK_OFF_SECONDS = 60.0
_PATIENCE_MS = 5_000
_RIGHTS = """
SELECT current_user, has_table_privilege('reading_record', 'INSERT'), has_table_privilege('unit_now', 'SELECT')"""
_TICKS = """
SELECT p.partition, (SELECT at FROM tick t WHERE t.generation = p.generation AND t.partition = p.partition AND t.unit = 0
                     ORDER BY t."offset" DESC LIMIT 1)
FROM partition p WHERE p.generation = %s ORDER BY p.partition"""

_EPILOG = """examples:
  python -m processors doctor            where to look when something stands
  python -m processors doctor --json     a line of JSON each

Exit codes: 0 all is ok; 1 something is not; 2 the words are wrong."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Line by line."""
    secret = settings.database_url
    if secret is None:
        do = "set WEIR_DATABASE_URL or WEIR_DATABASE_URL_FILE"
        yield Finding("database", ok=False, said="no address is set", do=do)
    else:
        yield from _database(secret.get_secret_value(), settings)
    yield from _kafka(settings)
    yield _key(settings)


# The database


def _database(url: str, settings: Settings) -> Iterator[Finding]:
    try:
        status = migrate.status(url)
        link = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except (psycopg.Error, MigrationError) as error:
        do = "does it run, and are address, login and password right?"
        yield Finding("database", ok=False, said=str(error).strip(), do=do)
        return
    with link:
        said = f"PostgreSQL {link.info.server_version // 10_000}, TimescaleDB {status.edition}"
        yield Finding("database", ok=True, said=said)
        names = ", ".join(f"{one.number:04} {one.name}" for one in status.missing)
        said = f"{names} missing" if names else f"up to date ({len(status.applied)} migrations)"
        do = "run `python -m processors migrate up` as the owner"
        yield Finding("tables", not names, said, do)
        yield _clock(link)
        if not names:
            yield _rights(link)
            yield from _log(link, settings)


def _clock(link: Link) -> Finding:
    before = time.time()
    row = link.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    theirs, after = float(row[0]) if row else before, time.time()
    off = max(before - theirs, theirs - after, 0.0)
    said = f"{off:.0f} s from the database's" if off >= 1 else "that of the database"
    do = "set the clocks of both machines (NTP)"
    return Finding("clock", off <= CLOCK_OFF_SECONDS, said, do)


def _rights(link: Link) -> Finding:
    row = link.execute(_RIGHTS).fetchone()
    user, writes, reads = row or ("nobody", False, False)
    what = "a worker's" if writes else "a reader's" if reads else "none"
    do = "workers, aggregator and feedback need a login of weir_worker: `python -m processors migrate login`"
    return Finding("rights", bool(writes), f"login {user} has the rights of {what}", do)


def _log(link: Link, settings: Settings) -> Iterator[Finding]:
    try:
        found = stands(link, settings)
    except KafkaError as error:
        yield Finding("log", ok=False, said=str(error), do="Kafka must answer first")
        return
    wrong = [f"partition {one.partition}: {one.state}" for one in found if one.state != "in order"]
    fine = f"{len(found)} partitions in order" if found else "none of it was ever read"
    said = "; ".join(wrong) or fine
    do = "`python -m processors offsets show`; none at all: start `python -m processors worker`"
    yield Finding("log", bool(found) and not wrong, said, do)
    ticks = link.execute(_TICKS, (settings.generation,)).fetchall()
    yield _ticks([at for _, at in ticks], settings)


def _ticks(ticks: Sequence[int | None], settings: Settings) -> Finding:
    do = "`python -m ingest clock` and `python -m processors worker` must run"
    if not ticks:
        return Finding("ticks", ok=False, said="no partition was ever read", do=do)
    known = [at for at in ticks if at is not None]
    if not known or len(known) < len(ticks):
        said = f"{len(ticks) - len(known)} of {len(ticks)} partitions never had one"
        return Finding("ticks", ok=False, said=said, do=do)
    age = time.time() - min(known) / 1_000
    said = f"the oldest partition's last one is {max(age, 0):,.0f} s old"
    return Finding("ticks", age <= settings.tick_silence_seconds, said, do)


# Kafka, and the key


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.split(","),
            **settings.kafka_client(),
            bootstrap_timeout_ms=_PATIENCE_MS,
        )
    except KafkaError as error:
        do = "does it run, and are WEIR_KAFKA, WEIR_KAFKA_USER and its password right?"
        yield Finding("Kafka", ok=False, said=f"{settings.kafka}: {error}", do=do)
        return
    try:
        yield Finding("Kafka", ok=True, said=f"answers at {settings.kafka}")
        yield from _topics(consumer, settings)
    finally:
        consumer.close()


def _topics(consumer: KafkaConsumer, settings: Settings) -> Iterator[Finding]:
    there = consumer.topics()
    wanted = topics.wanted(settings.partitions, generation=settings.generation)
    names = [settings.topic_prefix + topic.name for topic in wanted]
    missing = [name for name in names if name not in there]
    said = f"not seen: {', '.join(missing)}" if missing else f"all {len(names)} are there"
    do = "run `python -m ingest topics create`; a user of fewer rights than `operator` does not see all"
    yield Finding("topics", not missing, said, do)
    if settings.readings_topic in there:
        count = len(consumer.partitions_for_topic(settings.readings_topic) or ())
        said = f"{settings.readings_topic} has {count}, the settings say {settings.partitions}"
        yield Finding(
            "partitions", count == settings.partitions, said, f"set WEIR_PARTITIONS={count}"
        )


def _key(settings: Settings) -> Finding:
    if settings.feedback_key is None:
        do = "only `processors feedback` needs it: WEIR_FEEDBACK_KEY_FILE"
        return Finding("key of accounts", ok=True, said=f"not set here; {do}")
    try:
        seal = Seal.of(settings.feedback_key.get_secret_value())
    except SealError as error:
        do = "make one with `python -m processors feedback --new-key FILE`"
        return Finding("key of accounts", ok=False, said=str(error), do=do)
    return Finding("key of accounts", ok=True, said=f"{seal.key} can sign")


# Command line


def main(arguments: Sequence[str]) -> int:
    """Print each finding; 1 where something is not ok."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
    except SettingsError as error:
        sys.stderr.write(f"doctor: {error}\n")
        return 1
    ok = True
    for finding in examine(settings):
        ok = ok and finding.ok
        sys.stdout.write(f"{json.dumps(finding.told()) if options.json else finding}\n")
        sys.stdout.flush()
    return 0 if ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors doctor",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON each")
    return parser
